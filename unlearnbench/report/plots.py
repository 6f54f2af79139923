"""What the pictures share: their size, style and colours, and the names of their files."""

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from ..analysis.columns import Column
from ..analysis.facts import printable
from ..analysis.means import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart, and a brown."""

MARKERS = "osD^vPXp<>h"
GREY = "#7F7F7F"
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "legend.fontsize": 8, "pdf.fonttype": 42, "text.parse_math": False,
}  # fmt: skip

_NAME = 80
"""Longest name of a file, in characters."""


def styled(draw: Callable[..., T]) -> Callable[..., T]:
    """A function that draws in `STYLE` and leaves the user's own settings of matplotlib alone."""

    @wraps(draw)
    def drawn(*given: Any, **named: Any) -> T:
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            return draw(*given, **named)

    return drawn


def new_figure(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of this size in inches with axes beside each other, bound to no window and no global state."""
    figure = empty_figure(width, height)
    return figure, list(figure.subplots(1, columns, squeeze=False).flat)


def empty_figure(width: float, height: float) -> "Figure":
    """A figure of this size in inches without axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def named(column: Column) -> str:
    """What a metric is called on an axis or in a legend."""
    return f"{column.group} {column.label} {column.arrow}".rstrip()


def shares(estimates: Iterable[Mean]) -> tuple[float, float]:
    """Limits of an axis of shares: 0 to 1 with a margin, more where a mean lies beyond."""
    means = [estimate.mean for estimate in estimates if estimate.mean is not None]
    low, high = min([0.0, *means]), max([1.0, *means])
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def legend_text(text: str, longest: int) -> str:
    """Text from a row as an entry of a legend, which matplotlib would leave out if it began with an underscore."""
    shown = printable(text)
    shown = shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
    return f" {shown}" if shown.startswith("_") else shown


def file_name(text: str) -> str:
    """Text that is safe in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:_NAME].strip(".-") or "unnamed"
