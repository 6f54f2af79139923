"""Stages, the artefact store, the grid of cells, and where results come from."""
