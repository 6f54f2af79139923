"""Cells' models after the run: found again in the store, asked, and written for `transformers` alone."""
