"""Tables, row by row: CSV, JSON Lines, Parquet, and datasets of the hub, read by ``datasets``.

Every row comes with words for where it stands. CSV is read as text, so that "007", "NA" and "1985-04-12" stay what they
are. For the same reason JSON is not read by ``datasets``, which takes such texts for times and mixed types for faults.
"""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import DataError, UnlearnbenchError, UsageError
from ..runtime.atomic import atomic_write
from .folder import OF_TABLES, content, damaged, is_hidden, json_records, lines, mend, refuse_outside
from .hub import quiet_client

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""Names of tables end so, whatever the case."""

_SEPARATORS = ",;\t|"
_NAMED = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}
_BATCH = 64
"""Rows held at a time, as they may have pictures in them."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class TableRows:
    """The names of the columns, and the rows, to be gone through once. A cell is of JSON's types, or a picture.

    A picture within the table is its bytes, or a dictionary of ``bytes`` and ``path``.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[str, Fields]]


def picture_file(data: bytes) -> Path:
    """A picture of a table as a file in the Hugging Face cache, which is named by its content and written once."""
    from huggingface_hub import cached_assets_path

    try:
        path = cached_assets_path("unlearnbench", namespace="pictures", subfolder=OF_TABLES) / sha256(data).hexdigest()
        if not path.is_file():
            with atomic_write(path) as unfinished:
                unfinished.write_bytes(data)
    except (OSError, ValueError) as error:  # ValueError: a file is where a folder should be
        raise DataError(f"the Hugging Face cache cannot be written ({error}): make room or set HF_HOME") from None
    return path


def tables_in(folder: Path) -> list[Path]:
    """The tables that lie in a folder, by name."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not is_hidden(path))
    return sorted(path for path in found if path.is_file())


@contextmanager
def table(path: Path) -> Iterator[TableRows]:
    """The table in a file; raises `DataError` for one that is missing or damaged, with the row where that is known."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} is no table that can be read: give one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path} is missing: give the file of a table")
    if suffix == ".parquet":
        with _loaded(str(path), lambda datasets, cache: _parquet(datasets, path, cache)) as found:
            yield found
    elif suffix in (".json", ".jsonl"):
        yield _json(path)
    else:
        with _csv(path) as found:
            yield found


@contextmanager
def hub_table(folder: Path, name: str, subset: str | None, split: str | None, owner: str) -> Iterator[TableRows]:
    """The table of a dataset of that ``name`` whose files are in ``folder``; raises `UsageError` where it has several.

    ``subset`` and ``split`` are what the hub calls by these names, and need not be given where there is one; they are
    parameters of the ``owner``.
    """
    for file in ("README.md", ".huggingface.yaml"):  # both may name files, and `datasets` reads whatever they do
        if (folder / file).is_file():
            refuse_outside(folder / file, _named_in(folder / file))

    def chosen(datasets: Any, cache: str) -> Any:
        try:
            found = datasets.load_dataset(str(folder), subset, cache_dir=cache)
        except ValueError as error:  # a subset that is not there, or has to be chosen
            raise UsageError(f"--data {name}: {_line(error)}; choose it with --set {owner}.subset=NAME") from None
        if split is None and len(found) == 1:
            return next(iter(found.values()))
        if split not in found:
            raise UsageError(f"--data {name}: choose a split with --set {owner}.split=NAME: {', '.join(found)}")
        return found[split]

    with _loaded(name, chosen) as found:
        yield found


def _named_in(card: Path) -> Iterator[str]:
    """The paths of data that a dataset's card names; raises `DataError` for a card that is none."""
    import yaml
    from huggingface_hub import DatasetCard

    try:
        with quiet_client():  # which would warn of a card without a heading in YAML
            said = DatasetCard.load(card).data.to_dict() if card.suffix == ".md" else yaml.safe_load(card.read_bytes())
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise DataError(f"{card} is no dataset's card ({_line(error)}): {mend(card)}") from None
    configs = said.get("configs") if isinstance(said, dict) else None
    for each in configs if isinstance(configs, list) else ():
        if isinstance(each, dict):
            yield from _texts([each.get("data_files"), each.get("data_dir")])


def _texts(value: Any) -> Iterator[str]:
    """All texts in lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _parquet(datasets: Any, path: Path, cache: str) -> Any:
    """The table of a Parquet file; what is no damage, but cannot be read by ``datasets``, is said first."""
    from pyarrow import schema
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        fields, rows = [*file.schema_arrow], file.metadata.num_rows
    names = Counter(field.name for field in fields)
    for field in fields:
        if names[field.name] > 1:
            raise DataError(f"{path}: two columns are called {field.name!r}: give each a name of its own")
        try:
            datasets.Features.from_arrow_schema(schema([field]))
        except ValueError:
            raise DataError(
                f"{path}, column {field.name!r}: cells of the type {field.type} cannot be read: write them as text, "
                "or leave the column out"
            ) from None
    if not rows:
        raise DataError(f"{path} has no row: give some with questions")
    return datasets.Dataset.from_parquet(str(path), cache_dir=cache)


@contextmanager
def _loaded(name: str, load: Callable[[Any, str], Any], first: int = 1) -> Iterator[TableRows]:
    """What ``datasets`` loads, with rows counted from ``first``; nothing of it stays in its cache."""
    import datasets

    with TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        with _quiet(datasets):
            try:
                found = load(datasets, cache)
            except UnlearnbenchError:
                raise
            except Exception as error:  # readers of all kinds of files raise all kinds of exceptions
                cause = error.__cause__ or error
                raise DataError(f"{name} is no readable table ({_line(cause)}); {damaged(name)}") from None
        yield TableRows(name, tuple(found.column_names), _rows(name, found, first))
        del found  # before its files go


def _rows(name: str, found: Any, number: int) -> Iterator[tuple[str, Fields]]:
    """The rows as they are stored: pictures are not decoded."""
    for batch in found.with_format("arrow").iter(batch_size=_BATCH):
        for fields in batch.to_pylist():
            yield f"{name}, row {number}", fields
            number += 1


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without progress bars, and without what is raised being logged too."""
    logging, bars = datasets.utils.logging, datasets.utils.are_progress_bars_disabled()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not bars:
            datasets.utils.enable_progress_bars()


def _line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()).rstrip(".;") or type(error).__name__


# ---------------------------------------------------------------------------------------------------------- text files
def _json(path: Path) -> TableRows:
    """JSON Lines or an array of objects."""
    records = json_records(path, content(path, "give the file of a table"))
    for where, value in records:
        if not isinstance(value, dict):
            raise DataError(f"{where}: a row is an object, {{column: value}}, and this is {str(value)[:40]!r}")
    columns = dict.fromkeys(name for _, value in records for name in value)
    if not columns:
        raise DataError(f"{path} has no row: an object, {{column: value}}, a line is needed")
    return TableRows(str(path), tuple(columns), iter(records))


@contextmanager
def _csv(path: Path) -> Iterator[TableRows]:
    """Rows as a spreadsheet numbers them: the heading is row 1. Cells are text, empty ones too."""
    data = content(path, "give the file of a table")
    numbered = [*lines(path, data)]
    at = numbered[0][0] if numbered else 1  # blank lines may come before
    text = "\n".join(line for _, line in numbered)
    heading = text.partition("\n")[0]
    if not text.partition("\n")[2]:
        raise DataError(f"{path} has no row: a heading that names the columns, and below it rows, are needed")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(_SEPARATORS, key=heading.count)
    names = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=separator), [])]
    for place, name in enumerate(names):
        if name and Counter(names)[name] > 1:
            raise DataError(f"{path}, row {at}: two columns are called {name!r}: give each a name of its own")
        names[place] = name or f"column {place + 1}"

    def load(datasets: Any, cache: str) -> Any:
        try:
            return read(datasets, cache)
        except Exception:
            _refuse_long(path, data.decode(), separator, len(names))
            raise

    def read(datasets: Any, cache: str) -> Any:
        copy = Path(cache) / "table.csv"  # in UTF-8 without a mark, whatever it was
        copy.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pandas would cut rows that are longer than the heading
            return datasets.Dataset.from_csv(
                str(copy),
                cache_dir=cache,
                sep=separator,
                names=names,
                header=at - 1,
                index_col=False,
                skip_blank_lines=False,
                keep_default_na=False,
                features=datasets.Features({name: datasets.Value("string") for name in names}),
            )

    with _loaded(str(path), load, first=at + 1) as found:
        filled = ((where, fields) for where, fields in found.rows if any(fields.values()))
        yield TableRows(found.name, found.columns, filled)


def _refuse_long(path: Path, text: str, separator: str, columns: int) -> None:
    """Raise `DataError` for the first row that has more cells than the heading has ``columns``, if there is one."""
    with suppress(csv.Error):
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1):
            if len(cells) > columns:
                raise DataError(
                    f"{path}, row {number}: {len(cells)} cells, and the heading names {columns} columns: put a text "
                    f'that has {_NAMED.get(separator, separator)} in it between double quotes (")'
                )
