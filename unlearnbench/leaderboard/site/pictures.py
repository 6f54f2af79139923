"""The pictures beside sample answers: small copies, each once, of files that lie within the data's folder."""

import hashlib
import io
from pathlib import Path

from ...data.pictures import inside, picture_of
from ...data.source import locate
from ...errors import DataError
from ...results.row import Row

SIDE = 160
"""Longer side of a copy, in pixels."""


class Pictures:
    """Copies pictures of samples into a folder of the site.

    Those of data that ship with the package are always at hand. Of others only the user knows whether they may be
    published: they are taken from the folder that the user names, if any.
    """

    def __init__(self, target: Path, data: Path | None) -> None:
        self.target, self.data = target, data
        self._made: dict[Path, str | None] = {}

    def of(self, row: Row, image: str | None) -> str | None:
        """The name of the copy; None where the picture is not at hand or is none."""
        if image is None:
            return None
        folder = locate("embedded", row.task.name).folder if row.task.data.source == "embedded" else self.data
        if folder is None:
            return None
        try:
            path = inside(folder, image)
        except DataError:
            return None
        if path not in self._made:
            self._made[path] = self._copy(path)
        return self._made[path]

    def _copy(self, path: Path) -> str | None:
        """Drawn anew from its pixels, so that nothing else in the file gets onto a page."""
        try:
            picture = picture_of(path)
        except DataError:
            return None
        picture.thumbnail((SIDE, SIDE))
        data = io.BytesIO()
        picture.save(data, "PNG")
        name = f"{hashlib.sha256(data.getvalue()).hexdigest()[:16]}.png"
        self.target.mkdir(exist_ok=True, parents=True)
        (self.target / name).write_bytes(data.getvalue())
        return name
