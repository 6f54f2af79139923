"""Small grids of attacked cells, for tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnbench.config import RunConfig


def asked_of(model: Path, data: Path) -> dict[str, Any]:
    """What is asked, and of which model."""
    return {"models": (str(model),), "tasks": ("fiubench",), "data": str(data), "forget": (2,), "device": "cpu"}


def of_a_gate(model: Path, data: Path, attacks: Mapping[str, Mapping[str, Any]], forget: int) -> RunConfig:
    """A model with a gate, trained as little as can be, under these attacks with their settings."""
    quick = {"epochs": (1,), "discriminator_epochs": (1,), "batch_size": (60,)}
    settings = {"base": {"epochs": (1,)}, "cagul": quick, "fiubench": {"max_new_tokens": (2,)}, **attacks}
    asked = asked_of(model, data) | {"forget": (forget,)}
    return RunConfig(methods=("cagul",), attacks=tuple(attacks), settings=settings, **asked)
