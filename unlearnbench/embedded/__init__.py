"""The tiny models and the drawn data: how they are made, and what ships."""

from pathlib import Path


def embedded_folder() -> Path:
    """The shipped data: 60 identities in FIUBench's layout, and a folder for each other task, as `make.make` writes."""
    return Path(__file__).parent / "files"
