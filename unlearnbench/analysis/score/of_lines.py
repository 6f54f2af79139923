"""Scores of the lines of a run: from its rows' samples and those of both references of the same seeds.

A leaderboard has references and rules of its own; here the tasks say what makes a score (`Task.scored`), and conditions
go by means alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

import numpy as np

from ...contracts.scored import LEAST_GAP
from ...errors import DataError, UnlearnbenchError
from ...registry import tasks
from ...results.row import Row
from ..lines import Line
from ..means import Mean
from .conditions import keeps, lost
from .levels import flat, gives_away, levels
from .references import References, Trio
from .trace import trace
from .verdict import Verdict, verdict


@dataclass(frozen=True)
class LineScore:
    """What is shown of a line: each level and the trace over its replicates, and the word for all of it."""

    levels: dict[str, Mean]
    trace: Mean | None
    verdict: Verdict


def scores(lines: Sequence[Line], beside: References) -> list[LineScore | None]:
    """The score of each line; None where it was asked for none, or a reference or samples of its seeds are missing."""
    return [_score(line, beside) for line in lines]


def _score(line: Line, beside: References) -> LineScore | None:
    trios = [trio for row in line.rows if (trio := beside.trio(row)) is not None]
    forgetting = [trio for trio in trios if tasks.get(trio.own.task.name).scored.levels]
    wanted = [row for row in line.rows if row.task.name in tasks and tasks.get(row.task.name).scored.levels]
    if not wanted or len(forgetting) < len(wanted):
        return None
    try:
        found = [_of(trio, beside) for trio in forgetting]
    except UnlearnbenchError:
        return None
    if not all(each for each, _ in found):  # seeds draw the people, and not of all need there be every value
        return None
    by_level = {name: [each[name] for each, _ in found] for name in found[0][0]}
    told = [each for _, each in found if each is not None]
    if any(np.isnan(value) for of in by_level.values() for value in of):
        return None
    word = verdict(by_level, fmean(told) if told else None, kept=_kept(trios))
    return LineScore({name: Mean.of(of) for name, of in by_level.items()}, Mean.of(told) if told else None, word)


def _of(trio: Trio, beside: References) -> tuple[dict[str, float], float | None]:
    """Levels and trace of one replicate; no levels where a metric has no values, or nothing is there to be forgotten.

    Raises as reading samples does, and `DataError` where the three were not asked the same.
    """
    scored = tasks.get(trio.own.task.name).scored
    own, nothing, ideal = (beside.values(row) for row in trio.three)
    unasked = {name for name in scored.if_any if not any(each.get(name) for each in (own, nothing, ideal))}
    rule = {level: [name for name in of if name not in unasked] for level, of in scored.levels.items()}
    names = [name for metrics in rule.values() for name in metrics]
    if not all(each.get(name) for each in (own, nothing, ideal) for name in names):
        return {}, None
    if any(len(flat(own[name])) != len(flat(each[name])) for each in (nothing, ideal) for name in names):
        raise DataError(f"row {trio.own.row_id} has values of other questions than its references")
    if nothing_to_tell(trio, beside):
        return {}, None
    _, *unsaid = rule.values()
    traced = [*chain.from_iterable(unsaid), *scored.also_traced]
    return levels(own, nothing, ideal, rule), trace(own, ideal, traced)


def nothing_to_tell(trio: Trio, beside: References) -> list[str]:
    """The metrics in which the base tells hardly more than the retrained model: of these there is nothing to forget."""
    scored, nothing, ideal = (tasks.get(trio.own.task.name).scored, *(beside.values(row) for row in trio.three[1:]))
    names = dict.fromkeys(name for of in scored.levels.values() for name in of)
    there = [name for name in names if nothing.get(name) and ideal.get(name)]
    return [name for name in there if gives_away(name, nothing[name], ideal[name]) < LEAST_GAP]


def _kept(trios: Sequence[Trio]) -> bool:
    """Whether every condition that the rows tell of is kept, by the mean loss over the replicates."""
    for name in dict.fromkeys(trio.own.task.name for trio in trios):
        of = [trio for trio in trios if trio.own.task.name == name]
        for metric, tolerance in tasks.get(name).scored.conditions.items():
            losses = [*_losses(of, metric)]
            if losses and not keeps(np.array(fmean(losses)), np.array(tolerance)):
                return False
    return True


def _losses(trios: Sequence[Trio], metric: str) -> Iterator[float]:
    for trio in trios:
        own, nothing, ideal = (_value(row, metric) for row in trio.three)
        if own is not None and nothing is not None and ideal is not None:
            higher = trio.own.metrics[metric].higher_is_better is not False
            yield float(lost(np.array([own]), np.array([nothing]), np.array([ideal]), [higher])[0])


def _value(row: Row, metric: str) -> float | None:
    return row.metrics[metric].value if metric in row.metrics else None
