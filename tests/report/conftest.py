"""Rows to make tables of."""

from collections.abc import Callable
from typing import Any

import pytest

from unlearnbench.engine.keys import digest
from unlearnbench.results.row import Row


@pytest.fixture
def row() -> Callable[..., Row]:
    """A function that makes a row; metrics are given as (value, higher_is_better) or as a whole."""

    def make(
        method: str = "cagul",
        task: str = "fiubench",
        metrics: dict[str, Any] | None = None,
        *,
        seed: int = 0,
        **changes: Any,
    ) -> Row:
        scores = {
            name: given if isinstance(given, dict) else {"value": given[0], "n": 80, "higher_is_better": given[1]}
            for name, given in (metrics or {}).items()
        }
        fields: dict[str, Any] = {
            "row_id": digest([method, task, seed, changes]),
            "status": "ok",
            "method": {"name": method, "version": "1", "origin": "unlearnbench", "params": changes.pop("params", {}),
                "role": changes.pop("role", "method"),
            },
            "model": {
                "name": changes.pop("model", "tiny-qwen2.5-vl"),
                "family": "qwen2.5-vl", "source": "embedded", "revision": None,
                "weights_digest": "a" * 64, "dtype": "float32",
            },
            "task": {
                "name": task, "version": "1", "split": changes.pop("split", "forget 4 of 20"),
                "options": changes.pop("options", {}),
                "data": {"source": "embedded", "id": "embedded", "revision": None, "fingerprint": "b" * 64},
            },
            "seed": seed,
            "base_seed": 0,
            "metrics": scores,
            "cost": changes.pop("cost", {}),
            "environment": {
                "unlearnbench": "0.1.0", "git": None, "python": "3.11.7", "packages": {}, "device": "cpu", "os": "x",
            },
            "command": ["unlearnbench", "run"],
            "started_at": "2026-11-22T19:00:00Z",
            "finished_at": "2026-11-22T19:01:00Z",
        }  # fmt: skip
        return Row.model_validate(fields | changes)

    return make
