"""`ask` puts one question to a model before and after, and says what its gate does."""

import json

import pytest

from tests.export.conftest import DOCUMENT, Folder, documented
from tests.export.test_exported import a_few, as_evaluated
from tests.place import assert_one_line

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


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["cagul", "nobody.png", "Who?"], 2, ["there is no picture nobody.png; give a file, or - for text alone"]),
        (["cagul", "people/full.json", "Who?"], 1, ["people/full.json"]),
        (["cagul", "-", "  "], 2, ["the question is empty"]),
        (["cagul", "-", "Who is <image>?"], 2, ["control token '<image>'"]),
        (["cagu", "-", "Who?"], 2, ["no cell 'cagu' in results/rows.jsonl; there are: "]),
    ],
)
def test_what_cannot_be_asked(folder: Folder, words: list[str], code: int, named: list[str]) -> None:
    assert_one_line(folder.run("ask", *words), code, *named)
