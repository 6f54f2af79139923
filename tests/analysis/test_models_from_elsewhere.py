"""Rows on a base, and of a model, that other code has made: they stand on a leaderboard as any others do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.leaderboard.made_up import DEFINITION, add_method, add_references, board_in
from unlearnbench.analysis.comparison import compare
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

DIGEST = "d" * 64

Change = Callable[[dict[str, Any]], None]


def on_the_base(fields: dict[str, Any]) -> None:
    """As `unlearnbench run --base-model` writes it."""
    if fields["base"]:
        own = {"params": {"weights": DIGEST, "memorised": 0.5}}
        fields["base"] = own | {"elsewhere": {"source": "my-base", "digest": DIGEST}}


def theirs(fields: dict[str, Any]) -> None:
    """As `unlearnbench evaluate` does: every seed has a model of its own."""
    on_the_base(fields)
    fields["method"]["elsewhere"] = {"source": "their-model", "digest": f"{fields['seed']:064x}"}
    fields["cost"] = dict.fromkeys(fields["cost"])


@pytest.fixture
def rows(tmp_path: Path) -> RowStore:
    store = RowStore(tmp_path / "results")
    add_references(store, change=on_the_base)
    add_method(store, "their-method", forget=0.4, change=theirs)
    return store


@pytest.mark.parametrize("wanted", [None, DIGEST, "e" * 64])
def test_they_are_added_and_a_board_may_prescribe_the_base(tmp_path: Path, rows: RowStore, wanted: str | None) -> None:
    text = DEFINITION.replace("[tasks.fiubench]", f'base = {{ weights = "{wanted}" }}\n[tasks.fiubench]')
    board = read_board(board_in(tmp_path / "made-up", text if wanted else DEFINITION))
    added = add(board, rows, board.rows / "first.jsonl")
    if wanted not in (None, DIGEST):
        said = f'do not fit (base.weights is "{DIGEST}", and this leaderboard wants "{wanted}")'
        assert [*added.left_out] == [said]
        return
    assert (added.problems, added.rows) == ((), 18)
    assert check(board) == []


def test_seeds_are_one_line_whose_score_is_between_the_references(rows: RowStore) -> None:
    found: list[Row] = rows.read()
    (comparison,) = compare(found, records=rows.read_samples)
    assert not any("Not counted" in note for note in comparison.notes)
    lines = [line for line in comparison.lines if line.method == "their-method"]
    assert [line.replicates for line in lines] == [3]
    (column,) = [column for column in comparison.columns if (column.group, column.label) == ("Unlearning", "Text")]
    cell = column.cells[comparison.lines.index(lines[0])]
    assert cell is not None
    assert 0.4 < (cell.mean or 0) < 0.9


def test_two_models_of_one_name_and_seed_are_two_lines(rows: RowStore) -> None:
    """What is made elsewhere tells lines apart where a seed has several, over all tasks of each."""

    def another(fields: dict[str, Any]) -> None:
        theirs(fields)
        fields["method"]["elsewhere"]["digest"] = f"{fields['seed'] + 7:064x}"
        fields["row_id"] = f"another-{fields['row_id']}"

    add_method(rows, "their-method", forget=0.9, seeds=(0,), change=another)
    (comparison,) = compare(rows.read(), records=rows.read_samples)
    lines = [line for line in comparison.lines if line.method == "their-method"]
    told = {line.facts["elsewhere"]: {row.task.name for row in line.rows} for line in lines}
    assert [*told] == [f"{number:064x}" for number in (0, 1, 2, 7)]
    assert all(of == {"fiubench", "pope"} for of in told.values())
    assert len({comparison.label(line) for line in lines}) == 4
    assert not any("Not counted" in note for note in comparison.notes)
