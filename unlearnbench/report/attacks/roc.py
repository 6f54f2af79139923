"""How well an audit tells two kinds apart: a figure for each method that has anything to be told apart by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...analysis.attacks.of_lines import AttackOn
from ...analysis.attacks.outcome import attack_of, by_variant
from ...errors import UnlearnbenchError
from ...metrics.distances import auc
from ...results.row import Row
from ..plots import COLOURS, GREY, file_name, legend_text, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Told = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Scores of what is to be told, and of what it is to be told from, by the name of the former."""

_LONGEST = 40


def rocs(attacks: Sequence[AttackOn], records: Callable[[Row], Sequence[Any]]) -> "Iterator[tuple[str, Figure]]":
    """A figure for the first seed of each method on which an attack has scores to show, with its name."""
    for on in attacks:
        for line in on.lines:
            row = line.line.rows[0]
            for variant, own in _variants(row, records):
                if told := attack_of(row).told_apart(own):
                    name = " ".join([line.line.method, on.label, variant, on.model])
                    title = f"{on.model}, {line.line.method}, {on.label}, seed {row.seed}"
                    yield file_name(name), _drawn(told, title)


def _variants(row: Row, records: Callable[[Row], Sequence[Any]]) -> list[tuple[str, list[Any]]]:
    """By name; none where the samples, or the attack that made them, cannot be had."""
    try:
        attack_of(row)
        return [*by_variant(records(row)).items()]
    except UnlearnbenchError:
        return []


def points(positives: Sequence[float], negatives: Sequence[float]) -> tuple[list[float], list[float]]:
    """False and true positive rates at every threshold, from the highest: both from 0 to 1."""
    thresholds = sorted({*positives, *negatives}, reverse=True)
    rates = [
        [0.0, *(sum(value >= at for value in own) / len(own) for at in thresholds)] for own in (negatives, positives)
    ]
    return rates[0], rates[1]


@styled
def _drawn(told: Told, title: str) -> "Figure":
    figure, (axes,) = new_figure(6.4, 3.6)
    axes.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    for order, (name, (positives, negatives)) in enumerate(told.items()):
        false, true = points(positives, negatives)
        label = legend_text(f"{name}, AUC {auc(positives, negatives):.3f}", _LONGEST)
        axes.step(false, true, where="post", color=COLOURS[order % len(COLOURS)], label=label)
    axes.set_xlabel("share of all others that is taken for it")
    axes.set_ylabel("share that is told")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_title(title[:90], loc="left", fontsize=9)
    figure.legend(loc="outside right center")
    return figure
