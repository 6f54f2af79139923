"""A row with every field filled in."""

from collections.abc import Callable
from typing import Any

import pytest

from unlearnbench.results.row import Row

FIELDS: dict[str, Any] = {
    "schema_version": 2,
    "row_id": "cell-0",
    "status": "ok",
    "error": None,
    "method": {
        "name": "cagul", "version": "1", "origin": "unlearnbench 0.1.0", "params": {"k": 4, "lr": 1e-3},
        "role": "method", "n_trials_tuned": 9,
    },
    "model": {
        "name": "tiny-qwen2.5-vl", "family": "qwen2.5-vl", "source": "embedded", "revision": None,
        "weights_digest": "a" * 64, "dtype": "float32",
    },
    "task": {
        "name": "fiubench", "version": "1", "options": {"scorer": "strict"},
        "data": {"source": "embedded", "id": "embedded", "revision": None, "fingerprint": "b" * 64},
        "split": {"name": "forget4", "identities": 4, "of": 20, "digest": "e" * 64},
    },
    "seed": 0,
    "base_seed": 0,
    "metrics": {"forget.rouge_l": {"value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "n": 80, "higher_is_better": False}},
    "cost": {
        "trainable_parameters": 125000, "train_seconds": 12.5, "seconds_per_epoch": 1.25, "samples_per_second": 80.0,
        "eval_seconds": 3.0,
        "peak_memory_bytes": 10**9,
    },
    "environment": {
        "unlearnbench": "0.1.0", "git": {"sha": "c" * 40, "dirty": False}, "python": "3.11.7",
        "packages": {"torch": "2.13.0"}, "device": "cpu", "os": "Linux",
    },
    "command": ["unlearnbench", "run"],
    "samples": {"path": "samples/cell-0.jsonl", "sha256": "d" * 64},
    "started_at": "2026-11-22T19:00:00Z",
    "finished_at": "2026-11-22T19:01:00Z",
}  # fmt: skip


@pytest.fixture(scope="session")
def fields() -> dict[str, Any]:
    """The fields of a row as JSON has them."""
    return FIELDS


@pytest.fixture(scope="session")
def row() -> Callable[..., Row]:
    """A function that makes a row with some fields changed."""
    return lambda **changes: Row.model_validate(FIELDS | changes)
