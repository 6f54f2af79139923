"""Kills at the moments that matter, one each; `benchmarks.runs.kills` deals them out by the dozen, at any moment."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.processes import run
from unlearnbench.runtime import atomic

MOMENTS = ("store/base/", "store/checkpoints/", "store/unlearned/", "results/samples/")
"""What has been written, and is about to be renamed to what it shall be, when the process is killed."""


def die_writing(what: str) -> None:
    """Kill this process once it has filled a file of this kind, before that has its name."""
    sync = atomic.sync

    def last(path: Path) -> None:
        sync(path)
        if what in str(path) and ".tmp-" in str(path):
            os.kill(os.getpid(), signal.SIGKILL)

    atomic.sync = last


def metrics(folder: Path) -> dict[str, object]:
    """Metrics by cell, of which none may be there twice."""
    rows = [json.loads(line) for line in (folder / "results" / "rows.jsonl").read_text().splitlines()]
    assert {row["status"] for row in rows} == {"ok"}
    assert len({row["row_id"] for row in rows}) == len(rows) == 2
    return {row["row_id"]: row["metrics"] for row in rows}


@pytest.mark.slow
def test_rows_are_the_same_after_kills(tmp_path: Path, random_model: Path, small_data: Path) -> None:
    def grid(name: str) -> list[str]:
        (tmp_path / name).mkdir(exist_ok=True)
        words = ["run", "--quiet", "--device", "cpu", "--executor", "inline", "--checkpoint-minutes", "0.00001"]
        words += ["--method", "finetune,cagul", "--model", str(random_model), "--task", "pope"]
        words += ["--data", str(small_data), "--forget", "2", "--set", "pope.max_new_tokens=2"]
        words += ["--set", "base.epochs=1", "--set", "cagul.epochs=1", "--set", "cagul.discriminator_epochs=2"]
        return [*words, "--store", str(tmp_path / name / "store"), "--results", str(tmp_path / name / "results")]

    calm = run(*grid("calm"))
    assert calm.returncode == 0, calm.stderr
    for moment in MOMENTS:
        assert run(*grid("killed"), before=die_writing, given=(moment,)).returncode == -signal.SIGKILL, moment
    done = run(*grid("killed"))
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "calm")
