"""Reads tables with pictures in Parquet files, as the hub has them, without holding the pictures in memory."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from .folder import appearing, damaged

_ROWS = 32
"""Rows read at a time where pictures are."""
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")

Fields = dict[str, Any]


def parquet_files(root: Path) -> list[Path]:
    """The Parquet files in ``root`` or in its ``data`` or ``Full`` folder; raises `DataError` where shards lack."""
    for folder in (root, root / "data", root / "Full"):
        if files := sorted(folder.glob("*.parquet")):
            _check_shards(files)
            return files
    return []


def _check_shards(files: Sequence[Path]) -> None:
    """Of ``NAME-00000-of-00004.parquet`` all four must be there: with fewer, scores would be of a part."""
    for path in files:
        if match := _SHARD.search(path.name):
            kind, whole = path.name[: match.start()], int(match[2])
            there = {m[1] for each in files if each.name.startswith(kind) and (m := _SHARD.search(each.name))}
            if len(there) != whole:
                raise DataError(f"{path.parent}: {len(there)} of {whole} files {kind}-*.parquet are there: fetch all")


class ParquetTable:
    """Rows of some Parquet files, and the pictures in their column ``image`` as files."""

    def __init__(self, files: Sequence[Path], columns: tuple[str, ...]) -> None:
        self.files, self.columns = files, columns

    def rows(self) -> Iterator[tuple[str, Fields]]:
        """Every row without its picture, with words for where it stands."""
        for path in self.files:
            number = 0
            for batch in self._batches(path, self.columns, 4096):
                for row in batch:
                    number += 1
                    yield f"{path}, row {number}", row

    def pictures(self, name: Callable[[Fields], str]) -> Path:
        """A folder in the Hugging Face cache with every picture in the files, written there once.

        ``name`` gives the place within the folder of a row's picture, and must not lead out of it.
        """
        from huggingface_hub import cached_assets_path

        try:
            folder = cached_assets_path("unlearnbench", namespace="pictures", subfolder=self._state()) / "files"
            if not folder.is_dir():
                self._unpack(folder, name)
        except (OSError, ValueError) as error:  # ValueError: a file is where a folder should be
            raise DataError(f"the Hugging Face cache cannot be written ({error}): make room or set HF_HOME") from None
        return folder

    def _state(self) -> str:
        """A digest of which files these are: paths, sizes and times of change, as they may be too large to read."""
        facts = [(str(path.resolve()), (state := path.stat()).st_size, state.st_mtime_ns) for path in self.files]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]

    def _unpack(self, folder: Path, name: Callable[[Fields], str]) -> None:
        with appearing(folder) as unfinished:
            for path in self.files:
                number = 0
                for batch in self._batches(path, (*self.columns, "image"), _ROWS):
                    for row in batch:
                        number += 1
                        _write(unfinished / name(row), row["image"], f"{path}, row {number}")

    def _batches(self, path: Path, columns: tuple[str, ...], size: int) -> Iterator[list[Fields]]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(path) as file:
                if missing := [name for name in columns if name not in file.schema_arrow.names]:
                    raise DataError(f"{path} has no column {missing[0]!r}; {damaged(path)}")
                for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                    yield batch.to_pylist()
        except (ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is no readable Parquet file ({reason}); {damaged(path)}") from None


def _write(path: Path, image: Any, where: str) -> None:
    if path.exists():  # questions about one picture repeat it
        return
    data = image.get("bytes") if isinstance(image, dict) else None
    if not data:
        raise DataError(f"{where}: the picture is missing; {damaged(where)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
