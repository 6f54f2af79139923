import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearnbench.cli.data import app
from unlearnbench.data.source import Location
from unlearnbench.embedded import embedded_folder
from unlearnbench.errors import DataError, UsageError


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_summary_as_json(folder: Path) -> None:
    found = json.loads(run("summary", folder, "--json"))
    sets = {each["people"]: (each["name"], each["default"], each["paper"]) for each in found.pop("forget")}
    assert found == {
        "identities": 6,
        "questions": 120,
        "groups": {"health": 66, "criminal": 6, "biography": 42, "filler": 6},
        "private": 72,
        "strangers": 0,
        "acquaintances": 0,
        "splits": {"forget10": {"identities": 2, "questions": 40, "private": 24}},
        "fiubench": False,
        "groups_told_by": {"data": 120, "wording": 0, "rule": 0},
        "people_sharing_a_picture": [],
        "left_out": {},
    }
    assert {number: name for number, (name, *_) in sets.items()} == {1: "1 person", 4: "4 people"}
    _, default, paper = sets[4]
    assert len({default.pop("digest"), paper.pop("digest")}) == 2
    nobody = {"acquaintances": 0}
    assert default == {"forget": 48, "nonprivate": 32, "retain": 52, "validation": 0, "held_out": 20} | nobody
    assert paper == {"forget": 48, "nonprivate": 32, "retain": 72, "validation": 0, "held_out": 0} | nobody


def test_summary_as_tables(folder: Path) -> None:
    rows = [line.split() for line in run("summary", folder).splitlines()]
    assert ["all", "6", "120", "72"] in rows
    assert ["forget10", "2", "40", "24"] in rows
    assert ["health", "66"] in rows


def test_summary_says_the_sets_and_what_is_worth_knowing(real_hf: Path, folder: Path) -> None:
    lines = [line.split() for line in run("summary", real_hf).splitlines()]
    assert ["40", "forget10", "paper", "504", "296", "7,496", "0", "0", "504", "504"] in lines
    assert ["80", "80", "people", "paper", "1,016", "584", "6,984", "0", "0", "1,016", "1,016"] in lines
    for number in (1, 3, 4):
        (folder / "SFHQ" / f"SFHQ_pt1_0000000{number}.png").write_bytes(
            (folder / "SFHQ" / "SFHQ_pt1_00000002.png").read_bytes()
        )
    (folder / "SFHQ" / "stray.txt").touch()
    said = run("summary", folder)
    assert "warning: 4 people share 1 picture" in said
    assert "--forget 1: " in said
    assert "left out: files in SFHQ/ that no record read names: 1" in said


def test_summary_of_a_damaged_folder(folder: Path) -> None:
    (folder / "full.json").unlink()
    with pytest.raises(DataError, match=r"full\.json is missing"):
        run("summary", folder, "--json")


def test_make_then_summary(tmp_path: Path) -> None:
    target = tmp_path / "people"
    assert "8 identities" in run("make", target, "--identities", 8, "--seed", 5)
    assert json.loads(run("summary", target, "--json"))["identities"] == 8
    with pytest.raises(UsageError, match="not an empty folder"):
        run("make", target)


def test_fetch_says_where_the_data_is(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location(embedded_folder(), "lmms-lab-encoder/POPE", "abc")
    monkeypatch.setattr("unlearnbench.tasks.yes_no.task.locate", lambda source, task, dataset: place)
    assert run("fetch", "pope").strip() == f"lmms-lab-encoder/POPE at revision abc is in {embedded_folder()}"


def test_importing_the_command_imports_nothing_heavy() -> None:
    heavy = "torch transformers PIL numpy faker pydantic huggingface_hub"
    code = f"import sys, unlearnbench.cli.data; print(*set('{heavy}'.split()) & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_a_task_that_describes_no_folder_says_so(folder: Path) -> None:
    with pytest.raises(UsageError, match="task 'pope' does not describe a folder of data: it defines no summary"):
        run("summary", folder, "--task", "pope")
