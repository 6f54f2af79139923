"""The ground floor: what every room uses of the process and its machine, below models and data."""
