"""What a point of a grid is worth: the leaderboards' own score on each seed, and what it costs beside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from unlearnbench.analysis.score.conditions import keeps, lost
from unlearnbench.analysis.score.levels import Values, levels, lowest
from unlearnbench.analysis.score.trace import trace
from unlearnbench.analysis.score.verdict import verdict
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

SHOWN = ("forget.exact_match", "nonprivate.exact_match", "retain.exact_match", "held_out.exact_match")


@dataclass(frozen=True)
class Replicate:
    """A method on one seed: its levels, its trace, and by how many tolerances each condition is lost."""

    levels: Mapping[str, float]
    trace: float | None
    losses: Mapping[str, float]
    metrics: Mapping[str, float]

    @property
    def score(self) -> float:
        """The lowest level."""
        return lowest(self.levels.values())


@dataclass(frozen=True)
class Outcome:
    """A point of a grid on its seeds; of one that diverged on any there are none."""

    settings: Mapping[str, Any]
    replicates: tuple[Replicate, ...]

    @property
    def score(self) -> float:
        """The mean of the seeds' scores."""
        return fmean(each.score for each in self.replicates)

    @cached_property
    def worst(self) -> tuple[str, float]:
        """The condition that is lost most, and by how many tolerances: beyond 1 it is lost."""
        names = dict.fromkeys(name for each in self.replicates for name in each.losses)
        means = {name: fmean(each.losses.get(name, 0.0) for each in self.replicates) for name in names}
        return max(means.items(), key=lambda item: item[1], default=("", 0.0))

    @property
    def kept(self) -> bool:
        """Whether every condition is."""
        return bool(keeps(np.array(self.worst[1]), np.array(1.0)))

    @property
    def verdict(self) -> str:
        """The word for it."""
        if not self.replicates:
            return "diverged"
        told = [each.trace for each in self.replicates if each.trace is not None]
        return verdict(self.level_means, fmean(told) if told else None, kept=self.kept)

    @property
    def level_means(self) -> dict[str, float]:
        """Each level's mean over the seeds."""
        return {name: self.mean(lambda each, name=name: each.levels[name]) for name in self.replicates[0].levels}

    @property
    def trace(self) -> float | None:
        """The mean over the seeds."""
        told = [each.trace for each in self.replicates if each.trace is not None]
        return fmean(told) if told else None

    def mean(self, of: Any) -> float:
        """The mean of a number of each replicate."""
        return fmean(of(each) for each in self.replicates)

    @property
    def order(self) -> tuple[int, float, float]:
        """What is chosen by: the score of those that keep every condition; of the others who loses least."""
        if not self.replicates:
            return (0, 0.0, 0.0)
        return (2, self.score, -self.worst[1]) if self.kept else (1, -self.worst[1], self.score)


class Judge:
    """Knows both references of every seed, and judges others by them."""

    def __init__(self, store: RowStore, rows: Sequence[Row], nothing: str = "finetune", ideal: str = "retrain") -> None:
        self._store, self._of = store, defaultdict[tuple[str, int], dict[str, Row]](dict)
        self._values: dict[str, Values] = {}
        for row in rows:
            if row.method.name in (nothing, ideal):
                self._of[row.task.name, row.seed][row.method.name] = row
        self._nothing, self._ideal = nothing, ideal

    def replicate(self, rows: Iterable[Row]) -> Replicate:
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
                own, of_nothing, of_ideal = (self.values(each) for each in (row, nothing, ideal))
                found |= levels(own, of_nothing, of_ideal, scored.levels)
                _, *unsaid = scored.levels.values()
                told = trace(own, of_ideal, [name for of in unsaid for name in of])
        return Replicate(found, told, losses, metrics)

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
