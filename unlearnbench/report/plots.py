"""Comparisons as pictures: what forgetting costs, and what a parameter does."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .comparison import Column, Comparison, Line
from .terminal import ARROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart, and a brown."""

MARKERS = "osD^vPX*<>"
GREY = "#7F7F7F"
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "pdf.fonttype": 42, "text.parse_math": False,
}  # fmt: skip


def trade_off(comparison: Comparison) -> "Figure | None":
    """The first metric of the group Forget against the first of Retain, a point a line; None if either is missing."""
    forget, retain = (_first(comparison, group) for group in ("Forget", "Retain"))
    if forget is None or retain is None:
        return None
    figure, (axes,) = new_figure(6.4, 4.0)
    colours: dict[str, str] = {}
    for place, line in enumerate(comparison.lines):
        x, y = forget.cells[place], retain.cells[place]
        if x is None or y is None or x.mean is None or y.mean is None:
            continue
        colour = colours.setdefault(line.method, COLOURS[len(colours) % len(COLOURS)]) if line.is_method else GREY
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=x.half_width,
            yerr=y.half_width,
            fmt=MARKERS[place % len(MARKERS)],
            color=colour,
            markerfacecolor=colour if line.is_method else "white",
            markersize=7,
            elinewidth=0.8,
            capsize=2,
            label=" ".join([line.method, *comparison.settings(line)])[:48],
            zorder=3,
        )
    for column, limits, name in ((forget, axes.set_xlim, axes.set_xlabel), (retain, axes.set_ylim, axes.set_ylabel)):
        limits(-0.04, 1.04)
        name(f"{column.group} {column.label} {ARROWS[column.higher_is_better]}")
    across = "left" if forget.higher_is_better is False else "right"
    axes.annotate(
        "better", (0.02 if across == "left" else 0.98, 0.985), xycoords="axes fraction", ha=across, va="top",
        color=GREY, style="italic",
    )  # fmt: skip
    axes.set_title(comparison.model, loc="left", fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def sweeps(comparison: Comparison) -> "Iterator[tuple[str, Figure]]":
    """A figure for every number that at least three otherwise equal lines of a method differ in, with its name."""
    shown = [column for column in comparison.columns if not column.is_cost and column.higher_is_better is not None]
    for (method, name), places in _swept(comparison).items():
        figure, (axes,) = new_figure(6.4, 3.6)
        groups = list(dict.fromkeys(column.group for column in shown))
        for order, group in enumerate(groups):
            column = next(column for column in shown if column.group == group)
            _curve(axes, column, places, COLOURS[order % len(COLOURS)], MARKERS[order])
        axes.set_xlabel(name)
        axes.set_ylim(-0.04, 1.04)
        axes.set_title(f"{method}, {comparison.model}", loc="left", fontsize=9)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        yield file_name(f"{method}-{name}"), figure


def file_name(text: str) -> str:
    """Text that is safe in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip(".-") or "unnamed"


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of this size in inches and its axes, bound to no window and no global state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


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
