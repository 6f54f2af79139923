"""A method's work on visual tokens as a picture: a face, where the question attends, which tokens are replaced.

Drawn from what a task stored with its samples (``explanation``), so for any method that explains its edits. Of a sample
about several pictures it may be a list, one explanation a picture.
"""

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from ..analysis.facts import printable
from ..data.pictures import inside, picture_of
from ..errors import DataError
from .plots import empty_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

MOST = 6
"""Samples shown in one picture."""

_ACROSS = 3
"""Samples beside each other."""
_SIDE = 1.3
"""Of one face, in inches."""
_FONT = 6.5
"""Size of the text beneath a face, in points."""
_WIDTH = 54
"""Characters in a line of it: what two faces' width holds."""
_LINES = 3
"""Lines of a question or an answer at most."""


Share = Annotated[float, Field(gt=0, le=1)]


class PictureExplained(BaseModel):
    """What was done to one picture, an `unlearnbench.Explanation` and its file.

    Visual tokens lie on ``grid`` (rows, columns) in reading order.

    ``covers`` is how much of the grid's height and width the picture takes, from its upper left corner.
    """

    image: str
    grid: tuple[int, int]
    covers: tuple[Share, Share] = (1.0, 1.0)
    flagged: bool
    scores: tuple[FiniteFloat, ...] | None = None
    chosen: tuple[int, ...]

    @model_validator(mode="after")
    def _fits(self) -> "PictureExplained":
        rows, columns = self.grid
        size = rows * columns
        if rows < 1 or columns < 1 or not all(0 <= index < size for index in self.chosen):
            raise ValueError("tokens outside of the grid")
        if self.scores is not None and len(self.scores) != size:
            raise ValueError(f"{len(self.scores)} scores for {size} tokens")
        return self


@dataclass(frozen=True)
class Explained:
    """A sample's text, its picture, and what was done to it."""

    text: str
    picture: "Image"
    explanation: PictureExplained


def attention(
    samples: Sequence[dict[str, Any]], folder: Path, title: str, skipped: Callable[[str], None]
) -> "Figure | None":
    """Faces of the first explained samples with their attention maps; None if no sample is explained.

    Samples of different pictures come first. What is wrong with a sample that is left out goes to ``skipped``.
    """
    shown = [*islice(_readable(samples, folder, skipped), MOST)]
    return _drawn(shown, title) if shown else None


def _readable(samples: Sequence[dict[str, Any]], folder: Path, skipped: Callable[[str], None]) -> Iterator[Explained]:
    for sample, facts in _one_picture_after_the_other(samples):
        try:
            explanation = _explanation(facts)
            yield Explained(_text(sample, explanation), picture_of(inside(folder, explanation.image)), explanation)
        except DataError as error:
            skipped(printable(f"sample {sample.get('id')}: {error}"))


def _one_picture_after_the_other(samples: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The explained samples with an explanation each: the first of every picture, then the second, and so on."""
    by_picture: dict[str, list[tuple[dict[str, Any], Any]]] = defaultdict(list)
    for sample in samples:
        explained = sample.get("explanation", ())
        for facts in explained if isinstance(explained, list | tuple) else [explained]:
            by_picture[str(facts.get("image")) if isinstance(facts, dict) else ""].append((sample, facts))
    for turn in zip_longest(*by_picture.values()):
        yield from (each for each in turn if each is not None)


def _explanation(facts: Any) -> PictureExplained:
    try:
        return PictureExplained.model_validate(facts)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise DataError(f"damaged explanation: {why}; run the cell again") from None


@styled
def _drawn(shown: Sequence[Explained], title: str) -> "Figure":
    """Two rows of the figure a row of samples: pictures, and the text beneath them."""
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    lines = max(each.text.count("\n") for each in shown) + 1
    height = lines * _FONT * 1.3 / 72  # inches of text
    figure = empty_figure(max(2 * _SIDE * across, 3.6) + 0.3 * (across - 1), down * (_SIDE + height) + 0.9)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02, wspace=0.02, hspace=0.02)
    grid = figure.add_gridspec(2 * down, 2 * across, height_ratios=[_SIDE, height] * down)
    scores = [score for each in shown for score in each.explanation.scores or ()]
    limits = (min(scores), max(scores)) if scores else (0.0, 1.0)
    coloured, maps = None, []
    for place, each in enumerate(shown):
        row, column = 2 * (place // across), 2 * (place % across)
        face, map_, below = (figure.add_subplot(grid[at]) for at in (
            (row, column), (row, column + 1), (row + 1, slice(column, column + 2)),
        ))  # fmt: skip
        face.imshow(each.picture, aspect="auto")
        coloured = _map(map_, each, limits) or coloured
        maps.append(map_)
        below.text(0, 1, each.text, transform=below.transAxes, va="top", fontsize=_FONT).set_in_layout(False)
        for axes in (face, map_, below):
            axes.set_axis_off()
        for axes in (face, map_):
            axes.set_box_aspect(each.picture.height / each.picture.width)
    if coloured is not None:
        bar = figure.colorbar(coloured, ax=figure.axes, location="bottom", shrink=0.5, aspect=45, pad=0.02)
        bar.set_label("attention of the question to a visual token (outlined: replaced)", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    figure.suptitle(printable(title), fontsize=9, x=0.01, ha="left")
    return figure


def _text(sample: dict[str, Any], explanation: PictureExplained) -> str:
    said = (("Q", "question"), ("truth", "answer"), ("model", "prediction"))
    lines = [line for name, field in said for line in _wrapped(f"{name}: {sample.get(field, '')}")]
    return "\n".join(lines if explanation.flagged else [*lines, "(not recognised as somebody to be forgotten)"])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(printable(text), _WIDTH, max_lines=_LINES, placeholder=" …")


def _map(axes: "Axes", each: Explained, limits: tuple[float, float]) -> Any:
    """The face in grey under its attention map, replaced tokens outlined; returns what the colour bar is for."""
    import numpy as np
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    rows, columns = each.explanation.grid
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    right, bottom = (
        share * size - 0.5 for share, size in zip(each.explanation.covers[::-1], (columns, rows), strict=True)
    )
    picture = each.picture.convert("L")
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(-0.5, right, bottom, -0.5), aspect="auto")
    shown = None
    if each.explanation.scores is not None:
        scores = np.array(each.explanation.scores).reshape(rows, columns)
        shown = axes.imshow(
            scores, cmap="viridis", alpha=0.65, extent=extent, aspect="auto", interpolation="nearest",
            vmin=limits[0], vmax=limits[1],
        )  # fmt: skip
    squares = [Rectangle((i % columns - 0.5, i // columns - 0.5), 1, 1) for i in each.explanation.chosen]
    width = min(1.3, 20 / columns)  # outlines of a fine grid would cover it
    axes.add_collection(PatchCollection(squares, facecolor="none", edgecolor="#D55E00", linewidth=width))
    axes.set(xlim=(-0.5, right), ylim=(bottom, -0.5))  # what lies beyond is empty canvas
    return shown
