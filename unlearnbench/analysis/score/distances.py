"""How far lines are from the retrained model of their seeds: computed from both rows' samples, by whoever has them.

These distances are the field's; the levels and the trace of a score are ours (`analysis.score`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ...contracts.attack import Values
from ...errors import UnlearnbenchError
from ...metrics.distances import auc, forget_quality, gap
from ..columns import Column
from ..lines import Line
from ..means import Mean
from .references import References

GROUP = "From retrained"
"""What stands above the columns."""

LIKELIHOOD, ODDS = "forget.probability", "forget.truth_odds"
"""Of which metrics' values of single questions they are made: NLL is minus the logarithm of the one, and a test that
goes by ranks finds of the other what it finds of truth ratios."""

_LEAST = 5e-324
"""The smallest positive number: the logarithm of a p-value that is no longer told from 0."""


@dataclass(frozen=True)
class Distance:
    """Of one row from the retrained model's; a field is None where values are missing or no numbers."""

    nll_gap: float | None
    """Difference of the mean NLLs of the true answers, in nats a token: above 0 the truth is less likely."""
    nll_auc: float | None
    """The chance that a question's NLL is above one of the retrained model's: 1/2 where nobody can tell them."""
    ks: float | None
    """The Kolmogorov-Smirnov statistic of the truth ratios."""
    forget_quality: float | None
    """The logarithm to base 10 of that test's p-value: 0 where nothing tells the models apart."""


def distance(own: Values, retrained: Values) -> Distance:
    """The distances of a row, from what `Task.by_question` gives of its samples and of the retrained model's."""
    nlls = [[_nll(value) for value in _flat(each, LIKELIHOOD)] for each in (own, retrained)]
    quality = forget_quality(_flat(own, ODDS), _flat(retrained, ODDS))
    return Distance(
        nll_gap=_finite(gap(*nlls)),
        nll_auc=auc(*nlls),
        ks=quality.statistic if quality else None,
        forget_quality=math.log10(max(quality.p_value, _LEAST)) if quality else None,
    )


_LABELS = {"nll_gap": "ΔNLL", "nll_auc": "AUC", "ks": "KS", "forget_quality": "log p"}


def distance_columns(lines: Sequence[Line], beside: References) -> list[Column]:
    """A column a distance, means over seeds; none where no line has a retrained model of its seeds, and samples."""
    found = [_of_line(line, beside) for line in lines]
    columns = []
    for each in fields(Distance):
        values = [[getattr(one, each.name) for one in of] for of in found]
        cells = tuple(Mean.of(of) if any(value is not None for value in of) else None for of in values)
        if any(cells):
            columns.append(Column(GROUP, f"distance.{each.name}", _LABELS[each.name], None, cells))
    return columns


def _of_line(line: Line, beside: References) -> list[Distance]:
    """The distances of a line's rows; empty where one of them has no retrained model or no samples."""
    if line.is_ideal:
        return []
    pairs = [(row, ideal) for row in line.rows if (ideal := beside.ideal(row)) is not None]
    try:
        told = [(beside.values(row), beside.values(ideal)) for row, ideal in pairs]
    except UnlearnbenchError:
        return []
    return [distance(*each) for each in told if all(LIKELIHOOD in values for values in each)]


def _flat(values: Values, metric: str) -> list[float]:
    """All values of a metric; their order does not matter."""
    by_cluster: Mapping[str, Sequence[float]] = values.get(metric, {})
    return [value for of in by_cluster.values() for value in of]


def _finite(value: float | None) -> float | None:
    """A likelihood of 0 has no mean NLL."""
    return value if value is not None and math.isfinite(value) else None


def _nll(probability: float) -> float:
    return -math.log(probability) if probability else math.inf
