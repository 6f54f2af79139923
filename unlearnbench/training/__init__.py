"""Training: parameters, one loop, the base stage, and what a method is told about the run it is part of."""
