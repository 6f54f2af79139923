"""What attacks brought back, between the attacked base (0) and the attacked retrained model (1)."""
