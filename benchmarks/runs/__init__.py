"""Checks of whole runs: what their rows say, whether they are the same again, and how they stand being killed."""
