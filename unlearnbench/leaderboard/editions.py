"""Editions of a leaderboard's data: each has references of its own, so that nobody may bring one along."""

from collections.abc import Iterator, Sequence

from ..results.row import Row
from .definition import Definition
from .submission import Problem


def edition(row: Row) -> str | None:
    """The fingerprint of the data that a row's model was trained on; None for all rows from before that was told."""
    return row.trained_on.fingerprint if row.trained_on else None


def trained_elsewhere(rule: Definition, row: Row) -> Iterator[str]:
    """That a row's model was trained on data which are not prescribed; rows of schema 1 do not tell.

    People are forgotten from the data of the tasks that prescribe them.
    """
    of = [each for each in rule.tasks.values() if each.split is not None] or [*rule.tasks.values()]
    wanted = [fingerprint for each in of for fingerprint in each.data.fingerprint]
    if wanted and row.schema_version > 1 and edition(row) not in wanted:
        one = " or ".join(wanted)[:180]
        yield f"trained_on.fingerprint is {_told(row)}, and this leaderboard wants {one}"


def on_several(rule: Definition, placed: Sequence[tuple[str, Row]]) -> Iterator[Problem]:
    """Rows, with their places, on other data than the first on their model, where the leaderboard prescribes none."""
    if any(each.data.fingerprint for each in rule.tasks.values()):
        return
    first: dict[str, tuple[str, Row]] = {}
    for where, row in placed:
        at, other = first.setdefault(row.model.name, (where, row))
        if edition(row) != edition(other):
            yield Problem(
                where, f"trained_on.fingerprint is {_told(row)}, and {_told(other)} in {at}, the first on this model"
            )


def _told(row: Row) -> str:
    return (edition(row) or "not told")[:80]
