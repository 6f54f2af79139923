"""What a row of a run is measured against: both references on its seeds, and the values of all three's questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ...contracts import Task
from ...errors import DataError
from ...registry import tasks
from ...results.row import Row
from ..facts import Facts, as_text
from ..lines import Line, replicate
from .levels import Values

Records = Callable[[Row], Sequence[Any]]
"""Reads the samples of a row; raises an `UnlearnbenchError` where it cannot."""


@dataclass(frozen=True)
class Trio:
    """A row and both references on its seeds, asked the same."""

    own: Row
    nothing: Row
    ideal: Row

    @property
    def three(self) -> tuple[Row, Row, Row]:
        """In this order."""
        return self.own, self.nothing, self.ideal


class References:
    """The references among the lines of a model; samples are read where they are needed, and once.

    ``known`` serves all that is made of these rows.
    """

    def __init__(self, lines: Sequence[Line], records: Records, known: Facts) -> None:
        self._records, self._known = records, known
        self._read: dict[str, Values] = {}
        self._nothing = [row for line in lines if line.is_nothing for row in line.rows]
        self._ideal = [row for line in lines if line.is_ideal for row in line.rows]

    def trio(self, row: Row) -> Trio | None:
        """The row with both references; None where one is missing."""
        base = (row.base or {}).get("params")
        beside = (each for each in self._nothing if self._beside(row, each))
        nothing = next((each for each in beside if base is None or _trained_as(each) == as_text(base)), None)
        ideal = None if nothing is None else self._retrained(row, _retrained_as(nothing))
        return None if nothing is None or ideal is None else Trio(row, nothing, ideal)

    def ideal(self, row: Row) -> Row | None:
        """The retrained model on the row's seeds, trained as its base was; None where there is none.

        How a base from elsewhere was trained nobody knows: to it any is the ideal.
        """
        return self._retrained(row, _retrained_as(row) if row.base else None)

    def _retrained(self, row: Row, params: str | None) -> Row | None:
        beside = (each for each in self._ideal if self._beside(row, each))
        return next((each for each in beside if params is None or as_text(each.method.params) == params), None)

    def trained_otherwise(self, row: Row) -> list[str]:
        """``NAME=VALUE, not VALUE`` of what a retrained model on the row's seeds has otherwise than its base.

        Empty where there is none such.
        """
        other, base = self._retrained(row, None), (row.base or {}).get("params")
        if other is None or not isinstance(base, dict) or (row.base or {}).get("elsewhere"):
            return []
        own = other.method.params
        names = [name for name in {**base, **own} if as_text(base.get(name)) != as_text(own.get(name))]
        return [f"{name}={as_text(own.get(name))}, not {as_text(base.get(name))}" for name in names]

    def values(self, row: Row) -> Values:
        """The values of single questions that the task gives of the row's samples.

        Raises an `UnlearnbenchError` where they cannot be read, or are not such as the task makes.
        """
        if row.row_id not in self._read:
            records, task = self._records(row), task_of(row)
            try:
                self._read[row.row_id] = task.by_question(records)
            except (KeyError, TypeError, ValueError, AttributeError) as error:  # what a task makes of damaged records
                raise DataError(f"the samples of row {row.row_id} are not those of {row.task.name}") from error
        return self._read[row.row_id]

    def _beside(self, row: Row, other: Row) -> bool:
        """Whether another row of the model has the same seeds, people and questions, of a task that is known here."""
        if row.task.name not in tasks:
            return False
        people = [each.task.split.key if each.task.split else None for each in (row, other)]
        alike = self._known.contest(row) == self._known.contest(other)
        return replicate(row) == replicate(other) and people[0] == people[1] and alike


def task_of(row: Row) -> Task:
    """The task with the options that a row names; raises `DataError` where there is none such."""
    kind = tasks.get(row.task.name)
    if kind.version != row.task.version:
        raise DataError(f"made by version {row.task.version} of the task, and here is version {kind.version}")
    try:
        return kind(kind.Options.model_validate(row.task.options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(f"task.options.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _retrained_as(row: Row) -> str | None:
    """How its ideal is to be trained: as its base was, where that is known."""
    return None if (row.base or {}).get("elsewhere") else _trained_as(row)


def _trained_as(row: Row) -> str:
    """How the base of a row was trained."""
    return as_text((row.base or {}).get("params"))
