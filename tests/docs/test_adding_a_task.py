"""What `docs/adding-a-task.md` shows is what is tested, and its checks pass on it."""

import re
from pathlib import Path

import pytest

from tests.plugins.test_choice_benchmark import PLUGIN, write
from unlearnbench import Task
from unlearnbench.registry import load_plugin, metrics

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-task.md").read_text()
BENCHMARK, METRIC, CHECKS = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)


def test_the_task_is_the_file_that_is_run() -> None:
    assert PLUGIN.read_text() == BENCHMARK
    told = int(re.findall(r"One file of (\d+) lines", PAGE)[0])
    assert abs(len(BENCHMARK.splitlines()) - told) <= 5


def test_what_a_task_has_is_there() -> None:
    rows = re.findall(r"(?m)^\| (`.*?) \|", PAGE.partition("## What a task has")[2].partition("**Asking.**")[0])
    told = {name for row in rows for name in re.findall(r"`(\w+)[`(]", row)}
    assert told == {name for name in vars(Task) if not name.startswith("_")} - {"name", "version", "reference"}


def test_the_metric_and_the_task_pass_the_checks_that_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "animals").mkdir()
    write(tmp_path / "animals")
    (tmp_path / "talk.py").write_text(METRIC)
    monkeypatch.chdir(tmp_path)
    load_plugin(PLUGIN)
    load_plugin(tmp_path / "talk.py")
    assert "talkativeness" in metrics
    exec(compile(CHECKS, "adding-a-task.md", "exec"), {})
