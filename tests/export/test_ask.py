"""`ask` puts one question to a model before and after, and says what its gate does."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.export.conftest import DOCUMENT, Folder, documented
from tests.export.test_exported import a_few, as_evaluated
from tests.place import assert_one_line
from unlearnbench.errors import PluginError
from unlearnbench.models.contract.explanation import checked
from unlearnbench.registry import methods

OUTSIDE = Path(__file__).parents[1] / "plugins" / "outside"

PICTURE = "people/SFHQ/SFHQ_pt1_98260550.png"


def test_the_documented_questions(folder: Folder) -> None:
    with_picture, alone = documented("ask")
    done = folder.run(*with_picture)
    assert done.code == 0
    first, *lines = done.out.splitlines()
    assert first.startswith("cagul on tiny-qwen2.5-vl, seed 0 (cell ")
    assert lines[2].startswith("gate    ")
    assert f"```\n{first.partition(' (cell')[0]}" in DOCUMENT
    done = folder.run(*alone)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["po-gd", "before", "after"]


def test_answers_are_those_of_the_base_and_of_the_evaluated_model(folder: Folder) -> None:
    base, guarded = (as_evaluated(folder.path, method) for method in ("finetune", "cagul"))
    for each in a_few(folder.path)[::4]:
        told = json.loads(folder.run("ask", "cagul", str(each.images[0]), each.text, "--json").out)
        assert told["before"] == base.generate(base.prepare([each]), max_new_tokens=64)[0]
        assert told["after"] == guarded.generate(guarded.prepare([each]), max_new_tokens=64)[0]
        assert [told["explanation"]] == guarded.explain(guarded.prepare([each]))
        if told["explanation"]["flagged"]:
            shown = folder.run("ask", "cagul", str(each.images[0]), each.text).out
            assert "gate    open: 12 of the picture's 5 x 5 tokens are replaced (#)" in shown
            assert shown.count("#") == 13


def test_of_a_method_that_changes_nothing_there_is_one_answer(folder: Folder) -> None:
    lines = folder.run("ask", "finetune", PICTURE, "Who is this?").out.splitlines()
    assert lines[1].startswith("answer  ")
    assert lines[2].strip() == "finetune changes nothing of the model that it starts from, the base"


def test_a_gate_from_outside_is_told_too(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_added", {**methods._added})
    words = ["--plugin", str(OUTSIDE / "blindfold.py"), "--results", str(tmp_path / "results")]
    grid = ["--method", "blindfold", "--model", "tiny-qwen2.5-vl", "--data", "people", "--forget", "2"]
    few = ["--task", "pope", "--set", "base.epochs=2", "--set", "pope.limit=4", "--executor", "inline", "--quiet"]
    assert folder.run("run", *grid, *few, *words).code == 0
    shown = []
    for picture in sorted((folder.path / "people" / "SFHQ").iterdir()):
        done = folder.run("ask", "blindfold", str(picture), "Who is this?", *words)
        shown.append(done.out.splitlines()[3])
    assert {*shown} == {
        "gate    open: 25 of the picture's 5 x 5 tokens are replaced (#)", "gate    shut: the picture is shown as it is"
    }  # fmt: skip


GOOD = {"grid": [2, 2], "flagged": True, "chosen": [0]}


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ([{"grid": [2, 2], "flagged": True}], "0.chosen: Field required"),
        ([GOOD, GOOD], "2 for 1 pictures"),
        ([GOOD | {"chosen": [4]}], "token 4 is outside of 4"),
        ([GOOD | {"grid": [4]}], "grid is [4], and should be rows and columns"),
    ],
)
def test_what_a_gate_explains_wrongly_is_said(told: list[Any], fault: str) -> None:
    assert checked([GOOD | {"scores": None, "more": 1}], 1, "it") == [GOOD | {"scores": None, "more": 1}]
    with pytest.raises(PluginError) as raised:
        checked(told, 1, "theirs")
    said = str(raised.value)
    assert said.startswith("what theirs explains of its pictures is no list of unlearnbench.Explanation, one a picture")
    assert f"({fault}): give grid, flagged and chosen" in said


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (
            ["cagul", "nobody.png", "Who?"],
            2,
            ["PICTURE nobody.png: there is no such file; give a picture's file, or -"],
        ),
        (["cagul", "people", "Who?"], 2, ["PICTURE people: it is a folder; give"]),
        (["cagul", "", "Who?"], 2, ["PICTURE '': there is no such file; give"]),
        (["nobody", "https://x.org/a.png", "Who?"], 2, ["PICTURE https://x.org/a.png: there is no such file; give"]),
        (["nobody", "people/full.json", "Who?"], 1, ["people/full.json cannot be decoded"]),
        (["cagul", "people/full.json", "Who?"], 1, ["people/full.json"]),
        (["cagul", "-", "  "], 2, ["the question is empty"]),
        (["cagul", "-", "Who is <image>?"], 2, ["control token '<image>'"]),
        (["cagu", "-", "Who?"], 2, ["no cell 'cagu' in results/rows.jsonl; there are: "]),
    ],
)
def test_what_cannot_be_asked(folder: Folder, words: list[str], code: int, named: list[str]) -> None:
    assert_one_line(folder.run("ask", *words), code, *named)
