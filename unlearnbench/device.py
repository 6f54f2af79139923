"""Which device a run uses, and whether several processes share it, told without importing torch.

The device decides the weights' precision and so a cell's key.
"""

import os
from pathlib import Path

from .errors import UsageError

DTYPES = {"cpu": "float32", "cuda": "bfloat16"}
"""The precision that models compute in on each kind of device."""


def launched() -> bool:
    """Whether a launcher, ours or ``torchrun``, has started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def choose(wanted: str | None) -> str:
    """``wanted`` if given ("cpu" or "cuda"), else "cuda" where the driver shows a GPU that may be used."""
    if wanted is not None:
        if wanted not in DTYPES:
            raise UsageError(f"--device {wanted}: choose one of: {', '.join(DTYPES)}")
        return wanted
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "cuda" if Path("/dev/nvidia0").exists() and visible not in ("", "-1") else "cpu"
