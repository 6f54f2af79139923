"""Scores of the lines of a run: from its rows' samples and those of both references of the same seeds.

A leaderboard has references and rules of its own; here the tasks say what makes a score (`Task.scored`), and conditions
go by means alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from ...errors import UnlearnbenchError
from ...registry import tasks
from ...results.row import Row
from ..facts import Facts, as_text
from ..lines import Line, replicate
from ..means import Mean
from .conditions import keeps, lost
from .levels import Values, levels
from .trace import trace
from .verdict import Verdict, verdict

Records = Callable[[Row], Sequence[Any]]
"""Reads the samples of a row; raises an `UnlearnbenchError` where it cannot."""


@dataclass(frozen=True)
class LineScore:
    """What is shown of a line: each level and the trace over its replicates, and the word for all of it."""

    levels: dict[str, Mean]
    trace: Mean | None
    verdict: Verdict


@dataclass(frozen=True)
class _Trio:
    """A row and both references on its seeds, asked the same."""

    own: Row
    nothing: Row
    ideal: Row

    @property
    def three(self) -> tuple[Row, Row, Row]:
        """In this order."""
        return self.own, self.nothing, self.ideal


def scores(lines: Sequence[Line], records: Records, known: Facts) -> list[LineScore | None]:
    """The score of each line; None where it was not asked for one, or a reference or samples of its seeds are missing.

    ``known`` serves all calls on these rows.
    """
    scorer = _Scorer(lines, records, known)
    return [scorer.score(line) for line in lines]


class _Scorer:
    def __init__(self, lines: Sequence[Line], records: Records, known: Facts) -> None:
        self._records, self._known = records, known
        self._read: dict[str, Values] = {}
        self._nothing = [row for line in lines if line.is_nothing for row in line.rows]
        self._ideal = [row for line in lines if line.is_ideal for row in line.rows]

    def score(self, line: Line) -> LineScore | None:
        trios = [trio for row in line.rows if (trio := self._trio(row)) is not None]
        forgetting = [trio for trio in trios if tasks.get(trio.own.task.name).scored.levels]
        wanted = [row for row in line.rows if row.task.name in tasks and tasks.get(row.task.name).scored.levels]
        if not wanted or len(forgetting) < len(wanted):
            return None
        try:
            found = [self._of(trio) for trio in forgetting]
        except UnlearnbenchError:
            return None
        by_level = {name: [each[name] for each, _ in found] for name in found[0][0]}
        told = [each for _, each in found if each is not None]
        if not by_level or any(np.isnan(value) for of in by_level.values() for value in of):
            return None
        word = verdict(
            {name: fmean(of) for name, of in by_level.items()}, fmean(told) if told else None, kept=_kept(trios)
        )
        return LineScore({name: Mean.of(of) for name, of in by_level.items()}, Mean.of(told) if told else None, word)

    def _trio(self, row: Row) -> _Trio | None:
        if row.task.name not in tasks:
            return None
        base = (row.base or {}).get("params")
        nothing = next((each for each in self._nothing if self._beside(row, each) and _made_alike(each, base)), None)
        if nothing is None:
            return None
        params = as_text((nothing.base or {}).get("params"))
        beside = (each for each in self._ideal if self._beside(row, each))
        ideal = next((each for each in beside if as_text(each.method.params) == params), None)
        return None if ideal is None else _Trio(row, nothing, ideal)

    def _beside(self, row: Row, other: Row) -> bool:
        """Whether another row of the model has the same seeds, people and questions."""
        people = [each.task.split.key if each.task.split else None for each in (row, other)]
        alike = self._known.contest(row) == self._known.contest(other)
        return replicate(row) == replicate(other) and people[0] == people[1] and alike

    def _of(self, trio: _Trio) -> tuple[dict[str, float], float | None]:
        """Levels and trace of one replicate; no levels where a metric has no values. Raises as reading samples does."""
        rule = tasks.get(trio.own.task.name).scored.levels
        own, nothing, ideal = (self._values(row) for row in trio.three)
        names = [name for metrics in rule.values() for name in metrics]
        if not all(each.get(name) for each in (own, nothing, ideal) for name in names):
            return {}, None
        _, *unsaid = rule.values()
        return levels(own, nothing, ideal, rule), trace(own, ideal, [name for of in unsaid for name in of])

    def _values(self, row: Row) -> Values:
        if row.row_id not in self._read:
            kind = tasks.get(row.task.name)
            task = kind(kind.Options.model_validate(row.task.options))
            self._read[row.row_id] = task.by_question(self._records(row))
        return self._read[row.row_id]


def _made_alike(nothing: Row, base: Any) -> bool:
    """Whether a row of the base is of the base that a method went on with; any will do for one that has none."""
    return base is None or as_text((nothing.base or {}).get("params")) == as_text(base)


def _kept(trios: Sequence[_Trio]) -> bool:
    """Whether every condition that the rows tell of is kept, by the mean loss over the replicates."""
    for name in dict.fromkeys(trio.own.task.name for trio in trios):
        of = [trio for trio in trios if trio.own.task.name == name]
        for metric, tolerance in tasks.get(name).scored.conditions.items():
            losses = [*_losses(of, metric)]
            if losses and not keeps(np.array(fmean(losses)), np.array(tolerance)):
                return False
    return True


def _losses(trios: Sequence[_Trio], metric: str) -> Iterator[float]:
    for trio in trios:
        own, nothing, ideal = (_value(row, metric) for row in trio.three)
        if own is not None and nothing is not None and ideal is not None:
            higher = trio.own.metrics[metric].higher_is_better is not False
            yield float(lost(np.array([own]), np.array([nothing]), np.array([ideal]), [higher])[0])


def _value(row: Row, metric: str) -> float | None:
    return row.metrics[metric].value if metric in row.metrics else None
