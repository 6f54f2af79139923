"""What every reader of a data folder needs: file contents, JSON records, pictures by name, one fingerprint.

Whatever is missing or damaged raises `DataError`, which names the file, the line and the fix.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ..errors import DataError

Model = TypeVar("Model", bound=BaseModel)

DAMAGED = "the file is truncated or damaged: fetch it again"


def content(path: Path, fix: str) -> bytes:
    """The bytes of a file, without a byte order mark."""
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {fix}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): {fix}") from None


def lines(path: Path, data: bytes) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text that are not blank, each with its number from 1."""
    numbered = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {number}: not UTF-8 text; {DAMAGED}") from None
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
        raise DataError(f"{path}, line {line + within - 1}: not valid JSON ({reason}); {DAMAGED}") from None


def json_records(path: Path, data: bytes) -> list[tuple[str, Any]]:
    """The records of a JSON array or of JSON Lines, each with words for where it stands."""
    if data.lstrip().startswith(b"["):
        array = json_value(path, data)
        return [(f"{path}, record {number}", value) for number, value in enumerate(array, start=1)]
    return [(f"{path}, line {number}", json_value(path, text, number)) for number, text in lines(path, data)]


def validated(model: type[Model], value: Any, where: str) -> Model:
    """``value`` as a ``model``; ``where`` begins the message if it is not one."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = f"field {'.'.join(map(str, first['loc']))!r}: " if first["loc"] else ""
        raise DataError(f"{where}: {field}{first['msg']}; correct it or fetch the file again") from None


def name_of(path: str) -> str:
    """The last part of a path as some file gives it; the rest of such a path is never followed."""
    return PurePosixPath(path.replace("\\", "/")).name


def files_in(*folders: Path) -> dict[str, Path]:
    """Files that lie in ``folders``, by name; an earlier folder wins, one that does not exist is empty."""
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                found.setdefault(path.name, path)
    return found


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


def picture_digests(paths: Iterable[Path]) -> list[bytes]:
    """SHA-256 of each picture file, in order, after decoding it: no later step meets a damaged one."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_picture_digest, paths))


def fingerprint(digests: Iterable[bytes]) -> str:
    """SHA-256 (hex) of a list of SHA-256 digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _picture_digest(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        with Image.open(BytesIO(data)) as image:
            image.verify()  # checksums, in formats that have them
        with Image.open(BytesIO(data)) as image:
            image.draft("RGB", (64, 64))  # a JPEG is still read to its end, but an eighth of its pixels is computed
            image.load()
    except Exception as error:  # decoders raise all kinds of exception on damaged files
        raise DataError(f"picture {path} cannot be decoded ({_reason(error)}): replace it or fetch it again") from None
    return hashlib.sha256(data).digest()


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return " ".join(str(error).split()) or type(error).__name__
