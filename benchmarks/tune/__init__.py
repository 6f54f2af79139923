"""How the methods' defaults for the tiny models are chosen: `python -m benchmarks.tune FOLDER [METHOD ...]`."""
