"""From a model's name to its files, and from these to a model."""
