"""What a number does: the first metric of every group, for lines of a method that differ in that number alone."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis.comparison import Column, Comparison, Line
from ..analysis.settings import SPLIT, as_text, printable
from ..results.row import Split
from .plots import COLOURS, MARKERS, file_name, legend_text, named, new_figure, shares, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 3
"""Values that a sweep has at least."""

PEOPLE = "people to forget"

_LONGEST = 44


def sweeps(comparison: Comparison) -> "Iterator[tuple[str, Figure]]":
    """A figure for every number that at least three otherwise equal lines of a method differ in, with its name."""
    for (method, name), (places, left_out) in _swept(comparison).items():
        figure = _sweep(comparison, method, name, places, left_out)
        if figure is not None:
            yield file_name(f"{method}-{name}"), figure


@styled
def _sweep(
    comparison: Comparison, method: str, name: str, places: dict[float, int], left_out: Sequence[float]
) -> "Figure | None":
    """The first metric of every group of scores against the number that is swept; None if none has values."""
    scores = [column for column in comparison.columns if not column.is_cost and column.direction is not None]
    first = {column.group: column for column in reversed(scores)}
    shown = [first[group] for group in dict.fromkeys(column.group for column in scores)]
    cells = [cell for column in shown for place in places.values() if (cell := column.cells[place]) is not None]
    if not cells:
        return None
    figure, (axes,) = new_figure(6.4, 3.2)
    for order, column in enumerate(shown):
        _curve(axes, column, places, order)
    twice = f" ({', '.join(f'{value:g}' for value in left_out)} left out: several sets of so many)" if left_out else ""
    axes.set_xlabel(f"{printable(name)}{twice}")
    axes.set_ylabel("score, 95% interval over seeds" if any(cell.half_width for cell in cells) else "score")
    _ticks(axes, sorted(places))
    axes.set_ylim(*shares(cells))
    fixed = comparison.settings(comparison.lines[next(iter(places.values()))])
    swept = (f"{name}=", f"{name.partition('.')[0]}=", *([f"{SPLIT}="] if name == PEOPLE else []))
    besides = [text for text in fixed if not text.startswith(swept)]
    axes.set_title(printable(", ".join([comparison.model, " ".join([method, *besides])]))[:90], loc="left", fontsize=9)
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


def _swept(comparison: Comparison) -> dict[tuple[str, str], tuple[dict[float, int], list[float]]]:
    """For a method and a number, the places of the lines that differ in it alone, by its value, and values left out.

    A value that two lines have, as two sets of equally many people do, is no point: neither stands for the other.
    """
    families: dict[str, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, line in enumerate(comparison.lines):
        facts = _facts(line)
        for name, value in facts.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                # Who is forgotten differs with how many are, and only then may it.
                fixed = {SPLIT: None} if name == PEOPLE else {}
                families[as_text([line.method, name, facts | fixed | {name: None}])][float(value)].append(place)
    found: dict[tuple[str, str], tuple[dict[float, int], list[float]]] = {}
    for key, by_value in families.items():
        method, name, _ = json.loads(key)
        places = {value: of[0] for value, of in by_value.items() if len(of) == 1}
        if len(places) >= FEWEST and len(places) > len(found.get((method, name), ((), ()))[0]):
            found[method, name] = places, sorted({*by_value} - {*places})
    return found


def _facts(line: Line) -> dict[str, Any]:
    """A line's facts with the number of the forgotten as a number, and nested parameters by dotted names."""
    facts: dict[str, Any] = {}
    for name, value in line.facts.items():
        if isinstance(value, dict):
            facts |= {f"{name}.{inner}": each for inner, each in value.items()}
        elif isinstance(value, Split):
            facts |= {SPLIT: value, "people in all": as_text(value.of)}
            facts |= {} if value.identities is None else {PEOPLE: value.identities}
        else:
            facts[name] = value
    return facts
