"""Scores of a plain run: from rows and samples of both references on the same seeds, the same as a leaderboard's."""

import math
from pathlib import Path

import pytest

from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import BASE, add_method, add_references, board_in, fiubench_records, row_of
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


def scored(tmp_path, change, task="fiubench"):
    """The word of "half" in a run in which ``change`` was done to its records and, told so, to those of others."""
    store = new_results(tmp_path / "changed")
    for method, forget in (("finetune", 1.0), ("retrain", 0.1), ("half", 0.5)):
        role = "method" if method == "half" else "reference"
        for seed in (0, 1):
            records = change(method, seed, fiubench_records(forget, 1.0, seed))
            params = BASE if method == "retrain" else {}
            store.append(row_of(store, method, task, records, seed, role=role, params=params))
    _, places, columns = shown(store.read(), store)
    return columns["verdict"].text(places["half"]) if "verdict" in columns else None


def test_people_of_one_seed_of_whom_nothing_can_be_scored_leave_the_run_without_a_score(tmp_path):
    def without_keywords(method, seed, records):
        return [each | {"keywords": [], "value_logprobs": None} if seed else each for each in records]

    assert scored(tmp_path, without_keywords) is None


def test_samples_of_other_questions_leave_a_line_without_a_score(tmp_path):
    def cut(method, seed, records):
        return records[1:] if method == "half" else records

    assert scored(tmp_path, cut) == "–"


def test_likelihoods_that_are_no_numbers_leave_a_line_without_a_score(tmp_path):
    def broken(method, seed, records):
        if method == "half":
            records[0]["logprobs"][0] = math.nan
        return records

    assert scored(tmp_path, broken) == "–"


def bare(method, seed, records):
    """The records of tables without paraphrases and false answers."""
    without = {"paraphrased_predictions": [], "paraphrased_logprobs": None, "perturbed_logprobs": []}
    return [each | without for each in records]


def test_a_task_may_do_without_metrics_that_its_data_lack_and_not_without_any_other(tmp_path):
    def spoiled(method, seed, records):
        return [each | {"value_logprobs": None} for each in bare(method, seed, records)]

    def spoiled_half(method, seed, records):
        return bare(method, seed, records) if method == "half" else records

    cases = (
        (bare, "qa"),
        (lambda method, seed, own: own, "qa"),
        (bare, "fiubench"),
        (spoiled, "qa"),
        (spoiled_half, "qa"),
    )
    words = []
    for place, (change, task) in enumerate(cases):
        (tmp_path / str(place)).mkdir()
        words.append(scored(tmp_path / str(place), change, task))
    assert words == ["leaks", "leaks", None, None, "–"]  # the data of fiubench have all of them


def references(folder, forget, retrained, params=BASE):
    """The table of a run of both references, which know so much, and of a method that knows nothing."""
    store = new_results(folder)
    for method, known in (("finetune", forget), ("retrain", retrained), ("mute", 0.0)):
        role = "method" if method == "mute" else "reference"
        for seed in (0, 1):
            own = params if method == "retrain" else {}
            store.append(
                row_of(store, method, "fiubench", fiubench_records(known, 1.0, seed), seed, role=role, params=own)
            )
    return shown(store.read(), store)


@pytest.mark.parametrize(("forget", "retrained"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_of_a_base_that_knows_no_more_than_the_retrained_model_nothing_is_scored(tmp_path, forget, retrained):
    """Least of all the wrong way round: who knows less than the retrained model leaks nothing."""
    found, _, columns = references(tmp_path / "run", forget, retrained)
    assert "verdict" not in columns
    assert any(
        note.startswith("No score: the base tells hardly more") and "forget.value_rouge" in note for note in found.notes
    )


def test_a_retrained_model_of_another_training_is_named_as_what_keeps_a_run_from_a_score(tmp_path):
    found, _, columns = references(tmp_path / "run", 1.0, 0.1, params=BASE | {"epochs": 60})
    assert "verdict" not in columns
    assert any(note.startswith("No score: the retrained") and "epochs=60, not 3" in note for note in found.notes)


def test_a_retrained_model_that_has_not_learned_is_told(tmp_path, run):
    """What it keeps decides what methods may lose: 3/10 of the retain set, say, where the base keeps all of it."""
    store = new_results(tmp_path / "run")
    for method, forget, retain in (("finetune", 1.0, 1.0), ("retrain", 0.0, 0.3), ("mute", 0.0, 1.0)):
        role, own = ("method", {}) if method == "mute" else ("reference", BASE if method == "retrain" else {})
        records = fiubench_records(forget, retain, 0)
        store.append(row_of(store, method, "fiubench", records, 0, role=role, params=own))
    found, places, _ = shown(store.read(), store)
    (said,) = [note for note in found.notes if note.startswith("The retrained model has learned less than the base")]
    ideal = found.lines[places["retrain"]].rows[0].metrics["retain.exact_match"].value
    assert f"retain.exact_match {ideal:.3f}, the base 1.000" in said
    assert not any("learned less" in note for note in shown(run.read(), run)[0].notes)
