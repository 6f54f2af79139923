"""What a point of a grid is worth: the leaderboards' own score on each seed, and what it costs beside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from unlearnbench.analysis.score.conditions import keeps, lost
from unlearnbench.analysis.score.levels import Values, levels
from unlearnbench.analysis.score.trace import trace
from unlearnbench.analysis.score.verdict import verdict
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

SHOWN = tuple(
    f"{name}.exact_match" for name in ("forget", "other_view", "nonprivate", "retain", "held_out", "acquaintances")
)
"""What is shown beside, where rows have it."""

LEAST = 0.1
"""The score of a point that forgets something."""


@dataclass(frozen=True)
class OnSeed:
    """A method on one seed: its levels, its trace, and by how many tolerances each condition is lost."""

    levels: Mapping[str, float]
    trace: float | None
    losses: Mapping[str, float]
    metrics: Mapping[str, float]

    @property
    def score(self) -> float:
        """The lowest level."""
        return float(np.min([*self.levels.values()]))


@dataclass(frozen=True)
class Trial:
    """A point of a grid on its seeds; of one that diverged on any there are none."""

    settings: Mapping[str, Any]
    on_seeds: tuple[OnSeed, ...]

    @property
    def score(self) -> float:
        """The mean of the seeds' scores."""
        return fmean(each.score for each in self.on_seeds)

    @cached_property
    def worst(self) -> tuple[str, float]:
        """The condition that is lost most, and by how many tolerances: beyond 1 it is lost."""
        means = _means([each.losses for each in self.on_seeds])
        return max(means.items(), key=lambda item: item[1], default=("", 0.0))

    @property
    def kept(self) -> bool:
        """Whether every condition is."""
        return bool(keeps(np.array(self.worst[1]), np.array(1.0)))

    @property
    def verdict(self) -> str:
        """The word for it."""
        if not self.on_seeds:
            return "diverged"
        told = [each.trace for each in self.on_seeds if each.trace is not None]
        levels = {name: [each.levels[name] for each in self.on_seeds] for name in self.level_means}
        return verdict(levels, fmean(told) if told else None, kept=self.kept)

    @property
    def level_means(self) -> dict[str, float]:
        """Each level's mean over the seeds."""
        return _means([each.levels for each in self.on_seeds])

    @property
    def metrics(self) -> dict[str, float]:
        """The mean over the seeds of each metric that all have."""
        return _means([each.metrics for each in self.on_seeds])

    @property
    def trace(self) -> float | None:
        """The mean over the seeds."""
        told = [each.trace for each in self.on_seeds if each.trace is not None]
        return fmean(told) if told else None

    @property
    def order(self) -> tuple[int, float]:
        """What is chosen by: the score of those that forget and keep every condition.

        Where no point does both, one that does nothing would be first, and one that forgets and wrecks everything no
        better: the others count the less, the more they lose.
        """
        if not self.on_seeds:
            return 0, 0.0
        whole = self.kept and self.score >= LEAST
        return (2, self.score) if whole else (1, self.score / max(1.0, self.worst[1]))

    @property
    def cells(self) -> dict[str, str]:
        """The figures as tables show them."""
        if not self.on_seeds:
            return {"verdict": "diverged"}
        worst, tolerances = self.worst
        return {
            "score": f"{self.score:.3f}",
            **{name: f"{value:.3f}" for name, value in self.level_means.items()},
            "trace": "–" if self.trace is None else f"{self.trace:+.2f}",
            "verdict": self.verdict,
            "most lost": f"{worst} {tolerances:.1f} tolerances" if tolerances else "nothing",
            **{name: f"{self.metrics[name]:.3f}" for name in SHOWN if name in self.metrics},
        }

    @property
    def told(self) -> str:
        """The figures in a line."""
        return "  ".join(f"{name} {value}" for name, value in self.cells.items())


def _means(of: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means of what all have."""
    return {name: fmean(each[name] for each in of) for name in of[0] if all(name in each for each in of)}


class Judge:
    """Knows both references of every seed, and judges others by them."""

    def __init__(self, store: RowStore, rows: Sequence[Row], nothing: str = "finetune", ideal: str = "retrain") -> None:
        self._store, self._of = store, defaultdict[tuple[str, int], dict[str, Row]](dict)
        self._values: dict[str, Values] = {}
        for row in rows:
            if row.method.name in (nothing, ideal):
                self._of[row.task.name, row.seed][row.method.name] = row
        self._nothing, self._ideal = nothing, ideal

    @property
    def tasks(self) -> set[str]:
        """Those that the references were asked."""
        return {task for task, _ in self._of}

    def on_seed(self, rows: Iterable[Row]) -> OnSeed:
        """What the rows of a method on one seed, one a task, come to; raises `LookupError` without their references."""
        found: dict[str, float] = {}
        told, losses = None, dict[str, float]()
        metrics = dict[str, float]()
        for row in rows:
            beside = self._of[row.task.name, row.seed]
            nothing, ideal = beside[self._nothing], beside[self._ideal]
            scored = tasks.get(row.task.name).scored
            metrics |= {name: score.value for name, score in row.metrics.items() if score.value is not None}
            losses |= dict(_losses(row, nothing, ideal, scored.conditions))
            if scored.levels:
                own, of_nothing, of_ideal = three = [self.values(each) for each in (row, nothing, ideal)]
                rule = {  # of which the data have values
                    level: [name for name in names if all(each.get(name) for each in three)]
                    for level, names in scored.levels.items()
                }
                found |= levels(own, of_nothing, of_ideal, rule)
                _, *unsaid = rule.values()
                told = trace(own, of_ideal, [name for of in unsaid for name in of])
        return OnSeed(found, told, losses, metrics)

    def values(self, row: Row) -> Values:
        """The forget set's values of single questions."""
        if row.row_id not in self._values:
            kind = tasks.get(row.task.name)
            task = kind(kind.Options.model_validate(row.task.options))
            self._values[row.row_id] = task.by_question(self._store.read_samples(row))
        return self._values[row.row_id]


def _losses(row: Row, nothing: Row, ideal: Row, conditions: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    """Each condition that all three rows tell of, in tolerances."""
    for name, tolerance in conditions.items():
        three = [each.metrics[name].value for each in (row, nothing, ideal) if name in each.metrics]
        if len(three) == 3 and None not in three:
            higher = row.metrics[name].higher_is_better is not False
            loss = lost(*(np.array([value], dtype=np.float64) for value in three), [higher])
            yield name, float(loss[0]) / tolerance
