"""Scores of a plain run: from rows and samples of both references on the same seeds, the same as a leaderboard's."""

from pathlib import Path

import pytest

from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import add_method, add_references, board_in
from unlearnbench.analysis.comparison import compare
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read


@pytest.fixture(scope="module")
def run(once):
    """A run of both references, of one that says nothing and finds the truth as likely, and of one that broke."""

    def write(folder: Path) -> None:
        store = new_results(folder)
        add_references(store)
        add_method(store, "mute", forget=0.0, likely=1.0)
        add_method(store, "wrecked", forget=0.0, retain=0.3)

    from unlearnbench.results.store import RowStore

    return RowStore(once("a run of four", write))


def shown(rows, store):
    (found,) = compare(rows, records=store.read_samples)
    columns = {column.name: column for column in found.columns}
    return found, {line.method: place for place, line in enumerate(found.lines)}, columns


def test_a_run_shows_what_a_leaderboard_shows(run, tmp_path):
    _, places, columns = shown(run.read(), run)
    board = read_board(board_in(tmp_path / "made-up"))
    assert not add(board, run, board.rows / "first.jsonl").problems
    (table,) = tables(board, [read(path) for path in board.submissions])
    for standing in table.standings:
        place = places[standing.line.method]
        assert columns["verdict"].text(place) == standing.verdict
        assert columns["trace"].cells[place].mean == pytest.approx(standing.trace.mean)
        for level in ("text", "logits"):
            assert columns[level].cells[place].mean == pytest.approx(standing.levels[level].mean)
    assert columns["verdict"].text(places["mute"]) == "hidden"
    assert columns["verdict"].text(places["wrecked"]) == "broken"


def test_without_a_retrained_model_it_says_what_to_add(run):
    rows = [row for row in run.read() if row.method.name != "retrain"]
    found, _, columns = shown(rows, run)
    assert "verdict" not in columns
    assert any("--method retrain" in note for note in found.notes)


def test_a_seed_without_references_has_no_score(run):
    rows = [row for row in run.read() if row.method.name in ("mute", "wrecked") or row.seed != 1]
    _, places, columns = shown(rows, run)
    assert columns["verdict"].text(places["mute"]) == "–"
    assert columns["verdict"].text(places["retrain"]) == "erased"
