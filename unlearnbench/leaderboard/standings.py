"""Where methods stand: a leaderboard's rows as lines with score, kept utility, rank and ties, model by model."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..analysis.facts import MAY_DIFFER, Facts
from ..analysis.lines import Line, Replicate, lines_by_model, replicate
from ..analysis.means import Mean
from ..results.row import Row
from .definition import Board
from .ranking import Array, Clusters, Resampling, differ, forgotten, keeps, leads, lost, ranks
from .submission import RowSummary, Submission


@dataclass(frozen=True)
class Standing:
    """A line of a leaderboard. ``rank`` is None for references and for what loses too much utility (``why_not``)."""

    line: Line
    scores: Mapping[Replicate, float]
    """By replicate."""
    losses: Mapping[str, Mean]
    """How far each utility lies below the references, and the tolerance is met in all that are not in ``too_much``."""
    too_much: tuple[str, ...]
    rank: int | None = None
    tied: bool = False
    """Whether another method has the same rank."""
    beats: tuple[int, ...] = ()
    """The places, in the table, of those that it surely beats."""

    @property
    def score(self) -> Mean:
        """The mean over the replicates."""
        return Mean.of([*self.scores.values()])

    @property
    def keeps_utility(self) -> bool:
        """Whether it lost no more than the rule allows."""
        return not self.too_much

    @property
    def is_frozen(self) -> bool:
        """Whether the model's own weights were left alone: a guardrail that whoever has the weights can remove."""
        return any(row.method.frozen_weights for row in self.line.rows)

    @property
    def place(self) -> str:
        """The rank as it is shown: ``2=`` for a tie, a dash where there is none."""
        return "–" if self.rank is None else f"{self.rank}{'=' if self.tied else ''}"


@dataclass(frozen=True)
class Table:
    """The standings on one model, best first: ranked methods among references by score, then what lost utility."""

    model: str
    """Its name, and which edition of the data where there are several."""
    standings: tuple[Standing, ...]


class Values:
    """What the rows of one line say, by replicate."""

    def __init__(self, line: Line, summaries: Mapping[str, RowSummary]) -> None:
        self.metrics: dict[Replicate, dict[str, float | None]] = defaultdict(dict)
        self._clusters: dict[Replicate, dict[str, dict[str, tuple[float, int]]]] = defaultdict(dict)
        for row in line.rows:
            self.metrics[replicate(row)] |= {name: metric.value for name, metric in row.metrics.items()}
            if row.row_id in summaries:
                self._clusters[replicate(row)] |= summaries[row.row_id].clusters

    @cached_property
    def replicates(self) -> list[Replicate]:
        """In order."""
        return sorted(self.metrics)

    def beside(self, seeds: Replicate) -> list[Replicate]:
        """As a reference, those that a method's replicate is measured against: the same, else all on its base."""
        return [seeds] if seeds in self.metrics else [each for each in self.replicates if each[1] == seeds[1]]

    def of(self, names: Sequence[str], seeds: Iterable[Replicate]) -> Array:
        """The metrics, their mean over ``seeds``; NaN where one has no value."""
        rows = [[self.metrics[each].get(name) for name in names] for each in seeds]
        return np.asarray(np.array(rows, dtype=np.float64).mean(axis=0))

    def clusters(self, names: Sequence[str], order: Sequence[str], groups: Iterable[Sequence[Replicate]]) -> Clusters:
        """Sums and counts of ``names`` in the clusters of ``order``, of each group of replicates taken together."""
        nothing = (0.0, 0)
        parts = np.array(
            [
                [
                    [self._clusters[each].get(name, {}).get(cluster, nothing) for cluster in order]
                    for name in names
                    for each in group
                ]
                for group in groups
            ],
            dtype=np.float64,
        )  # [groups, names x group, clusters, 2]
        summed = parts.reshape(len(parts), len(names), -1, len(order), 2).sum(axis=2)
        return Clusters(summed[..., 0], summed[..., 1])

    def cluster_names(self, names: Sequence[str]) -> set[str]:
        """All that occur in any of ``names``."""
        return {cluster for of in self._clusters.values() for name in names for cluster in of.get(name, ())}


def tables(board: Board, submissions: Sequence[Submission]) -> list[Table]:
    """A table for each model that has rows, in the order of the definition; `rules.problems` must have found none."""
    summaries = {row_id: summary for each in submissions for row_id, summary in each.summaries.items()}
    groups = lines(row for each in submissions for row in each.rows)
    return [
        _table(board, name, of, summaries)
        for model in board.definition.models
        for name, of in groups.items()
        if of[0].model == model
    ]


def lines(rows: Iterable[Row]) -> dict[str, list[Line]]:
    """The lines of each model. What changes no result tells no two of them apart, and what needs no model has none.

    Where digests tell what the data and the weights are, it does not matter where they came from. Lines on several
    editions of the data are groups of their own, as nothing of one can be measured against references on another.
    """
    groups: dict[str, list[Line]] = {}
    for model, of in lines_by_model([*map(essential, rows)], Facts()).items():
        editions: dict[str | None, list[Line]] = defaultdict(list)
        for line in of:
            editions[edition(line.rows[0])].append(line)
        for made_of, members in editions.items():
            groups[model if len(editions) == 1 else f"{model}, data {(made_of or 'of schema 1')[:11]}"] = members
    return groups


def edition(row: Row) -> str | None:
    """The fingerprint of the data that a row's model was trained on; None for all rows from before that was told."""
    return row.trained_on.fingerprint if row.trained_on else None


def essential(row: Row) -> Row:
    """A row without what changes no result."""
    options = {name: value for name, value in row.task.options.items() if name not in MAY_DIFFER}
    data, model = row.task.data, row.model
    if data.fingerprint is not None:
        data = data.model_copy(update={"source": "", "id": "", "revision": None})
    trained_on = (
        row.trained_on.model_copy(update={"source": "", "id": "", "revision": None}) if row.trained_on else None
    )
    if model.weights_digest is not None:
        model = model.model_copy(update={"revision": None})
    task = row.task.model_copy(update={"options": options, "data": data})
    return row.model_copy(update={"task": task, "model": model, "baselines": {}, "trained_on": trained_on})


def _table(board: Board, model: str, lines: Sequence[Line], summaries: Mapping[str, RowSummary]) -> Table:
    values = [Values(line, summaries) for line in lines]
    ranker = _Ranker(board, lines, values)
    found = [ranker.standing(line, of) for line, of in zip(lines, values, strict=True)]
    order = sorted(range(len(found)), key=lambda place: _sorting(found[place]))
    ranked = ranker.ranked([found[place] for place in order], [values[place] for place in order])
    return Table(model, tuple(ranked))


def _sorting(standing: Standing) -> tuple[bool, float, str]:
    """Best first; what lost utility last, however much it forgot."""
    return not standing.keeps_utility, -(standing.score.mean or 0.0), standing.line.method


class _Ranker:
    """Measures the lines of one model against its references."""

    def __init__(self, board: Board, lines: Sequence[Line], values: Sequence[Values]) -> None:
        rule = board.definition.ranking
        self.forgetting = [*rule.forgetting]
        self.tolerances = rule.utility
        columns = {column.metric: column for column in board.definition.columns}
        self.higher = [columns[name].higher_is_better is not False for name in rule.utility]
        by_method = {line.method: of for line, of in zip(lines, values, strict=True)}
        self.nothing = by_method[board.definition.references.nothing]
        self.ideal = by_method[board.definition.references.ideal]

    def standing(self, line: Line, values: Values) -> Standing:
        """Everything but the rank."""
        forget, utility = self._against(values, self.forgetting), self._against(values, [*self.tolerances])
        scores = forgotten(*forget)
        losses = lost(*utility, self.higher)
        kept = keeps(losses, np.array([*self.tolerances.values()]))
        return Standing(
            line,
            dict(zip(values.replicates, map(float, scores), strict=True)),
            {name: Mean.of([*map(float, of)]) for name, of in zip(self.tolerances, losses.T, strict=True)},
            tuple(name for name, fine in zip(self.tolerances, kept, strict=True) if not fine),
        )

    def _against(self, values: Values, names: Sequence[str]) -> tuple[Array, Array, Array]:
        """[replicates, names] of the line and of the two references."""
        own = np.array([values.of(names, [seeds]) for seeds in values.replicates])
        nothing, ideal = (
            np.array([reference.of(names, reference.beside(seeds)) for seeds in values.replicates])
            for reference in (self.nothing, self.ideal)
        )
        return own, nothing, ideal

    def ranked(self, standings: Sequence[Standing], values: Sequence[Values]) -> list[Standing]:
        """With ranks and ties among the methods that keep utility."""
        places = [at for at, each in enumerate(standings) if each.line.is_method and each.keeps_utility]
        if not places:
            return [*standings]
        order = sorted(set[str]().union(*(of.cluster_names(self.forgetting) for of in values)))
        sampling = Resampling.of(len(order), max(len(values[at].replicates) for at in places))
        beats = leads([self._resampled(values[at], order, sampling) for at in places])
        beats &= differ([standings[at].scores for at in places])
        found, given = [*standings], ranks(beats)
        for row, at in enumerate(places):
            found[at] = replace(
                standings[at],
                rank=given[row],
                tied=given.count(given[row]) > 1,
                beats=tuple(places[other] for other in np.flatnonzero(beats[row])),
            )
        return found

    def _resampled(self, values: Values, order: Sequence[str], sampling: Resampling) -> Array:
        own = values.clusters(self.forgetting, order, [[seeds] for seeds in values.replicates])
        nothing, ideal = (
            _stacked(reference, self.forgetting, order, values.replicates) for reference in (self.nothing, self.ideal)
        )
        return sampling.scores(own, nothing, ideal)


def _stacked(
    reference: Values, names: Sequence[str], order: Sequence[str], replicates: Iterable[Replicate]
) -> Clusters:
    """The reference's clusters for each replicate; the groups of replicates may differ in size."""
    parts = [reference.clusters(names, order, [reference.beside(seeds)]) for seeds in replicates]
    return Clusters(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("sums", "counts")))
