"""FIUBench's private-attribute split."""
