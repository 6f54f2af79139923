"""What comes back as an attack goes on: a figure for each attack with degrees, a line for each method."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...analysis.attacks.curves import Curve
from ...analysis.attacks.curves import curves as curves_of
from ...analysis.attacks.of_lines import AttackedLine, AttackOn
from ...analysis.means import Mean
from ..plots import COLOURS, GREY, MARKERS, file_name, legend_text, new_figure, shares, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 30
_DASHES = {"nothing": ":", "ideal": "--"}


def recovery(attacks: Sequence[AttackOn]) -> "Iterator[tuple[str, Figure]]":
    """A figure for each attack in each setting whose variants have degrees, with its name."""
    for on in attacks:
        drawn = [(line, curve) for line in on.lines for curve in curves_of(line)[:1]]
        if drawn:
            yield file_name(f"{on.label}-{on.model}"), _drawn(on, drawn)


@styled
def _drawn(on: AttackOn, curves: Sequence[tuple[AttackedLine, Curve]]) -> "Figure":
    """What the attacked models know of the victims, by degree; and what of it came back, between the references."""
    figure, (known, back) = new_figure(8.4, 3.4, columns=2)
    methods = [(line, curve) for line, curve in curves if line.line.is_method]
    for order, (line, curve) in enumerate(methods):
        style: dict[str, Any] = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        degrees = [point.degree for point in curve.points]
        known.plot(
            degrees, [point.known[0] for point in curve.points], label=legend_text(line.line.method, _LONGEST), **style
        )
        _recovered(back, curve, style)
    _, first = max(methods or curves, key=lambda each: len(each[1].points))
    degrees = [point.degree for point in first.points]
    for at, (name, dashes) in enumerate(_DASHES.items(), start=1):
        label = {"nothing": "the base, attacked", "ideal": "the retrained model, attacked"}[name]
        known.plot(degrees, [point.known[at] for point in first.points], dashes, color=GREY, label=label)
    points = [point for _, curve in curves for point in curve.points]
    degrees = sorted({point.degree for point in points})
    for axes, title, values in (
        (known, first.metric, [Mean(value) for point in points for value in point.known]),
        (back, "share that came back", [point.recovery for point in points if point.recovery]),
    ):
        axes.set_xlabel(first.axis)
        axes.set_ylabel(title)
        axes.set_xticks(degrees)
        axes.set_ylim(*shares(values))
    known.set_title(f"{on.model}, attacked by {on.label}"[:90], loc="left", fontsize=9)
    figure.legend(loc="outside right center")
    return figure


def _recovered(axes: "Axes", curve: Curve, style: dict[str, Any]) -> None:
    """Recoveries with their intervals; a point of which nobody can tell is left out."""
    points = [
        (point.degree, point.recovery.mean, point.recovery.half_width or 0.0)
        for point in curve.points
        if point.recovery and point.recovery.mean is not None
    ]
    if points:
        degrees, means, widths = zip(*points, strict=True)
        axes.errorbar(degrees, means, widths, capsize=2, linewidth=1.4, **style)
