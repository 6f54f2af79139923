"""Comparisons as pictures: what forgetting costs, and what a parameter does."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from .comparison import ARROWS, Column, Comparison, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

CROWD = 16
"""Lines from which the legend of a trade-off names methods alone, without their settings."""

LONGEST = 44
"""Characters of an entry of a legend."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart, and a brown."""

MARKERS = "osD^vPX*<>"
GREY = "#7F7F7F"
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "pdf.fonttype": 42, "text.parse_math": False,
}  # fmt: skip


def styled(draw: Callable[..., T]) -> Callable[..., T]:
    """A function that draws in `STYLE` and leaves the user's own settings of matplotlib alone."""

    @wraps(draw)
    def drawn(*given: Any, **named: Any) -> T:
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            return draw(*given, **named)

    return drawn


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of this size in inches and its axes, bound to no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


@styled
def trade_off(comparison: Comparison) -> "Figure | None":
    """The first metric of the group Forget against the first of Retain, a point a line; None if either is missing."""
    forget, retain = (_first(comparison, group) for group in ("Forget", "Retain"))
    if forget is None or retain is None:
        return None
    figure, (axes,) = new_figure(6.4, 4.0)
    crowded = len(comparison.lines) > CROWD
    looks: dict[str, tuple[str, str]] = {}
    for place, line in enumerate(comparison.lines):
        x, y = forget.cells[place], retain.cells[place]
        if x is None or y is None or x.mean is None or y.mean is None:
            continue
        name = line.method if crowded else " ".join([line.method, *comparison.settings(line)])[:LONGEST]
        new = name not in looks
        colour, marker = looks.setdefault(name, _look(line, looks))
        face = colour if line.is_method else "white"
        axes.errorbar(
            x.mean, y.mean, xerr=x.half_width, yerr=y.half_width, fmt=marker, color=colour, markersize=7,
            markerfacecolor=face, elinewidth=0.8, capsize=2, zorder=3,
        )  # fmt: skip
        if new:  # an entry of the legend without the bars
            axes.plot([], [], marker, color=colour, markerfacecolor=face, markersize=7, label=name)
    for column, limits, label in ((forget, axes.set_xlim, axes.set_xlabel), (retain, axes.set_ylim, axes.set_ylabel)):
        limits(-0.04, 1.04)
        label(f"{column.group} {column.label} {ARROWS[column.higher_is_better]}")
    _title(axes, comparison.model)
    return figure


def _look(line: Line, taken: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Colour and marker of a new entry: colours for methods, grey for references."""
    marker = MARKERS[len(taken) % len(MARKERS)]
    coloured = sum(colour != GREY for colour, _ in taken.values())
    return (COLOURS[coloured % len(COLOURS)] if line.is_method else GREY), marker


def sweeps(comparison: Comparison) -> "Iterator[tuple[str, Figure]]":
    """A figure for every number that at least three otherwise equal lines of a method differ in, with its name."""
    for (method, name), places in _swept(comparison).items():
        yield file_name(f"{method}-{name}"), _sweep(comparison, method, name, places)


@styled
def _sweep(comparison: Comparison, method: str, name: str, places: dict[float, int]) -> "Figure":
    """The first metric of every group of scores against the number that is swept."""
    shown = [column for column in comparison.columns if not column.is_cost and column.higher_is_better is not None]
    first = {column.group: column for column in reversed(shown)}
    figure, (axes,) = new_figure(6.4, 3.4)
    for order, group in enumerate(dict.fromkeys(column.group for column in shown)):
        _curve(axes, first[group], places, COLOURS[order % len(COLOURS)], MARKERS[order % len(MARKERS)])
    axes.set_xlabel(name)
    axes.set_xticks(sorted(places))
    axes.minorticks_off()
    if max(places) > 20 * min(places) > 0:
        axes.set_xscale("log")
        axes.set_xticks(sorted(places), [f"{value:g}" for value in sorted(places)])
    axes.set_ylim(-0.04, 1.04)
    fixed = comparison.settings(comparison.lines[next(iter(places.values()))])
    besides = [text for text in fixed if not text.startswith((f"{name}=", "split=", "stop=", "lora="))]
    _title(axes, ", ".join([" ".join([method, *besides]), comparison.model]))
    return figure


def _title(axes: "Axes", text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)


def file_name(text: str) -> str:
    """Text that is safe in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip(".-") or "unnamed"


def _first(comparison: Comparison, group: str) -> Column | None:
    return next((column for column in comparison.columns if column.group == group), None)


def _curve(axes: "Axes", column: Column, places: dict[float, int], colour: str, marker: str) -> None:
    points = [(x, column.cells[place]) for x, place in sorted(places.items())]
    known = [(x, cell.mean, cell.half_width or 0.0) for x, cell in points if cell is not None and cell.mean is not None]
    if not known:
        return
    xs, means, widths = zip(*known, strict=True)
    label = f"{column.group} {column.label} {ARROWS[column.higher_is_better]}"
    axes.plot(xs, means, marker=marker, color=colour, label=label, markersize=5)
    low, high = ([mean + sign * width for mean, width in zip(means, widths, strict=True)] for sign in (-1, 1))
    axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)


def _swept(comparison: Comparison) -> dict[tuple[str, str], dict[float, int]]:
    """For a method and a number, the places of the lines that differ in it alone, by its value."""
    found: dict[tuple[str, str], dict[float, int]] = {}
    families: dict[str, dict[float, int]] = defaultdict(dict)
    for place, line in enumerate(comparison.lines):
        facts = _facts(line)
        for name, value in facts.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                others = json.dumps([line.method, name, facts | {name: None}], sort_keys=True, default=str)
                families[others][float(value)] = place
    for key, places in families.items():
        method, name, _ = json.loads(key)
        if len(places) >= 3 and len(places) > len(found.get((method, name), ())):
            found[method, name] = places
    return found


def _facts(line: Line) -> dict[str, Any]:
    """A line's facts with the number of the forgotten as a number, and nested parameters by dotted names."""
    facts: dict[str, Any] = {}
    for name, value in line.facts.items():
        if isinstance(value, dict):
            facts |= {f"{name}.{inner}": each for inner, each in value.items()}
        elif name == "split" and isinstance(value, str) and (match := re.match(r"forget (\d+) of (\d+)(.*)", value)):
            facts |= {"people to forget": int(match[1]), "split": f"{match[2]}{match[3]}"}
        else:
            facts[name] = value
    return facts
