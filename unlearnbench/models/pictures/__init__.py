"""Pictures as a model sees them: encoded once, and kept."""
