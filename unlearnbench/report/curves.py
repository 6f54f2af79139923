"""What a number does: the first metric of every group, for lines of a method that differ in that number alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..analysis.columns import Column
from ..analysis.comparison import Comparison
from ..analysis.facts import printable
from ..analysis.sweeps import Sweep, sweeps
from .plots import COLOURS, MARKERS, file_name, legend_text, named, new_figure, shares, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 44


def curves(comparison: Comparison) -> "Iterator[tuple[str, Figure]]":
    """A figure for every number that at least three otherwise equal lines of a method differ in, with its name."""
    for sweep in sweeps(comparison):
        figure = _drawn(comparison, sweep)
        if figure is not None:
            yield file_name(f"{sweep.method}-{sweep.name}"), figure


@styled
def _drawn(comparison: Comparison, sweep: Sweep) -> "Figure | None":
    """The first metric of every group of scores against the number that is swept; None if none has values."""
    scores = [column for column in comparison.columns if not column.is_cost and column.direction is not None]
    first = {column.group: column for column in reversed(scores)}
    shown = [first[group] for group in dict.fromkeys(column.group for column in scores)]
    cells = [cell for column in shown for place in sweep.places.values() if (cell := column.cells[place]) is not None]
    if not cells:
        return None
    figure, (axes,) = new_figure(6.4, 3.2)
    for order, column in enumerate(shown):
        _curve(axes, column, sweep.places, order)
    left_out = ", ".join(f"{value:g}" for value in sweep.left_out)
    axes.set_xlabel(printable(sweep.name) + (f" ({left_out} left out: several sets of so many)" if left_out else ""))
    axes.set_ylabel("score, 95% interval over seeds" if any(cell.half_width for cell in cells) else "score")
    _ticks(axes, sorted(sweep.places))
    axes.set_ylim(*shares(cells))
    method = " ".join([sweep.method, *sweep.besides(comparison)])
    axes.set_title(printable(f"{comparison.model}, {method}")[:90], loc="left", fontsize=9)
    figure.legend(loc="outside right center")
    return figure


def _ticks(axes: "Axes", values: list[float]) -> None:
    """A tick a value, on a logarithmic axis where the values span more than a factor of twenty."""
    if values[-1] > 20 * values[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


def _curve(axes: "Axes", column: Column, places: dict[float, int], order: int) -> None:
    """A metric's means and the band of their intervals; markers shrink so that equal curves all show."""
    points = [(x, column.cells[place]) for x, place in sorted(places.items())]
    known = [(x, cell.mean, cell.half_width or 0.0) for x, cell in points if cell is not None and cell.mean is not None]
    if not known:
        return
    xs, means, widths = zip(*known, strict=True)
    colour, marker = COLOURS[order % len(COLOURS)], MARKERS[order % len(MARKERS)]
    axes.plot(
        xs, means, marker=marker, color=colour, label=legend_text(named(column), _LONGEST),
        markersize=max(3.5, 7.5 - 1.3 * order), linewidth=max(1.0, 2.0 - 0.4 * order),
    )  # fmt: skip
    low, high = ([mean + sign * width for mean, width in zip(means, widths, strict=True)] for sign in (-1, 1))
    axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
