"""Reads tables of questions and answers, whatever their columns are called; an error names row and column."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from unlearnbench import Asked, DataError
from unlearnbench.data.control_tokens import refuse
from unlearnbench.data.folder import files_in, fingerprint
from unlearnbench.data.pictures import picture_digests
from unlearnbench.data.tables import Fields, TableRows, picture_file

from ..facts.sets import Fact, Question
from .layout import Tables, remarks, unread

YES, NO = ("1", "true", "yes", "y", "x"), ("", "0", "false", "no", "n")
"""What a flag may be, whatever the case; nothing is no."""

SEPARATOR = "|"
"""What stands between several values in one cell of text, unless they are a JSON list."""

_SHOWN = 200
"""Letters of a cell that an error shows."""

GROUP = "ungrouped"
"""The group of questions of which the table names none."""


@dataclass(frozen=True)
class RowFact(Fact):
    """A question of a table: ``where`` it stands, whether it is marked ``private``, and as one to be forgotten."""

    where: str = field(kw_only=True)
    private: bool = field(kw_only=True)
    marked: bool = field(kw_only=True)


@dataclass(frozen=True)
class Questions:
    """Everything in some tables, and which of the flags any of them has.

    ``digests`` are those of the pictures' contents, ``root`` the folder within which pictures are named. ``unread``
    counts by table the columns that nothing here reads. ``notices`` are what to know of the columns, a line each.
    """

    facts: tuple[RowFact, ...]
    flags: frozenset[str]
    splits: Mapping[str, tuple[str, ...]]
    digests: Mapping[Path, str]
    fingerprint: str
    root: Path
    unread: Mapping[str, tuple[str, ...]]
    notices: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Everybody, in the tables' order."""
        return tuple(dict.fromkeys(fact.cluster for fact in self.facts))


def read(source: Tables) -> Questions:
    """Read and check every row and every picture; raises `DataError` for the first that is not as it should be."""
    reader = _Reader(Path(os.path.normpath(source.pictures.absolute())))
    for opened, columns in source.tables:
        with opened as table:
            reader.take(table, columns.places(table.columns, table.name))
    if not reader.facts:
        raise DataError(f"{source.location.folder}: the tables have no row: give some with questions")
    _check_splits(source, {fact.cluster for fact in reader.facts})
    digests = reader.digests()
    texts = [[*_content(fact), len(fact.images)] for fact in reader.facts]
    told = json.dumps([texts, {name: [*ids] for name, ids in source.splits.items()}], sort_keys=True)
    pictures = [bytes.fromhex(digests[image]) for fact in reader.facts for image in fact.images]
    return Questions(
        facts=tuple(reader.facts),
        flags=frozenset(reader.flags),
        splits=source.splits,
        digests=digests,
        fingerprint=fingerprint([hashlib.sha256(told.encode()).digest(), *pictures]),
        root=reader.root,
        unread=reader.unread,
        notices=tuple(reader.notices),
    )


def _content(fact: RowFact) -> Iterator[Any]:
    """All that a fact is but for its pictures."""
    asked = fact.question
    yield from (fact.cluster, asked.index, asked.question, asked.answer, asked.keywords, asked.group, asked.attribute)
    yield from (asked.paraphrased_questions, asked.paraphrased_answer, asked.perturbed_answers)
    yield from (fact.private, fact.marked)


def _check_splits(source: Tables, known: set[str]) -> None:
    for name, ids in source.splits.items():
        for person in ids:
            if person not in known:
                raise DataError(
                    f"{source.named}: split {name!r} names {person!r}, who is in none of the tables: correct it"
                )


class _Reader:
    """Makes facts of rows, table after table."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.root = folder
        self.facts: list[RowFact] = []
        self.flags: set[str] = set()
        self.unread: dict[str, tuple[str, ...]] = {}
        self.notices: list[str] = []
        self._asked = Counter[str]()
        self._first: dict[Path, str] = {}
        self._near = cache(files_in)

    def take(self, table: TableRows, places: Mapping[str, tuple[str, ...]]) -> None:
        """Every row of a table, whose columns are in ``places`` by what they are here."""
        self.unread[table.name] = unread(table.columns, places)
        self.notices += remarks(table.name, table.columns, places)
        self.flags |= {"private", "forget"} & {*places}
        self.facts += (self._fact(_Row(where, fields, places)) for where, fields in table.rows)

    def _fact(self, row: "_Row") -> RowFact:
        answer = row.text("answer")
        images = tuple(image for column, value in row.cells("pictures") for image in self._pictures(row, column, value))
        cluster = row.text("person") if row.has("person") else self._alone(row, images)
        question = Question(
            index=self._asked[cluster],
            question=row.text("question"),
            answer=answer,
            keywords=row.texts("keywords") or (answer.rstrip(" .!。") or answer,),
            group=row.optional("group") or GROUP,
            paraphrased_questions=row.texts("paraphrased_questions"),
            paraphrased_answer=row.optional("paraphrased_answer"),
            perturbed_answers=row.texts("perturbed_answers"),
            told_by="data",
            attribute=row.optional("attribute") or "",
        )
        row.refuse_tokens()
        self._asked[cluster] += 1
        known = (question.attribute,) if question.attribute != question.question else ()
        return RowFact(
            id=f"{cluster}/{question.index}",
            cluster=cluster,
            query=Asked(question.question, images),
            answer=question.answer,
            tags=(question.group, *known),
            question=question,
            where=row.where,
            private=row.flag("private"),
            marked=row.flag("forget"),
        )

    def _alone(self, row: "_Row", images: tuple[Path, ...]) -> str:
        """Whom a row is about where no column says it: its first picture, else itself."""
        for image in images:
            return image.relative_to(self.folder).as_posix() if image.is_relative_to(self.folder) else image.name
        return f"row {sum(self._asked.values()) + 1}"

    def _pictures(self, row: "_Row", column: str, value: Any) -> Iterator[Path]:
        """The files of a cell: paths, or pictures within the table."""
        for each in _listed(value):
            path = self._stored(each) or self._found(row, column, each)
            self._first.setdefault(path, row.at(column))
            yield path

    def _stored(self, value: Any) -> Path | None:
        """A picture within the table as a file; None for one that is a path."""
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            return None
        path = picture_file(data)
        self.root = path.parent
        return path

    def _found(self, row: "_Row", column: str, value: Any) -> Path:
        name = value.get("path") if isinstance(value, dict) else value
        if not isinstance(name, str):
            raise DataError(f"{row.at(column)}: {str(value)[:40]!r} is no picture: give a file's path")
        path = Path(os.path.normpath(self.folder / name))
        if not path.is_relative_to(self.folder):
            raise DataError(
                f"{row.at(column)}: picture {name!r} leads out of {self.folder}: put it there, or name the folder in "
                "which paths begin in a map, pictures = DIR"
            )
        near: Mapping[str, Path] = {}
        with suppress(OSError):  # a name that no file can have
            near = self._near(path.parent)
        if path.name not in near:
            shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
            raise DataError(f"{row.at(column)}: picture {shown!r} is not in {self.folder}: put it there")
        return near[path.name]

    def digests(self) -> dict[Path, str]:
        """The SHA-256 (hex) of each picture; raises `DataError` with the first row and column of one that is none."""
        try:
            found = picture_digests(self._first)
        except DataError:
            for path, where in self._first.items():
                try:
                    picture_digests([path])
                except DataError as error:
                    raise DataError(f"{where}: {error}") from None
            raise
        return {path: digest.hex() for path, digest in zip(self._first, found, strict=True)}


@dataclass(frozen=True)
class _Row:
    """A row with the names of its columns: what stands in its cells, or an error that names row and column."""

    where: str
    fields: Fields
    places: Mapping[str, tuple[str, ...]]

    def has(self, name: str) -> bool:
        """Whether the table has such a column."""
        return name in self.places

    def at(self, column: str) -> str:
        """Where a cell is."""
        return f"{self.where}, column {column!r}"

    def cells(self, name: str) -> list[tuple[str, Any]]:
        """The columns of that name with what stands in them, None and NaN for nothing."""
        found = ((column, self.fields.get(column)) for column in self.places.get(name, ()))
        return [(column, None if value != value else value) for column, value in found]

    def text(self, name: str) -> str:
        """A cell that may not be empty."""
        [(column, value)] = self.cells(name)
        if not (text := self._text(column, value)):
            raise DataError(f"{self.at(column)} is empty: give the {name}, or leave the row out")
        return text

    def optional(self, name: str) -> str | None:
        """A cell that may be empty, or that the table has not."""
        return next((self._text(column, value) or None for column, value in self.cells(name)), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """Several values, of one cell or of several."""
        found = (self._text(column, each) for column, value in self.cells(name) for each in self._values(column, value))
        return tuple(text for text in found if text)

    def _values(self, column: str, value: Any) -> Iterable[Any]:
        """The values in a cell; raises `DataError` for a list that is not as JSON has it, as Python prints lists."""
        values = _listed(value)
        if isinstance(value, str) and values == [value] and value.strip().startswith("[") and value.strip()[-1] == "]":
            raise DataError(
                f'{self.at(column)}: {value.strip()[:40]!r} is no list as JSON has it: write ["one", "two"], or one '
                f"{SEPARATOR} two"
            )
        return values

    def flag(self, name: str) -> bool:
        """Yes or no; no where the table does not say."""
        for column, value in self.cells(name):
            said = str(value if value is not None else "").strip().lower().removesuffix(".0")
            if said not in (*YES, *NO):
                raise DataError(f"{self.at(column)}: {said[:40]!r} is neither yes nor no: write yes, or nothing")
            return said in YES
        return False

    def refuse_tokens(self) -> None:
        """Raise `DataError` for a text that some model would not read as text."""
        for name in ("question", "answer", "paraphrased_answer"):
            refuse(self.where, **{column: str(value) for column, value in self.cells(name)})
        for name in ("paraphrased_questions", "perturbed_answers"):
            refuse(self.where, **{column: map(str, _listed(value)) for column, value in self.cells(name)})

    def _text(self, column: str, value: Any) -> str:
        if isinstance(value, dict | list | bytes):
            raise DataError(f"{self.at(column)}: {str(value)[:40]!r} is no text: give one")
        return "" if value is None else str(value).strip()


def _listed(value: Any) -> Iterable[Any]:
    """The values in a cell: of a list, of a JSON list in text, or of text with separators between them."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = [value]
        else:
            value = [each.strip() for each in value.split(SEPARATOR)]
    values = value if isinstance(value, list) else [value]
    return [each for each in values if each is not None and each != ""]
