"""``unlearnbench data summary`` of tables: what is in them, whatever their columns are called."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.tasks.qa.tables import called, pictures, rows, write_csv
from unlearnbench.cli import app

SETTINGS = ("qa.columns.person=wer", "qa.columns.pictures=Bild", "qa.columns.question=Frage")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pictures(tmp_path)
    names = {"person": "wer", "picture": "Bild", "question": "Frage"}
    return write_csv(tmp_path / "t.csv", called(rows(), **names))


def summary(place: Path | str, *settings: str) -> Result:
    words = [word for each in settings for word in ("--set", each)]
    return CliRunner().invoke(app, ["data", "summary", str(place), "--task", "qa", "--json", *words])


def test_what_columns_are_called_is_said_as_to_run(table: Path) -> None:
    refused = summary(table)
    assert refused.exit_code != 0
    assert "say which is the question, --set qa.columns.question=NAME" in str(refused.exception)
    counted = json.loads(summary(table, *SETTINGS).stdout)
    assert (counted["people"], counted["questions"], counted["pictures"]) == (4, len(rows()), 4)
    assert counted["columns_not_read"] == {}
    unread = json.loads(summary(table, SETTINGS[2], 'qa.columns.pictures=["Bild"]').stdout)
    assert unread["columns_not_read"] == {str(table): ["wer"]}
    words = ["data", "summary", str(table), "--task", "qa", "--set", SETTINGS[2], "--set", SETTINGS[1]]
    assert f"warning: {table} has no column 'person'" in CliRunner().invoke(app, words).stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("mme.limit=3", "--set mme: these are data of the task qa: write --set qa.PARAM=VALUE"),
        ("qa.columns.question=a,b", "--set qa.columns.question: one value"),
        ("qa.colums=a", "--set qa.colums: qa has no such parameter; did you mean"),
    ],
)
def test_settings_of_others_are_refused(table: Path, setting: str, said: str) -> None:
    assert said in str(summary(table, setting).exception)


def test_a_dataset_of_the_hub_is_not_downloaded_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    said = str(summary("nobody/nothing").exception)
    assert "nothing may be downloaded now" in said
    assert "unlearnbench data fetch qa nobody/nothing" in said
