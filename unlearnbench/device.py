"""Which device a run uses, told without importing torch: it decides the weights' precision and so a cell's key."""

import os
from pathlib import Path

from .errors import UsageError

DTYPES = {"cpu": "float32", "cuda": "bfloat16"}
"""The precision that models compute in on each kind of device."""


def choose(wanted: str | None) -> str:
    """``wanted`` if given ("cpu" or "cuda"), else "cuda" where the driver shows a GPU that may be used."""
    if wanted is not None:
        if wanted not in DTYPES:
            raise UsageError(f"--device {wanted}: choose one of: {', '.join(DTYPES)}")
        return wanted
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "cuda" if Path("/dev/nvidia0").exists() and visible not in ("", "-1") else "cpu"
