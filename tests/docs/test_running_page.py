"""What docs/running.md shows of a run in a file: both files are one grid, and the command that goes with them runs."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from unlearnbench.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "running.md").read_text()


def block(language: str) -> str:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)[0]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["unlearnbench", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "grid.toml").write_text(block("toml"))
    (tmp_path / "grid.yaml").write_text(block("yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_files_are_the_same_grid(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = []
    for name in ("grid.toml", "grid.yaml"):
        assert run(monkeypatch, "plan", "--config", name, "--device", "cpu", "--json") == 0
        plans.append(json.loads(capsys.readouterr().out))
    assert plans[0] == plans[1]
    methods = [each["method"] for each in plans[0]]
    assert (methods.count("finetune"), methods.count("pretrain")) == (3 * 2 * 2, 3 * 2)  # the latter has no base
    assert {each["settings"].get("base", {}).get("epochs") for each in plans[0]} == {10, 20}


def test_the_command_runs_and_what_is_typed_goes_before(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [command] = [line for line in PAGE.splitlines() if "--config" in line and "--method" in line]
    words = [*shlex.split(command)[1:], "--executor", "inline", "--device", "cpu", "--store", str(here / "store")]
    assert run(monkeypatch, *words) == 0
    rows = [json.loads(line) for line in (here / "results" / "first" / "rows.jsonl").read_text().splitlines()]
    assert [(row["method"]["name"], row["seed"], row["task"]["options"]["limit"]) for row in rows] == [
        ("pretrain", 0, 12),
        ("pretrain", 0, 12),
    ]
    assert {row["task"]["options"]["scorer"] for row in rows} == {"official", "strict"}
