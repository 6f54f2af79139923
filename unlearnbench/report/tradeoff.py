"""What forgetting costs: a point a line, the first metric of the group Forget against the first of Retain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.columns import Column
from ..analysis.comparison import Comparison
from ..analysis.facts import printable
from ..analysis.lines import Line
from ..analysis.means import Mean
from ..metrics.direction import best_near_retrained
from .plots import COLOURS, GREY, MARKERS, legend_text, named, new_figure, shares, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CROWD = 16
"""Lines from which the legend names methods alone, without their settings."""

_LONGEST = 44
"""Characters of an entry of the legend."""

_NEAR = 0.16
"""Share of both axes that a second panel shows, if several points lie there."""

Window = tuple[tuple[float, float], tuple[float, float]]
"""Of both axes, from and to."""


@dataclass(frozen=True)
class Point:
    """Where a line lies, and how it looks."""

    name: str
    x: Mean
    y: Mean
    colour: str
    marker: str
    hollow: bool

    @property
    def at(self) -> tuple[float, float]:
        """The means."""
        assert self.x.mean is not None
        assert self.y.mean is not None
        return self.x.mean, self.y.mean


@styled
def trade_off(comparison: Comparison) -> "Figure | None":
    """The points of all lines with their intervals; None if either metric is missing.

    Where several lie at the better corner, a second panel shows this corner alone.
    """
    forget, retain = (_first(comparison, group) for group in ("Forget", "Retain"))
    if forget is None or retain is None or not (points := [*_points(comparison, forget, retain)]):
        return None
    limits = shares([point.x for point in points]), shares([point.y for point in points])
    corner = _corner(limits, forget, retain)
    window = _window(corner, limits)
    crowded = sum(_is_within(point, window) for point in points) > 1
    longest = max(len(point.name) for point in points)
    figure, axes = new_figure((6.2 if crowded else 3.8) + 0.07 * longest, 3.2, 2 if crowded else 1)
    _draw(axes[0], points, limits)
    _better(axes[0], points, (_aim(comparison, forget, corner[0]), corner[1]), limits)
    axes[0].set_title(printable(comparison.model), loc="left", fontsize=9)
    if crowded:
        _draw(axes[1], points, window)
        (left, right), (bottom, top) = window
        axes[0].indicate_inset((left, bottom, right - left, top - bottom), edgecolor=GREY, alpha=0.8)
        axes[1].set_title("the marked corner", loc="left", fontsize=9, color=GREY)
    for panel in axes:
        panel.set_xlabel(named(forget))
        panel.set_ylabel(named(retain))
    figure.legend(*_entries(points), loc="outside right center")
    return figure


def _first(comparison: Comparison, group: str) -> Column | None:
    return next((column for column in comparison.columns if column.group == group), None)


def _points(comparison: Comparison, forget: Column, retain: Column) -> Iterator[Point]:
    """A point for every line that has both values; lines of the same name look alike."""
    crowded = len(comparison.lines) > CROWD
    looks: dict[str, tuple[str, str]] = {}
    for line, x, y in zip(comparison.lines, forget.cells, retain.cells, strict=True):
        if x is None or y is None or x.mean is None or y.mean is None:
            continue
        words = [line.method] if crowded else [line.method, *comparison.settings(line)]
        name = legend_text(" ".join(words), _LONGEST)
        colour, marker = looks.setdefault(name, _look(line, looks))
        yield Point(name, x, y, colour, marker, not line.is_method)


def _look(line: Line, taken: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Colour and marker of a new entry: colours for methods, grey for references."""
    marker = MARKERS[len(taken) % len(MARKERS)]
    coloured = sum(colour != GREY for colour, _ in taken.values())
    return (COLOURS[coloured % len(COLOURS)] if line.is_method else GREY), marker


def _draw(axes: "Axes", points: Sequence[Point], limits: Window) -> None:
    """All points with their intervals, those of references hollow and beneath."""
    for point in sorted(points, key=lambda point: not point.hollow):
        axes.errorbar(
            *point.at, xerr=point.x.half_width, yerr=point.y.half_width, fmt=point.marker, elinewidth=0.9, capsize=2,
            zorder=3, **_face(point),
        )  # fmt: skip
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])


def _entries(points: Sequence[Point]) -> "tuple[list[Line2D], list[str]]":
    """Markers without error bars, and names, of the legend, in the order of the lines."""
    from matplotlib.lines import Line2D

    first = {point.name: point for point in reversed(points)}
    ordered = [first[name] for name in dict.fromkeys(point.name for point in points)]
    handles = [Line2D([], [], linestyle="none", marker=point.marker, **_face(point)) for point in ordered]
    return handles, [point.name for point in ordered]


def _face(point: Point) -> dict[str, Any]:
    """How its marker is filled and edged: references are hollow, methods set off from what lies beneath."""
    if point.hollow:
        return {"markersize": 7, "color": point.colour, "markerfacecolor": "white", "markeredgewidth": 1.0}
    return {"markersize": 7.5, "color": point.colour, "markeredgecolor": "white", "markeredgewidth": 0.5}


def _corner(limits: Window, forget: Column, retain: Column) -> tuple[float, float]:
    """Where the best method would be: little of the one and much of the other, where a metric does not say."""
    x = limits[0][1] if forget.higher_is_better else limits[0][0]
    y = limits[1][0] if retain.higher_is_better is False else limits[1][1]
    return x, y


def _aim(comparison: Comparison, forget: Column, otherwise: float) -> float:
    """How much the retrained model knows of the forget set: to know less is not better."""
    cells = [cell for line, cell in zip(comparison.lines, forget.cells, strict=True) if line.is_ideal and cell]
    means = [cell.mean for cell in cells if cell.mean is not None]
    return means[0] if len(means) == 1 and best_near_retrained(forget.name, forget.direction) else otherwise


def _window(corner: tuple[float, float], limits: Window) -> Window:
    """The same share of both axes at the corner, so that distances stay comparable."""
    x, y = (
        (low, low + _NEAR * (high - low)) if end == low else (high - _NEAR * (high - low), high)
        for end, (low, high) in zip(corner, limits, strict=True)
    )
    return x, y


def _is_within(point: Point, window: Window) -> bool:
    return all(low <= value <= high for value, (low, high) in zip(point.at, window, strict=True))


def _better(axes: "Axes", points: Sequence[Point], aim: tuple[float, float], limits: Window) -> None:
    """An arrow towards where the best method would be, where there is most room for it."""
    (left, right), (bottom, top) = limits
    taken = [((x - left) / (right - left), (y - bottom) / (top - bottom)) for p in points for x, y in _extent(p)]
    steps = [0.2 + 0.05 * i for i in range(13)]

    def room(at: tuple[float, float]) -> float:
        return min((at[0] - x) ** 2 + (at[1] - y) ** 2 for x, y in taken)

    roomiest = max(((x, y) for x in steps for y in steps), key=room)
    goal = (aim[0] - left) / (right - left), (aim[1] - bottom) / (top - bottom)
    towards = [max(-0.09, min(0.09, end - start)) for end, start in zip(goal, roomiest, strict=True)]
    axes.annotate(
        "better", xy=(roomiest[0] + towards[0], roomiest[1] + towards[1]), xytext=roomiest,
        xycoords="axes fraction", textcoords="axes fraction", ha="center", va="center", color=GREY, style="italic",
        arrowprops={"arrowstyle": "->", "color": GREY},
    )  # fmt: skip


def _extent(point: Point) -> Iterator[tuple[float, float]]:
    """Places that the point and its intervals cover."""
    x, y = point.at
    for step in range(-4, 5):
        yield x + step / 4 * (point.x.half_width or 0), y
        yield x, y + step / 4 * (point.y.half_width or 0)
