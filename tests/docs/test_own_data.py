"""What `docs/own-data.md` shows: three tables go from their columns to rows, scores and a report."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import three_tables
from tests.processes import run as unlearnbench
from unlearnbench.registry import tasks
from unlearnbench.tasks.qa.layout import Columns, located
from unlearnbench.tasks.qa.reader import read

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text()
BLOCK = re.findall(r"(?ms)^```bash\n(.*?)^```$", PAGE.partition("## Three tables")[2])[0]
WRITE, SUMMARY, RUN, REPORT = (shlex.split(line) for line in BLOCK.splitlines())
SMALL = [
    "--device", "cpu", "--executor", "inline", "--quiet", "--json", "--forget", "1", "--set", "base.epochs=1",
    "--set", "retrain.epochs=1", "--set", "cagul.epochs=1", "--set", "cagul.discriminator_epochs=1",
    "--set", "po-gd.epochs=1", "--set", "qa.max_new_tokens=3",
]  # fmt: skip


def test_the_map_is_that_of_the_tables() -> None:
    [shown] = re.findall(r"(?ms)^```toml\n(.*?)^```$", PAGE)
    tables = re.compile(r"(?ms)^\[\[tables\]\].*?^file = \"(\w+)\.csv\"\ncolumns = (.*?)$")
    written = dict(tables.findall(three_tables.MAP))
    assert {**written, **dict(tables.findall(shown))} == written


def test_the_columns_are_all_there_are() -> None:
    rows = re.findall(r"(?m)^\| (`.*?) \|", PAGE.partition("## Columns")[2].partition("## Who")[0])
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*Columns.model_fields}


@pytest.mark.parametrize("text", [three_tables.TEXT, Path("nowhere")], ids=["published", "embedded"])
def test_tables_are_of_three_layouts_whichever_text_is_at_hand(tmp_path: Path, text: Path) -> None:
    three_tables.write(tmp_path / "three", 4, text)
    data = read(located(str(tmp_path / "three"), Columns()))
    of = {name: [fact for fact in data.facts if f"{name}.csv" in fact.where] for name in ("people", "notes", "scenes")}
    assert {len(fact.images) for fact in of["people"]} == {1, 2}
    assert {len(fact.images) for fact in of["notes"]} == {0}
    assert {fact.answer for fact in of["scenes"]} <= {"yes", "no"}
    asked = [sum(fact.cluster == name for fact in data.facts) for name in data.splits["first-two"]]
    assert len({*asked}) == 2
    assert {fact.cluster for fact in of["notes"]} == {fact.cluster for fact in of["people"]}
    assert all(not any(data.unread.values()) for _ in of)


@pytest.fixture(scope="module")
def folder(once: Callable[..., Path]) -> Path:
    """Where the page's commands have run, on few people and with few epochs; its rows are in ``rows.json``."""

    def write(folder: Path) -> None:
        assert WRITE[:3] == ["python", "-m", "benchmarks.runs.three_tables"]
        three_tables.write(folder / WRITE[3], 4)
        words = [str(folder / word) if word == WRITE[3] else word for word in RUN[1:]]
        ran = unlearnbench(*words, *SMALL, "--results", folder / "results", "--store", folder / "store")
        assert ran.returncode == 0, ran.stderr
        (folder / "rows.json").write_text(ran.stdout)

    return once("own-data", write)


@pytest.fixture
def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows by method, with their samples in place of the file's name."""
    found = {row["method"]["name"]: row for row in json.loads((folder / "rows.json").read_text())}
    for row in found.values():
        lines = (folder / "results" / row["samples"]["path"]).read_text().splitlines()
        row["samples"] = [json.loads(line) for line in lines]
    return found


@pytest.mark.slow
def test_every_method_gives_a_row_of_all_questions(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(
        ("finetune", "retrain", "cagul", "po-gd"), "ok"
    )
    data = read(located(str(folder / "three"), Columns()))
    for row in rows.values():
        [whom] = {each["unique_id"] for each in row["samples"] if each["set"] == "forget"}
        own = {each["id"]: each for each in row["samples"]}
        private = {fact.id for fact in data.facts if fact.cluster == whom and fact.private}
        assert {name for name, each in own.items() if each["set"] == "forget"} == private
        for fact in data.facts:
            if fact.id in own:  # those for validation are not asked
                said = own[fact.id]
                assert (said["question"], said["answer"]) == (fact.text, fact.answer)
                names = [image.relative_to(folder / "three").as_posix() for image in fact.images]
                assert said.get("images", [said["image"]] if "image" in said else []) == names
        task = tasks.get("qa")(tasks.get("qa").Options.model_validate(row["task"]["options"]))
        again = task.measured(row["samples"]).metrics
        assert {name: value.value for name, value in again.items()} == {
            name: each["value"] for name, each in row["metrics"].items()
        }


@pytest.mark.slow
def test_cagul_answers_questions_without_a_picture_as_before_and_explains_pictures(
    rows: dict[str, dict[str, Any]],
) -> None:
    before, after = ({each["id"]: each for each in rows[name]["samples"]} for name in ("finetune", "cagul"))
    bare = [name for name, each in before.items() if "image" not in each]
    assert bare
    assert {name: before[name]["prediction"] for name in bare} == {name: after[name]["prediction"] for name in bare}
    told = [each for each in after.values() if "explanation" in each]
    for each in told:
        facts = each["explanation"] if isinstance(each["explanation"], list) else [each["explanation"]]
        assert [fact["image"] for fact in facts] == each.get("images", [each["image"]])
    assert told


@pytest.mark.slow
def test_scores_and_pictures_are_reported(folder: Path, tmp_path: Path) -> None:
    assert REPORT[:2] == ["unlearnbench", "report"]
    words = {"results": folder / "results", "three": folder / "three", "report": tmp_path / "report"}
    done = unlearnbench("report", *(words.get(word, word) for word in REPORT[2:]))
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("retrain", "cagul", "po-gd", "majority guess", "Held-out"))
    assert [*(tmp_path / "report").glob("attention-cagul*.png")]


def test_the_summary_counts_what_is_there(tmp_path: Path) -> None:
    three_tables.write(tmp_path / "three", 3)
    assert SUMMARY[:3] == ["unlearnbench", "data", "summary"]
    done = unlearnbench("data", "summary", tmp_path / "three", *SUMMARY[4:], "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["people"] == 6  # and three scenes
    assert sum(counts["tables"].values()) == counts["questions"]
    assert counts["columns_not_read"] == {}
