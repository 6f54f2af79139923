"""A method's work on visual tokens as a picture: a face, where the question attends, which tokens are replaced.

Drawn from what a task stored with its samples (``explanation``), so for any method that explains its edits.
"""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError, model_validator

from ..errors import DataError
from .plots import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4
"""Samples shown in one picture."""

_WIDTH = 46
"""Characters in a line of text beneath a face."""


class Explanation(BaseModel):
    """What was done to one picture: visual tokens lie on ``grid`` (rows, columns) in reading order."""

    image: str
    grid: tuple[int, int]
    flagged: bool
    scores: tuple[float, ...] | None
    chosen: tuple[int, ...]

    @model_validator(mode="after")
    def _fits(self) -> "Explanation":
        rows, columns = self.grid
        size = rows * columns
        if rows < 1 or columns < 1 or not all(0 <= index < size for index in self.chosen):
            raise ValueError("tokens outside of the grid")
        if self.scores is not None and len(self.scores) != size:
            raise ValueError(f"{len(self.scores)} scores for {size} tokens")
        return self


def explained(samples: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Explanation]]:
    """The samples that carry an explanation; raises `DataError` for one that is damaged."""
    for sample in samples:
        if "explanation" in sample:
            try:
                yield sample, Explanation.model_validate(sample["explanation"])
            except ValidationError as error:
                why = error.errors(include_url=False)[0]["msg"]
                raise DataError(f"explanation of sample {sample.get('id')}: {why}; run the cell again") from None


def inside(folder: Path, name: str) -> Path:
    """The file of that name in ``folder``; raises `DataError` if it leads out of it or is not there."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise DataError(f"picture {name!r} is not in {folder}; give the data's folder with --data")
    return path


@styled
def attention(samples: Sequence[dict[str, Any]], folder: Path, title: str) -> "Figure | None":
    """Faces of the first explained samples with their attention maps; None if no sample is explained."""
    shown = list(explained(samples))[:MOST]
    if not shown:
        return None
    figure, axes = new_figure(2.6 * len(shown), 5.6, rows=2, columns=len(shown))
    drawn = None
    scores = [score for _, explanation in shown for score in explanation.scores or ()]
    limits = (min(scores), max(scores)) if scores else (0.0, 1.0)
    for place, (sample, explanation) in enumerate(shown):
        face, map_ = axes[place], axes[place + len(shown)]
        _face(face, inside(folder, explanation.image))
        drawn = _map(map_, inside(folder, explanation.image), explanation, limits) or drawn
        face.set_title(_text(sample, explanation), fontsize=6.5, loc="left", pad=4)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes[len(shown) :], location="bottom", shrink=0.5, aspect=40, pad=0.03)
        bar.set_label("attention of the question to each visual token; outlined: replaced", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    figure.suptitle(title, fontsize=8, x=0.01, ha="left")
    return figure


def _text(sample: dict[str, Any], explanation: Explanation) -> str:
    gate = "" if explanation.flagged else "\n(not recognised as somebody to be forgotten)"
    lines = (f"Q: {sample['question']}", f"truth: {sample['answer']}", f"model: {sample['prediction']}")
    return (
        "\n".join(textwrap.shorten(line, 2 * _WIDTH) if len(line) > _WIDTH else line for line in _wrapped(lines)) + gate
    )


def _wrapped(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(line, _WIDTH)[:3]


def _face(axes: "Axes", path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        axes.imshow(image.convert("RGB"))
    axes.set_axis_off()


def _map(axes: "Axes", path: Path, explanation: Explanation, limits: tuple[float, float]) -> Any:
    """The face in grey under its attention map, replaced tokens outlined; returns what the colour bar is for."""
    import numpy as np
    from matplotlib.patches import Rectangle
    from PIL import Image

    rows, columns = explanation.grid
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    with Image.open(path) as image:
        axes.imshow(image.convert("L"), cmap="gray", extent=extent, aspect="auto")
    shown = None
    if explanation.scores is not None:
        scores = np.array(explanation.scores).reshape(rows, columns)
        shown = axes.imshow(
            scores, cmap="viridis", alpha=0.65, extent=extent, aspect="auto", vmin=limits[0], vmax=limits[1]
        )
    for index in explanation.chosen:
        corner = (index % columns - 0.5, index // columns - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.6))
    axes.set_box_aspect(rows / columns)
    axes.set_axis_off()
    return shown
