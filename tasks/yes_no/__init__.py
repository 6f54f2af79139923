"""What benchmarks of yes/no questions have in common."""
