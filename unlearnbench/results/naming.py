"""A cell by what its user calls it: a row's id, the beginning of one, or a method."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .cells import Cells
from .row import Row, latest
from .store import RowStore

SHOWN_ID = 8
"""Characters of a row's id that lists show; more where cells would look alike."""
_LISTED = 12
"""Cells that an error lists at most."""


@dataclass(frozen=True)
class Narrowed:
    """What a method's cells are narrowed to; None for any."""

    model: str | None = None
    seed: int | None = None
    task: str | None = None

    def holds(self, row: Row) -> bool:
        """Whether a row is among them."""
        pairs = ((self.model, row.model.name), (self.seed, row.seed), (self.task, row.task.name))
        return all(wanted is None or wanted == its for wanted, its in pairs)


def cell_called(results: RowStore, name: str, narrowed: Narrowed | None = None) -> Row:
    """The ok row that is meant by ``name``: a row id, its unique beginning, or a method of which one model is there.

    Of a model that several tasks evaluated it is the first one's row. Raises `UsageError`, which lists what there is,
    where nothing or more than one model is called so.
    """
    limits = narrowed or Narrowed()
    rows = [row for row in latest(results.scan().rows) if row.attack is None]  # an attacked model is no cell's own
    settings = {cell.row_id: cell.settings for cell in Cells(results).announced()}
    if not any(row.status == "ok" for row in rows):
        raise UsageError(f"{results.folder} holds no cell that was computed; give the folder of a run with --results")
    meant = [row for row in rows if row.method.name == name] or [row for row in rows if row.row_id.startswith(name)]
    found = [row for row in meant if limits.holds(row)]
    good = [row for row in found if row.status == "ok"]
    if not good:
        if found and found[0].error:
            why = found[0].error.message
            raise UsageError(f"cell {name} has no result ({why}); run its command again: it resumes")
        there = _listed([row for row in meant or rows if row.status == "ok"], settings)
        raise UsageError(f"no cell {name!r}{_of(limits)} in {results.rows}; there are: {there}")
    if len({one_model(row) for row in good}) > 1:
        raise UsageError(
            f"{name!r} is the name of several models; give one's id, or narrow it down with --model or --seed: "
            f"{_listed(good, settings)}"
        )
    return good[0]


def rows_beside(results: RowStore, row: Row) -> list[Row]:
    """The ok rows of the model that a row is of, whatever task evaluated it; the row's own first."""
    own = one_model(row)
    whole = (each for each in latest(results.scan().rows) if each.status == "ok" and each.attack is None)
    others = (each for each in whole if each.row_id != row.row_id)
    return [row, *(each for each in others if one_model(each) == own)]


def one_model(row: Row) -> str:
    """What rows of one trained model have in common, and rows of two have not."""
    parts = (row.method, row.model, row.seed, row.base_seed, row.trained_on, row.task.split)
    params = row.base["params"] if row.base else None
    return repr([part.model_dump() if part and not isinstance(part, int) else part for part in parts] + [params])


def _of(limits: Narrowed) -> str:
    said = [
        f" {what} {value}"
        for what, value in (("on", limits.model), ("with seed", limits.seed), ("evaluated by", limits.task))
        if value is not None
    ]
    return "".join(said)


def _listed(rows: Sequence[Row], settings: dict[str, str]) -> str:
    """The models of ``rows``, each by an id that is no other's beginning."""
    distinct: dict[str, Row] = {}
    for row in rows:
        distinct.setdefault(one_model(row), row)
    chosen = [*distinct.values()]
    ids = [row.row_id for row in rows]
    width = next((size for size in range(SHOWN_ID, 129) if len({each[:size] for each in ids}) == len({*ids})), SHOWN_ID)
    texts = [
        f"{row.row_id[:width]} ({row.method.name}, {row.model.name}, seed {row.seed}"
        f"{', ' + settings[row.row_id] if settings.get(row.row_id) else ''})"
        for row in chosen[:_LISTED]
    ]
    more = f" and {len(chosen) - _LISTED} more (unlearnbench status lists all)" if len(chosen) > _LISTED else ""
    return ", ".join(texts) + more
