import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearnbench.cli.data import app
from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.source import Location
from unlearnbench.errors import DataError, UsageError


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_summary_as_json(folder: Path) -> None:
    assert json.loads(run("summary", folder, "--json")) == {
        "identities": 6,
        "questions": 120,
        "groups": {"health": 66, "criminal": 6, "biography": 42, "filler": 6},
        "private": 72,
        "strangers": 0,
        "splits": {"forget10": {"identities": 2, "questions": 40, "private": 24}},
    }


def test_summary_as_tables(folder: Path) -> None:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in run("summary", folder).splitlines()]
    assert ["all", "6", "120", "72"] in rows
    assert ["forget10", "2", "40", "24"] in rows
    assert ["health", "66"] in rows


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
    monkeypatch.setattr("unlearnbench.tasks.yes_no.locate", lambda source, task, dataset: place)
    assert run("fetch", "pope").strip() == f"lmms-lab-encoder/POPE at revision abc is in {embedded_folder()}"


def test_importing_the_command_imports_nothing_heavy() -> None:
    heavy = "torch transformers PIL numpy faker pydantic huggingface_hub"
    code = f"import sys, unlearnbench.cli.data; print(*set('{heavy}'.split()) & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
