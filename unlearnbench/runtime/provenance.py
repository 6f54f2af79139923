"""Where a row comes from: the versions, the commit and the machine behind it. Imports none of what it names."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "transformers", "tokenizers", "accelerate", "peft", "safetensors", "huggingface_hub",
    "datasets", "numpy", "scipy", "Pillow", "Faker", "rouge-score", "pydantic",
)  # fmt: skip
"""Distributions whose version can change a score or the reading of a row."""

_CHECKOUT = Path(__file__).resolve().parents[2]
_CODE = ("unlearnbench", "attacks", "methods", "tasks", "pyproject.toml")
"""The parts of a checkout that make the package; a results folder beside them makes nothing dirty."""


def environment(device: str) -> dict[str, Any]:
    """The ``environment`` of a row, for the device that the cell ran on (as the caller words it)."""
    return {
        "unlearnbench": package_version(),
        "git": git(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device,
        "os": platform.platform(),
    }


def package_version() -> str:
    """The installed version of unlearnbench."""
    return _version("unlearnbench") or "not installed"


@cache
def package_versions() -> dict[str, str]:
    """The versions of those `PACKAGES` that are installed."""
    return {name: found for name in PACKAGES if (found := _version(name))}


@cache
def git() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that this package runs from, not of the current folder.

    None where it runs from an installed wheel (even inside somebody's repository), has no commit, or git is missing.
    """
    if not (_CHECKOUT / ".git").exists():
        return None
    sha = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", *_CODE)
    return None if sha is None or changes is None else {"sha": sha, "dirty": bool(changes)}


def _git(*arguments: str) -> str | None:
    """What git prints about the checkout, or None if it fails."""
    # Inside a git hook these variables name another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # A checkout mounted into a container belongs to another user, which git distrusts by default.
    command = ["git", "-c", f"safe.directory={_CHECKOUT}", "--no-optional-locks", "-C", str(_CHECKOUT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
