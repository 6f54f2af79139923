"""``--config FILE``: what a file may say, what is typed beside it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.cli.parts.from_file import settings_of
from unlearnbench.config import parse_settings


def planned(*words: str) -> Any:
    done = CliRunner().invoke(app, ["plan", "--json", "--device", "cpu", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text("method: finetune\nmodel: [tiny-qwen2.5-vl]\ntask: pope\nbase_seed: 5\nseed: [1, 2]\n")
    return path


def test_a_file_stands_for_what_is_not_typed(file: Path, small_data: Path) -> None:
    cells = planned("--config", str(file), "--seed", "3", "--data", str(small_data))
    assert [(each["method"], each["seed"], each["task"]) for each in cells] == [("finetune", 3, "pope")]
    assert len(planned("--data", str(small_data), "--config", str(file))) == 2
    by_hand = ("--method", "finetune", "--model", "tiny-qwen2.5-vl", "--task", "pope", "--base-seed", "5")
    assert cells == planned(*by_hand, "--seed", "3", "--data", str(small_data))


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        ({"cagul": {"epochs": 5}}, {"cagul": {"epochs": (5,)}}),
        ({"cagul": {"epochs": [5, 6]}}, {"cagul": {"epochs": (5, 6)}}),
        ({"ga": {"lora": {"rank": 8}}}, {"ga": {"lora.rank": (8,)}}),
        ({"ga": {"lora.rank": 8, "full": True}}, {"ga": {"lora.rank": (8,), "full": (True,)}}),
        ({"fiubench": {"private": [["health", "a, b"]]}}, {"fiubench": {"private": (["health", "a, b"],)}}),
        ({"po-gd": {"refusals": "5", "rate": 1e-3}}, {"po-gd": {"refusals": ("5",), "rate": (1e-3,)}}),
    ],
)
def test_a_table_of_settings_is_what_would_be_typed(table: dict[str, Any], settings: dict[str, Any]) -> None:
    texts = [f"{place}={values}" for place, values in settings_of(table)]
    assert parse_settings(texts, ["cagul", "ga", "fiubench", "po-gd"]) == settings


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.toml", None, "cannot be read (No such file or directory); check the path"),
        ("grid.txt", "", "give a file whose name ends in .toml, .yaml, .yml"),
        ("grid.toml", "method = ", "correct the file"),
        ("grid.yaml", "method: [", "correct the file"),
        ("grid.yaml", "ga", "it holds no options"),
        ("grid.yaml", "methods: ga", "no option 'methods'; did you mean 'method'?"),
        ("grid.yaml", "config: other.yaml", "no option 'config'"),
        ("grid.yaml", "method: {ga: [[1]]}", "method: give a value, or a list of values"),
        ("grid.yaml", "limit: [1, 2]", "limit: give one value"),
        ("grid.yaml", "method: ga\ntask: qa\nmethod: cagul", "line 3: 'method' is given in line 1 already; correct"),
        ("grid.yaml", "set:\n  ga: {epochs: 1}\n  ga: {epochs: 2}", "line 3: 'ga' is given in line 2 already"),
        ("grid.toml", "base-seed = 1\nbase_seed = 2", "'base-seed' and 'base_seed' are one option; give it once"),
        ("grid.yaml", "method:", "method: give a value, or a list of values"),
    ],
)
def test_what_is_no_option_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = CliRunner().invoke(app, ["run", "--config", str(tmp_path / name)])
    assert message in str(done.exception)
    assert f"--config {tmp_path / name}: " in str(done.exception)
    assert "\n" not in message
