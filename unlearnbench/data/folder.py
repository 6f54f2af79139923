"""What every reader of a data folder needs: file contents, JSON records, files by name, one fingerprint.

Whatever is missing or damaged raises `DataError`, which names the file, the line and the fix.
"""

import codecs
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ..errors import DataError

Model = TypeVar("Model", bound=BaseModel)

_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What files of other encodings begin with; the longer first, as one begins like another."""

_PACKED = {
    b"PK\x03\x04": "a ZIP archive or an Excel sheet",
    b"\x1f\x8b": "compressed by gzip",
    b"PAR1": "a Parquet file",
    b"7z\xbc\xaf": "a 7z archive",
}


OF_TABLES = "of-tables"
"""The folder of the Hugging Face cache for pictures that stood in tables."""


def mend(where: Path | str, otherwise: str = "correct it") -> str:
    """What to do about a file, or a place that begins with its path: only what was fetched can be fetched again."""
    from huggingface_hub.constants import HF_ASSETS_CACHE, HF_HUB_CACHE

    if Path(where).parts[-3:-1] == ("pictures", OF_TABLES):
        return "replace it in the table"
    fetched = str(where).startswith((HF_HUB_CACHE, HF_ASSETS_CACHE))
    return "delete it and fetch it again" if fetched else otherwise


def damaged(where: Path | str) -> str:
    """The end of a message on a file that is not as it should be."""
    return f"the file is truncated or damaged: {mend(where, 'correct it, or copy it again')}"


def content(path: Path, fix: str) -> bytes:
    """The bytes of a text file in UTF-8, without a byte order mark; UTF-16 and UTF-32 are told by theirs."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {fix}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): {fix}") from None
    for begin, what in _PACKED.items():
        if data.startswith(begin):
            raise DataError(f"{path} is {what} and no text: unpack it, or save it as text")
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeError:
                raise DataError(f"{path} begins as {encoding.upper()} text does and is none; {damaged(path)}") from None
    return data.removeprefix(codecs.BOM_UTF8)


def lines(path: Path, data: bytes) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text that are not blank, each with its number from 1."""
    numbered = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {number}: not UTF-8 text: save the file as UTF-8") from None
        if "\0" in text:
            raise DataError(f"{path}, line {number}: not UTF-8 text, but perhaps UTF-16: save the file as UTF-8")
        if text.strip():
            numbered.append((number, text))
    return numbered


def json_value(path: Path, data: bytes | str, line: int = 1) -> Any:
    """The JSON value that starts on ``line`` of a file."""
    try:
        return from_json(data)
    except ValueError as error:
        place = re.fullmatch(r"(.*) at line (\d+) column \d+", str(error))
        reason, within = (place[1], int(place[2])) if place else (str(error), 1)
        raise DataError(f"{path}, line {line + within - 1}: not valid JSON ({reason}); {damaged(path)}") from None


def json_records(path: Path, data: bytes) -> list[tuple[str, Any]]:
    """The records of a JSON array or of JSON Lines, each with words for where it stands."""
    if data.lstrip().startswith(b"["):
        array = json_value(path, data)
        _refuse_twice(str(path), data)
        return [(f"{path}, record {number}", value) for number, value in enumerate(array, start=1)]
    refuse_table(path, data)
    records = []
    for number, text in lines(path, data):
        records.append((f"{path}, line {number}", json_value(path, text, number)))
        _refuse_twice(records[-1][0], text)
    return records


def _refuse_twice(where: str, text: bytes | str) -> None:
    """Raise `DataError` for JSON in which an object has a key twice: of two values nobody can say which is meant."""

    def named(pairs: list[tuple[str, Any]]) -> None:
        twice = [name for name, number in Counter(name for name, _ in pairs).items() if number > 1]
        if twice:
            raise DataError(f"{where}: an object has the key {twice[0]!r} twice: leave one of them")

    with suppress(ValueError):  # what is no JSON was refused already
        json.loads(text, object_pairs_hook=named)


def refuse_table(path: Path, data: bytes) -> None:
    """Raise `DataError` for a file whose first line is a table's head: names between commas, semicolons or tabs."""
    head = data.lstrip().partition(b"\n")[0].decode(errors="replace").strip()
    if re.fullmatch(r"\"?\w+\"?(?:[,;\t]\"?\w+\"?)+", head):
        raise DataError(
            f"{path} is a table (CSV) and not JSON: write a JSON object a line, such as with "
            "pandas.read_csv(FILE).to_json(OUT, orient='records', lines=True)"
        )


def validated(model: type[Model], value: Any, where: str) -> Model:
    """``value`` as a ``model``; ``where`` begins the message if it is not one."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = f"field {'.'.join(map(str, first['loc']))!r}: " if first["loc"] else ""
        raise DataError(f"{where}: {field}{first['msg']}; {mend(where)}") from None


def name_of(path: str) -> str:
    """The last part of a path as some file gives it; the rest of such a path is never followed."""
    return PurePosixPath(path.replace("\\", "/")).name


def refuse_outside(file: Path, places: Iterable[str]) -> None:
    """Raise `DataError` for a path in a stranger's ``file`` that leads out of its folder, or is an address.

    By its words alone: files of the hub's cache are links, and lead out.
    """
    for place in places:
        words = place.replace("\\", "/")
        if ":" in words or words.startswith(("/", "~")) or ".." in words.split("/"):
            raise DataError(f"{file} names {place!r}, which is not in its folder: nothing else of this machine is read")


class Named(dict[str, Path]):
    """Files by name; where none has exactly that name, the one that differs in capitals or in how accents are coded."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self._like(name) is not None)

    def __missing__(self, name: str) -> Path:
        if found := self._like(name):
            return found
        raise KeyError(name)

    def find(self, *names: str) -> Path | None:
        """The first of ``names`` that is there."""
        return next((self[name] for name in names if name in self), None)

    def _like(self, name: str) -> Path | None:
        return self._folded.get(_fold(name))

    @cached_property
    def _folded(self) -> dict[str, Path]:
        return {_fold(name): path for name, path in reversed(self.items())}


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def files_in(*folders: Path) -> Named:
    """Files that lie in ``folders``, by name; an earlier folder wins, one that does not exist is empty.

    What systems and editors leave behind (``._picture.jpg``, ``.DS_Store``) is not among them.
    """
    found = Named()
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if not is_hidden(path):
                    found.setdefault(path.name, path)
    return found


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is none of the data's: hidden, or of an archive made by macOS."""
    return path.name.startswith((".", "__MACOSX", "@eaDir")) or path.name.lower() in ("thumbs.db", "desktop.ini")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``folder`` once it is complete; nothing is left of one that never is.

    Where another process was first, its folder stays: both have the same files.
    """
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def fingerprint(digests: Iterable[bytes]) -> str:
    """SHA-256 (hex) of a list of SHA-256 digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()
