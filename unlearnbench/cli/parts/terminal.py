"""Whatever terminal, pipe or locale there is: what was computed is shown, in other letters if need be."""

import codecs
import errno
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

NARROW = 40
"""Columns that a table gets at least: on a narrower terminal its lines are broken, but nothing of it is cut off."""

LOOKALIKES = str.maketrans(
    {
        "↓": "v", "↑": "^", "←": "<", "→": ">", "↔": "=", "×": "x", "±": "+-", "·": ".", "•": "*", "…": "...", "≈": "~",
        "≤": "<=", "≥": ">=", "−": "-", "–": "-", "—": "-", "─": "-", "━": "-", "│": "|", "┃": "|", "═": "=", "║": "|",
        "‘": "'", "’": "'", "“": '"', "”": '"', "✓": "+", "✗": "x",
    }
)  # fmt: skip
"""What stands for letters of our tables where the terminal has no such letter."""

_GONE = {errno.EPIPE, errno.EIO}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_LEGIBLE = "unlearnbench.legible"


@contextmanager
def prepared() -> Iterator[None]:
    """Within, nothing that is printed fails: not for a letter, a reader that has gone, or a width of zero."""
    _open_what_is_closed()
    codecs.register_error(_LEGIBLE, _legible)
    before = sys.stdout, sys.stderr
    columns = os.environ.get("COLUMNS")
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr)
    _widen()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before
        if columns is not None:
            os.environ["COLUMNS"] = columns
        else:
            os.environ.pop("COLUMNS", None)


def advice(error: OSError) -> str | None:
    """What to say of an error of the file system that its user can mend."""
    if isinstance(error, FileNotFoundError) and "usable temporary directory" in str(error):
        return "temporary files cannot be written anywhere: free some space, or set TMPDIR to a folder with room"
    if error.errno in _NO_ROOM:
        where = error.filename or f"the output, or a temporary file in {tempfile.gettempdir()}"
        return f"{where}: {error.strerror}: free some space or choose another folder"
    return None


class _Patient(io.FileIO):
    """A file whose reader may go away, as ``head`` does: what is written then is dropped, and the work goes on."""

    def write(self, data: Any) -> int:
        """All of it, or nothing if nobody reads."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return len(memoryview(data).cast("B"))


def _patient(stream: TextIO | None) -> TextIO:
    """The same stream, to which nothing fails to be written; a scratch one where there is none."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):  # a test's, or a notebook's
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_LEGIBLE)
        return stream
    stream.flush()
    raw = io.BufferedWriter(_Patient(number, "w", closefd=False))
    at_once = stream is sys.stderr or stream.isatty() or getattr(stream, "write_through", False)
    return io.TextIOWrapper(raw, stream.encoding, _LEGIBLE, line_buffering=at_once)


def _legible(error: UnicodeError) -> tuple[bytes, int]:
    """For letters that a terminal lacks: their lookalikes, or JSON's escapes, which are the text itself in JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    data = error.object.lstrip()[:1] in ("{", "[")
    letters = (_letter(each, data=data) for each in error.object[error.start : error.end])
    return b"".join(letters), error.end


def _letter(letter: str, *, data: bool) -> bytes:
    if not data and "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00])  # a byte of a file's name, as it was
    shown = letter if data else letter.translate(LOOKALIKES)
    return shown.encode() if shown.isascii() else b"".join(b"\\u%04x" % unit for unit in _units(letter))


def _units(letter: str) -> Iterator[int]:
    """The 16-bit numbers that JSON's escapes are made of."""
    data = letter.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))


def _open_what_is_closed() -> None:
    """Let no file that is opened later take the number of a closed standard stream, to be written to by chance."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _widen() -> None:
    """Let tables be `NARROW` columns wide at least, whatever the environment or the terminal says."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) == 0:
        del os.environ["COLUMNS"]  # not known, and so as where it is not set
        given = ""
    if (int(given) if given.isdecimal() else shutil.get_terminal_size().columns) < NARROW:
        os.environ["COLUMNS"] = str(NARROW)
