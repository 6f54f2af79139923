"""A method of ours written again outside gives the same metrics: nothing of ours has a path of its own."""

import json
from pathlib import Path

import pytest

from tests.processes import run

HERE = Path(__file__).parent / "outside"
TRAINED = {"epochs": "2", "stop.forget_loss": "3", "stop.forget_ratio": "null", "lora.rank": "4"}


@pytest.mark.slow
def test_the_built_in_method_and_the_file_give_the_same_rows(
    tmp_path: Path, small_data: Path, shared_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a plug-in below the working folder would be named relative to it
    words = ["--method", "ga-gd,my-ga-gd", "--model", "tiny-qwen2.5-vl", "--task", "fiubench,pope", "--device", "cpu"]
    words += ["--plugin", str(HERE / "my_ga_gd.py"), "--data", str(small_data), "--forget", "2", "--json", "--quiet"]
    words += ["--set", "base.epochs=1", "--set", "fiubench.max_new_tokens=4", "--set", "pope.max_new_tokens=2"]
    words += ["--store", str(shared_store), "--results", str(tmp_path / "results"), "--executor", "inline"]
    for method in ("ga-gd", "my-ga-gd"):
        words += [word for name, value in TRAINED.items() for word in ("--set", f"{method}.{name}={value}")]
    done = run("run", *words)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {(row["method"]["name"], row["task"]["name"]): row for row in json.loads(done.stdout)}
    assert len(rows) == 4
    for task in ("fiubench", "pope"):
        ours, theirs = rows["ga-gd", task], rows["my-ga-gd", task]
        assert ours["metrics"] == theirs["metrics"]
        assert ours["method"]["params"] == theirs["method"]["params"]
        assert ours["notes"] == theirs["notes"]
        assert ours["cost"]["trainable_parameters"] == theirs["cost"]["trainable_parameters"] > 0
        assert ours["samples"]["sha256"] == theirs["samples"]["sha256"]
    assert theirs["method"]["origin"] == str(HERE / "my_ga_gd.py")
