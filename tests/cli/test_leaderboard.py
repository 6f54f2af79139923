"""``unlearnbench leaderboard`` as a user types it."""

import csv
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import processes
from tests.leaderboard.made_up import add_method, add_references, board_in
from unlearnbench.results.store import RowStore


@dataclass
class Here:
    """A working folder, and a command there."""

    directory: Path

    def run(self, *words):
        return processes.run(*words)


@pytest.fixture
def here(tmp_path, once, monkeypatch):
    """A working folder with an empty leaderboard and results of two methods and the references."""

    def write(folder):
        folder.mkdir()
        store = RowStore(folder)
        store.check_writable()
        add_references(store)
        add_method(store, "half", forget=0.5)
        add_method(store, "ga", forget=0.0, retain=0.1)

    board_in(tmp_path / "leaderboards" / "made-up")
    shutil.copytree(once("two methods", write), tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Here(tmp_path)


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
    assert "no row to add to made-up: 24 stand there already" in again.stderr
    add_method(RowStore(here.directory / "results"), "other", forget=0.2)
    more = here.run("leaderboard", "add", "made-up", "results/rows.jsonl", "--name", "more")
    assert more.returncode == 0, more.stderr
    assert "left out  24 rows stand there already" in more.stderr
    assert "more.jsonl: 6 rows" in more.stdout


def test_what_is_refused_leaves_nothing_behind(here):
    said = here.run("leaderboard", "add", "made-up", "results", "--method", "half")
    assert said.returncode == 1
    assert "refused  made-up: no rows of the reference 'finetune'" in said.stderr
    assert not [*(here.directory / "leaderboards/made-up/rows").iterdir()]


def test_what_a_results_folder_holds_besides_is_left_out_and_said(here):
    store = RowStore(here.directory / "results")
    add_method(store, "half", forget=0.6, params={"k": 4}, seeds=(0,))
    add_method(store, "half", forget=0.7, params={"k": 8})
    add_method(store, "other", forget=0.5, model="another")

    def limited(fields):
        fields["task"]["protocol"]["limited"] = True
        fields["task"]["options"]["max_new_tokens"] = 7

    add_method(store, "quick", forget=0.5, change=limited)
    chosen = here.run("leaderboard", "add", "made-up", "results", "--name", "k8", "--param", "k=8", "--out", "k8.jsonl")
    assert "k8.jsonl: 18 rows" in chosen.stdout  # the references come along
    said = here.run("leaderboard", "add", "made-up", "results", "--name", "ours")
    assert said.returncode == 0, said.stderr
    assert "left out  2 rows are not enough (half on made-up lacks seed 1, 2, and" in said.stderr
    assert "left out  6 rows do not fit (model 'another' is not on this leaderboard)" in said.stderr
    assert "left out  6 rows do not fit (only some of the questions were asked" in said.stderr
    assert "30 rows" in said.stdout


def test_a_spoiled_leaderboard_is_neither_shown_nor_built(here):
    here.run("leaderboard", "add", "made-up", "results", "--name", "ours")
    path = here.directory / "leaderboards/made-up/rows/ours.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"schema_version":2', b'"schema_version":7', 1))
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
        (["add", "made-up", "results", "--by", "x" * 300], "--by xxx"),
        (["add", "made-up", "results", "--method", "othr"], "24 are of methods or settings that were not chosen"),
        (["add", "made-up", "results", "--param", "k"], "NAME=VALUE is wanted"),
        (["add", "made-up", "results", "--name", "a b"], "a submission's name has letters"),
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


def test_building_again_keeps_what_is_not_ours(here):
    """A Hugging Face Space has a README.md of its own, and is a git repository."""
    here.run("leaderboard", "add", "made-up", "results")
    assert here.run("leaderboard", "build", "made-up").returncode == 0
    site = here.directory / "site"
    (site / "README.md").write_text("sdk: static")
    (site / ".git").mkdir()
    (site / ".git" / "HEAD").write_text("ref")
    (site / "made-up" / "index.html").write_text("old")
    (here.directory / "link").symlink_to(site)
    assert here.run("leaderboard", "build", "made-up", "--out", "link").returncode == 0
    assert (site / "README.md").read_text() == "sdk: static"
    assert (site / ".git" / "HEAD").read_text() == "ref"
    assert (site / "made-up" / "index.html").read_text() != "old"
    assert (here.directory / "link").is_symlink()
    assert {each.name for each in here.directory.iterdir()} >= {"site", "link", "results"}
    assert not [each for each in here.directory.iterdir() if each.name.startswith(".site")]


def test_they_are_listed(here):
    listed = json.loads(here.run("list", "leaderboards", "--json").stdout)["leaderboards"]
    assert {"made-up", "private-attributes-tiny"} <= {each["name"] for each in listed}
