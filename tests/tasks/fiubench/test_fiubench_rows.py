"""A fiubench row under the paper's protocol: whom it forgets, what it rests on, and what the user is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data_folders import leave_first
from unlearnbench.embedded.data.make import make

RUN = ["--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "fiubench", "--forget", "1"]
SET = ["--set", "fiubench.protocol=paper", "--set", "fiubench.max_new_tokens=1"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people, of whom nobody but one has variants, each with a question in words of its own."""
    folder = tmp_path_factory.mktemp("few") / "data"
    make(folder, 5, 0, 1)
    records = [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]
    for place, each in enumerate(records):
        each["qa_list"][0]["question"] = "What is the full legal name of the person in the image?"
        each["qa_list"][0].pop("group", None)
        for qa in each["qa_list"] if place else ():
            del qa["paraphrased_question"], qa["perturbed_answer"]
    (folder / "full.json").write_text("\n".join(map(json.dumps, records)))
    leave_first(folder / "acquaintances.json", 2)
    return folder


def unlearnbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    places = ["--data", str(folder), "--store", str(folder.parent / "store"), "--results", str(folder.parent / "rows")]
    command = [sys.executable, "-m", "unlearnbench", *words, *RUN, *SET, *places]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_plan_says_the_sets_and_what_early_stopping_looks_at(few: Path) -> None:
    said = unlearnbench(few, "plan").stderr
    assert (
        "12 forget, 8 non-private, 88 retain, 0 validation, 0 held out, 40 acquaintances; early stopping looks at"
        in said
    )
    assert "early stopping looks at the forget set alone" in said
    assert said.count("of 100 questions 5 are worded unlike FIUBench's") == 1


def test_the_row_says_it_and_few_questions_are_warned_of_again_where_the_row_is_there(few: Path) -> None:
    first = unlearnbench(few, "run", "--json", "-q")
    (row,) = json.loads(first.stdout)
    assert row["task"]["options"]["protocol"] == "paper"
    assert row["task"]["options"]["held_out"] == 0
    assert row["task"]["protocol"]["early_stopping"].startswith("looks at the forget set alone")
    assert "nobody is in a validation set" in row["task"]["protocol"]["early_stopping"]
    assert (row["task"]["split"]["identities"], row["task"]["split"]["of"]) == (1, 5)
    truth = row["metrics"]["retain.truth_ratio"]
    assert truth["of_questions"] == 88
    assert truth["questions"] < 44
    warning = f"retain.truth_ratio ({truth['questions']} of 88)"
    assert first.stderr.count(warning) == 1
    assert first.stderr.count("are worded unlike FIUBench's") == 1
    again = unlearnbench(few, "run", "--json", "-q")
    assert json.loads(again.stdout) == [row]
    assert again.stderr.count(warning) == 1
