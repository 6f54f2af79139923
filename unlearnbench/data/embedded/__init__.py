"""The data that ships with the package, and the generators that drew it."""

from pathlib import Path


def embedded_folder() -> Path:
    """The shipped folder: 20 identities in FIUBench's layout, ``mme/`` and ``pope/``, as `make.make` writes it."""
    return Path(__file__).parent / "files"
