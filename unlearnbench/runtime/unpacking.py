"""Reading what was packed by xz and came from strangers: in a stream, with limits on memory and on what comes out."""

import io
import lzma
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from ..errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LARGEST_DICTIONARY = 128 * 2**20
"""Bytes of memory that unpacking may take besides: xz lets a file ask for gigabytes."""
DICTIONARY = 64 * 2**20
"""Bytes of content in which what comes again is looked for in packing."""
_BLOCK = 1 << 18


class Unpacked(io.RawIOBase):
    """What a packed file unpacks to, front to back; raises `DataError` where it is damaged or more than ``most``."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most, self._count = file, most, 0
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LARGEST_DICTIONARY)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """The next bytes, and how many; 0 at the end, which must be the end of the file, too."""
        room = memoryview(buffer).cast("B")
        while not self._decoder.eof:
            block = self._file.read(_BLOCK) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not block:
                raise DataError("is cut short")
            try:
                data = self._decoder.decompress(block, len(room))
            except lzma.LZMAError as error:
                raise DataError(f"cannot be unpacked ({error})") from None
            self._count += len(data)
            if self._count > self._most:
                raise DataError(f"unpacks to more than {self._most >> 20} MiB")
            if data:
                room[: len(data)] = data
                return len(data)
        if self._decoder.unused_data or self._file.read(1):
            raise DataError("has something behind its end")
        return 0


@contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """A file to be read front to back, unpacked where its name ends in ``.xz``; it may not unpack to more than so."""
    with path.open("rb") as file:
        yield cast("BinaryIO", io.BufferedReader(Unpacked(file, most), _BLOCK)) if path.suffix == ".xz" else file


def unpacked(path: Path, most: int) -> IO[bytes]:
    """What a packed file holds, in a temporary file to be read in any order, which goes when it is closed."""
    whole = TemporaryFile()  # noqa: SIM115 - it is handed on
    with opened(path, most) as file:
        shutil.copyfileobj(file, whole, _BLOCK)
    return whole


@contextmanager
def packing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, packed where its name ends in ``.xz``."""
    if path.suffix != ".xz":
        with path.open("wb") as file:
            yield file
        return
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY}]
    with lzma.open(path, "wb", format=lzma.FORMAT_XZ, filters=filters) as packed:
        yield cast("BinaryIO", packed)
