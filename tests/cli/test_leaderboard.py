"""``unlearnbench leaderboard`` as a user types it."""

import csv
import io
import json

import pytest

from tests.leaderboard.made_up import add_method, add_references, board_in
from unlearnbench.results.store import RowStore


@pytest.fixture
def here(installation):
    """A working folder with an empty leaderboard and results of two methods and the references."""
    board_in(installation.directory / "leaderboards" / "made-up")
    store = RowStore(installation.directory / "results")
    store.check_writable()
    add_references(store)
    add_method(store, "half", forget=0.5)
    add_method(store, "ga", forget=0.0, retain=0.1)
    return installation


def test_add_check_show(here):
    said = here.run("leaderboard", "add", "made-up", "results", "--name", "ours", "--by", "us")
    assert said.returncode == 0, said.stderr
    assert "rows/ours.jsonl: 24 rows" in said.stdout
    checked = here.run("leaderboard", "check", "made-up")
    assert (checked.returncode, checked.stdout) == (0, "made-up: 1 submission, nothing wrong\n")
    shown = here.run("leaderboard", "show", "made-up").stdout
    assert "Made up" in shown
    assert shown.index("retrain") < shown.index("half") < shown.index("finetune") < shown.index("ga ")


def test_the_same_rows_are_added_once(here):
    assert here.run("leaderboard", "add", "made-up", "results").returncode == 0
    again = here.run("leaderboard", "add", "made-up", "results", "--name", "again")
    assert again.returncode == 2
    assert "all of them stand there already" in again.stderr
    add_method(RowStore(here.directory / "results"), "other", forget=0.2)
    more = here.run("leaderboard", "add", "made-up", "results/rows.jsonl", "--name", "more")
    assert more.returncode == 0, more.stderr
    assert "24 rows stand there already" in more.stderr
    assert "more.jsonl: 6 rows" in more.stdout


def test_what_is_refused_leaves_nothing_behind(here):
    said = here.run("leaderboard", "add", "made-up", "results", "--method", "half")
    assert said.returncode == 1
    assert "refused  made-up: no rows of the reference 'finetune'" in said.stderr
    assert not [*(here.directory / "leaderboards/made-up/rows").iterdir()]


def test_a_spoiled_leaderboard_is_neither_shown_nor_built(here):
    here.run("leaderboard", "add", "made-up", "results", "--name", "ours")
    path = here.directory / "leaderboards/made-up/rows/ours.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"schema_version":1', b'"schema_version":7', 1))
    for verb in ("show", "build", "check"):
        said = here.run("leaderboard", verb, "made-up")
        assert said.returncode == 1
        assert "refused  ours.jsonl:2: a row of schema_version 7" in said.stderr
        assert "Traceback" not in said.stderr
    assert not (here.directory / "site").exists()


def test_formats(here):
    here.run("leaderboard", "add", "made-up", "results")
    table = [*csv.DictReader(io.StringIO(here.run("leaderboard", "show", "made-up", "--format", "csv").stdout))]
    scores = {each["method"]: each for each in table if each["metric"] == "score"}
    assert (float(scores["finetune"]["mean"]), float(scores["retrain"]["mean"])) == (0, 1)
    assert scores["half"]["seeds"] == "3"
    assert "| retrain" in here.run("leaderboard", "show", "made-up", "--format", "markdown").stdout
    assert r"\toprule" in here.run("leaderboard", "show", "made-up", "--format", "latex").stdout


def test_an_empty_one_says_how_to_fill_it(here):
    said = here.run("leaderboard", "show", "fiubench-qwen2.5-vl-7b")
    assert said.returncode == 0
    assert "has no rows yet: unlearnbench leaderboard add fiubench-qwen2.5-vl-7b RESULTS" in said.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "nowhere"], "no leaderboard 'nowhere'"),
        (["add", "made-up", "nowhere"], "nowhere holds no rows.jsonl"),
        (["add", "made-up", "results", "--name", "../x"], "a file's name without folders"),
        (["add", "made-up", "results", "--link", "javascript:alert(1)"], "--link javascript:alert(1)"),
        (["add", "fiubench-qwen2.5-vl-7b", "results"], "no row to add"),
        (["check", "made-up", "--only", "results/rows.jsonl"], "not a submission"),
        (["build", "made-up", "--data", "nowhere"], "no such folder"),
    ],
)
def test_what_cannot_be(here, words, message):
    said = here.run("leaderboard", *words)
    assert said.returncode == 2
    assert message in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_folder_that_holds_something_else_is_left_alone(here):
    (here.directory / "thesis").mkdir()
    (here.directory / "thesis" / "draft.tex").write_text("mine")
    said = here.run("leaderboard", "build", "made-up", "--out", "thesis")
    assert said.returncode == 1
    assert "holds something that is no site of ours" in said.stderr
    assert (here.directory / "thesis" / "draft.tex").read_text() == "mine"


def test_they_are_listed(here):
    listed = json.loads(here.run("list", "leaderboards", "--json").stdout)["leaderboards"]
    assert {"made-up", "private-attributes-tiny"} <= {each["name"] for each in listed}
