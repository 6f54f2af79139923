"""What the rows of one line say, by replicate: metrics, sums by person, and values of single questions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from ..analysis.lines import Line, Replicate, replicate
from ..analysis.score.levels import knowing, leaks_by_cluster
from ..results.row import Row
from .ranking import Array, Clusters, Leaked
from .submission import RowSummary

Attacked = Mapping[str, Mapping[Replicate, Row]]
"""Attacked rows of a line's models, by attack and replicate; `attacks.records.name_of` names their values."""


ByReplicate = dict[Replicate, dict[str, Mapping[str, Sequence[float]]]]
"""Values of single questions of each replicate, by metric and cluster."""


class Values:
    """Of one line."""

    def __init__(self, line: Line, summaries: Mapping[str, RowSummary], attacked: Attacked | None = None) -> None:
        self.attacked: Attacked = attacked or {}
        self.metrics: dict[Replicate, dict[str, float | None]] = defaultdict(dict)
        self.of: ByReplicate = defaultdict(dict)
        self._sums: dict[Replicate, dict[str, dict[str, tuple[float, int]]]] = defaultdict(dict)
        for row in line.rows:
            self.metrics[replicate(row)] |= {name: metric.value for name, metric in row.metrics.items()}
            if row.row_id in summaries:
                self.of[replicate(row)] |= summaries[row.row_id].values
                self._sums[replicate(row)] |= summaries[row.row_id].clusters

        for row in (row for by_seed in self.attacked.values() for row in by_seed.values()):
            if row.row_id in summaries:
                self.of[replicate(row)] |= summaries[row.row_id].values

    @cached_property
    def replicates(self) -> list[Replicate]:
        """In order."""
        return sorted(self.metrics)

    def means(self, names: Sequence[str], at: Iterable[Replicate]) -> Array:
        """The metrics [replicates, names]; NaN where one has no value."""
        return np.array([[self.metrics[each].get(name) for name in names] for each in at], dtype=np.float64)

    def leaked(self, nothing: "Values", ideal: "Values", names: Sequence[str], order: Sequence[str]) -> Leaked:
        """What it and doing nothing give away of each metric, in the clusters of ``order``."""
        parts = np.zeros((2, len(self.replicates), len(names), len(order)))
        at = {cluster: place for place, cluster in enumerate(order)}
        for row, seeds in enumerate(self.replicates):
            for column, name in enumerate(names):
                aim = ideal.of[seeds][name]
                side = knowing(name, nothing.of[seeds][name], aim)
                for part, each in zip(parts, (self, nothing), strict=True):
                    for cluster, total in leaks_by_cluster(each.of[seeds][name], aim, side).items():
                        part[row, column, at[cluster]] = total
        return Leaked(*parts)

    def clusters(self, names: Sequence[str], at: Sequence[Replicate], order: Sequence[str]) -> Clusters:
        """Sums and counts [replicates, names, clusters of ``order``]; of what has none, the value in each cluster."""
        found = np.zeros((2, len(at), len(names), len(order)))
        for row, seeds in enumerate(at):
            for column, name in enumerate(names):
                value = self.metrics[seeds].get(name)
                whole = dict.fromkeys(order, (float("nan") if value is None else value, 1))
                of = self._sums[seeds].get(name) or whole
                found[:, row, column] = np.array([of.get(cluster, (0.0, 0)) for cluster in order]).T
        return Clusters(*found)

    def named(self, names: Sequence[str]) -> set[str]:
        """The clusters of any of these metrics."""
        parts: list[Mapping[str, Mapping[str, object]]] = [*self.of.values(), *self._sums.values()]
        return {cluster for of in parts for name in names for cluster in of.get(name, ())}


def cluster_names(values: Iterable[Values], forgetting: Sequence[str], conditions: Sequence[str]) -> list[str]:
    """All clusters that a ranking resamples, in order."""
    return sorted(set[str]().union(*(of.named([*forgetting, *conditions]) for of in values)))
