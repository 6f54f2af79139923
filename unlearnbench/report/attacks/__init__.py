"""What attacks brought back, as tables and pictures."""
