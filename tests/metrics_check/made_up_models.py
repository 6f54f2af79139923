"""Models of every kind whose answers are right by chance, so that nothing need be trained."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from unlearnbench.metrics_check.figures import Valued, figures
from unlearnbench.metrics_check.kinds import KINDS
from unlearnbench.metrics_check.result import CheckedTask, KindEntry, MetricEntry, MetricsCheck
from unlearnbench.results.row import DataInfo, ModelInfo

SEEDS = (0, 1)
PEOPLE, EACH = 5, 6


def models(known: Sequence[float], noise: float = 0.05, shift: float = 0.0) -> list[Valued]:
    """A model of each kind and seed: answers right with that chance by kind, ``shift`` more for the second seed."""
    rng = np.random.default_rng(4)
    found = []
    for (kind, mean), seed in product(zip(KINDS, known, strict=True), SEEDS):
        values = np.clip(rng.normal(mean + shift * seed, noise, size=(PEOPLE, EACH)), 0, 1)
        by_person = {f"p{place}": [*map(float, own)] for place, own in enumerate(values)}
        found.append(Valued(kind.name, kind.knows, kind.clean, seed, by_person))
    return found


def entry(known: tuple[float, ...], **more: Any) -> MetricEntry:
    return MetricEntry.of("forget.exact_match", figures("forget.exact_match", models(known, **more)), {})


def check_of(known: tuple[float, ...]) -> MetricsCheck:
    """A check of one metric on such models."""
    return MetricsCheck(
        task=CheckedTask(name="any", version="1", options={}),
        data=DataInfo(source="folder", id="data", revision=None, fingerprint="f"),
        split=None,
        model=ModelInfo(name="m", family="f", source="s", revision=None, weights_digest=None, dtype=None),
        base={},
        seeds=(0, 1),
        questions=30,
        people=5,
        kinds=tuple(KindEntry(name=kind.name, knows=kind.knows, about=kind.about) for kind in KINDS),
        metrics=(entry(known),),
        nulls=(),
        unlearnbench="0",
        made_at=datetime.now(UTC),
    )
