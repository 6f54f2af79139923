"""Models that ship with the package: weights, and everything that makes them from nothing."""
