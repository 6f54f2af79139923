"""How text and pictures meet: what families with one sequence, and with cross-attention layers, have in common."""
