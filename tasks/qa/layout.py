"""Which tables are read, and what their columns are called: by the command, by a TOML file, by their own names."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from unlearnbench import DataError, Location, UsageError
from unlearnbench.data.folder import content, refuse_outside, validated
from unlearnbench.data.source import is_hub_id, of_hub
from unlearnbench.data.tables import SUFFIXES, TableRows, hub_table, table, tables_in

FILE = "qa.toml"
"""The map that is read where a folder is given."""

_NEEDED = "give --data qa=SOURCE: a table, a folder of tables, a map (.toml), or a dataset's id on the hub"

_LISTED = 8
"""Columns that a line names at most."""

Names = tuple[str, ...] | str | None


class Columns(BaseModel):
    """What a table calls its columns; each is by default called as it is here.

    Of those in the plural there may be several, and one may be called by the singular.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | None = Field(default=None, description="the question; required")
    answer: str | None = Field(default=None, description="the true answer; required")
    person: str | None = Field(
        default=None, description="whom it is about; without it, each picture, or row, is by itself"
    )
    pictures: Names = Field(default=None, description="picture files, or pictures within the table")
    private: str | None = Field(default=None, description="yes where it is to be forgotten if the person is")
    forget: str | None = Field(default=None, description="yes where the person is to be forgotten")
    group: str | None = Field(default=None, description="of what kind the question is, in any words")
    attribute: str | None = Field(
        default=None, description="what is asked for, the same for all wordings of a question"
    )
    keywords: Names = Field(default=None, description="what of the answer must be said; without them, all of it")
    paraphrased_questions: Names = Field(default=None, description="the question in other words")
    paraphrased_answer: str | None = Field(default=None, description="the answer in other words")
    perturbed_answers: Names = Field(default=None, description="false answers in the form of the true one")

    def over(self, other: "Columns") -> "Columns":
        """These, and of what they do not name the ``other``'s."""
        return Columns(**(other.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)))

    def places(self, there: tuple[str, ...], name: str) -> dict[str, tuple[str, ...]]:
        """The table's columns by what they are here; raises `DataError` for one that the table ``name`` lacks."""
        found = {}
        for ours in type(self).model_fields:
            given = getattr(self, ours)
            own = ours if ours in there else ours.removesuffix("s")
            wanted = (given or own,) if given is None or isinstance(given, str) else given
            missing = [column for column in wanted if column not in there]
            if missing and (given is not None or ours in ("question", "answer")):
                raise DataError(
                    f"{name} has no column {missing[0]!r}, and has {', '.join(map(repr, there))}: say which is the "
                    f"{ours}, --set qa.columns.{ours}=NAME"
                )
            if not missing:
                found[ours] = wanted
        return found


def unread(there: tuple[str, ...], places: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The columns of a table that nothing here reads, of all that are ``there``."""
    used = {column for columns in places.values() for column in columns}
    return tuple(column for column in there if column not in used)


def remarks(name: str, there: tuple[str, ...], places: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What to know of the table ``name``: which columns are not read, and that none says whom a row is about."""
    if others := unread(there, places):
        listed = ", ".join(map(repr, others[:_LISTED])) + (
            f" and {len(others) - _LISTED} more" * (len(others) > _LISTED)
        )
        yield "; ".join([f"{name}: columns that are not read: {listed}", *_meant(others, places)])
    if "person" not in places:
        yield (
            f"{name} has no column 'person': each picture, or row without one, counts as somebody; if a column says "
            "whom a row is about, --set qa.columns.person=NAME"
        )


def _meant(others: tuple[str, ...], places: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What columns that nothing reads may be, by names that come near."""
    lacking = [ours for ours in Columns.model_fields if ours not in places]
    known = {word: ours for ours in lacking for word in (ours, ours.removesuffix("s"))}
    for column in others:
        for near in get_close_matches(column.strip().casefold(), known, n=1):
            yield f"is {column!r} the column {near!r}? Then --set 'qa.columns.{known[near]}={column}'"


class TableMap(BaseModel):
    """A table of a map, by its path beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    columns: Columns = Columns()


class Map(BaseModel):
    """A TOML file: columns of all tables and of single ones, where pictures lie, and who may be forgotten by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Columns = Columns()
    tables: tuple[TableMap, ...] = ()
    pictures: str = "."
    splits: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """The tables to be read, each with its columns, and the folder in which paths of pictures begin."""

    location: Location
    tables: tuple[tuple[AbstractContextManager[TableRows], Columns], ...]
    pictures: Path
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: str = ""
    """The file that names the splits."""


def located(source: str, columns: Columns, subset: str | None = None, split: str | None = None) -> Tables:
    """What ``source`` stands for: a table's file, a folder of tables, a map, or a hub's id with or without @REVISION.

    The command's ``columns`` hold before those of a map. Raises `UsageError` for what is none of these, `DataError`
    for a folder without tables or a map that is not one.
    """
    path = Path(source)
    if source in ("embedded", "hub"):
        raise UsageError(f"task qa has no data of its own: {_NEEDED}")
    if path.is_file():
        if path.suffix.lower() == ".toml":
            return _mapped(path, columns)
        return _files(path.parent, [path], Map(), columns)
    if path.is_dir():
        return _mapped(path / FILE, columns) if (path / FILE).is_file() else _files(path, [], Map(), columns)
    if on_hub(source):
        return _of_hub(source, columns, subset, split)
    raise UsageError(f"--data {source}: no such file or folder; {_NEEDED}")


def on_hub(source: str) -> bool:
    """Whether a source is a dataset's id on the hub, and nothing that is here or is meant to be."""
    path = Path(source)
    return is_hub_id(source) and not path.exists() and path.suffix.lower() not in (*SUFFIXES, ".toml")


def _mapped(path: Path, columns: Columns, *, strange: bool = False) -> Tables:
    """What a TOML file names, beside it; one of a ``strange`` author names nothing outside its folder."""
    text = content(path, "give the file of a map").decode(errors="replace")
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is no TOML file ({error}): correct it") from None
    named = validated(Map, values, str(path))
    if strange:
        refuse_outside(path, (named.pictures, *(each.file for each in named.tables)))
    return _files(path.parent, [], named, columns, str(path))


def _files(folder: Path, files: list[Path], map_: Map, columns: Columns, named: str = "") -> Tables:
    """The tables of a folder: those given, those that a map names, or else all."""
    own = {folder / each.file: each.columns for each in map_.tables}
    paths = files or [*own] or tables_in(folder)
    if not paths:
        raise DataError(f"{folder} holds no table ({', '.join(SUFFIXES)}): {_NEEDED}")
    general = map_.columns
    tables = tuple((table(path), columns.over(own.get(path, Columns()).over(general))) for path in paths)
    location = Location(folder, (files[0] if files else folder).resolve().name)
    return Tables(location, tables, folder / map_.pictures, map_.splits, named)


def _of_hub(source: str, columns: Columns, subset: str | None, split: str | None) -> Tables:
    """A dataset of the hub; where its files hold a map, that is read and its tables are."""
    location = of_hub(source, "qa")
    if (location.folder / FILE).is_file():
        return replace(_mapped(location.folder / FILE, columns, strange=True), location=location)
    return Tables(location, ((hub_table(location.folder, source, subset, split, "qa"), columns),), location.folder)
