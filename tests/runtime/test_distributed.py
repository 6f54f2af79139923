"""Two processes on CPUs against one: cut-up weights, shared-out batches and evaluations give the same results."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.processes import run as forked

Run = Callable[[Sequence[str]], "CompletedProcess[str]"]

SETTINGS = [
    "base.epochs=1",
    "base.batch_size=15",  # 120 pairs: uneven parts
    "base.questions_per_picture=5",  # packed, by one process as by two
    "cagul.epochs=1",
    "cagul.batch_size=25",
    "cagul.learning_rate=3e-4",  # Adam makes steps of this size out of gradients that are rounding alone
    "cagul.discriminator_epochs=2",
    "cagul.discriminator_learning_rate=1e-4",
    "cagul.gate=label",
    "ga-gd.epochs=1",
    "ga-gd.learning_rate=1e-5",
    "fiubench.max_new_tokens=8",
    "pope.max_new_tokens=2",
]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]

FAILS_ALONE = """
from datetime import timedelta
from unlearnbench import Method, method
from unlearnbench.runtime import distributed

distributed.SETTLING = timedelta(seconds=3)

@method("fails-alone", reference="tests")
class FailsAlone(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        if distributed.place() == 1:
            raise ArithmeticError("no room here")
        return distributed.agreed(None) or distributed.gathered(None)
"""


def words(
    data: Path, folder: Path, *options: str, model: str, methods: str = "finetune", task: str = "pope"
) -> list[str]:
    """A small grid into ``folder``."""
    folder.mkdir(exist_ok=True)
    found = ["run", "--quiet", "--device", "cpu", "--model", model, "--method", methods, "--task", task]
    found += ["--data", str(data), "--forget", "2"]
    for setting in SETTINGS:
        if setting.partition(".")[0] in ("base", task, *methods.split(",")):
            found += ["--set", setting]
    return [*found, "--results", str(folder / "results"), "--store", str(folder / "store"), *options]


def run(
    words: Sequence[str], launcher: Sequence[str] = (sys.executable,), **environment: str
) -> "CompletedProcess[str]":
    """The command in a process that starts as a user's does."""
    command = [*launcher, "-m", "unlearnbench", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results" / "rows.jsonl").read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda row: row["row_id"])


def tensors(folder: Path) -> dict[str, Any]:
    """All tensors that the store holds, by artefact and name."""
    files = sorted((folder / "store").rglob("*.safetensors"))
    return {f"{file.relative_to(folder)} {name}": value for file in files for name, value in load_file(file).items()}


def with_gpus(words: Sequence[str]) -> "CompletedProcess[str]":
    return run([*words, "--gpus", "2"])


def under_torchrun(words: Sequence[str]) -> "CompletedProcess[str]":
    """Told of the processes by a launcher, Accelerate counts them, as it does on GPUs."""
    return run(words, TORCHRUN, ACCELERATE_USE_CPU="true")


@pytest.mark.parametrize(
    ("model", "methods", "task", "two"),
    [
        ("tiny-qwen2.5-vl", "finetune,cagul,ga-gd", "fiubench", under_torchrun),
        ("tiny-mllama", "ga-gd", "pope", with_gpus),
    ],
)
def test_two_processes_give_what_one_gives(
    small_data: Path, tmp_path: Path, model: str, methods: str, task: str, two: Run
) -> None:
    def grid(name: str) -> list[str]:
        slow = ("--set", "base.learning_rate=1e-4")  # Adam again
        return words(small_data, tmp_path / name, *slow, model=model, methods=methods, task=task)

    for done in (forked(*grid("one"), "--executor", "inline"), two(grid("two"))):
        assert done.returncode == 0, done.stderr
    one, both = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == both.keys()
    assert any("base" in name for name in one)
    assert max(float((one[name] - both[name]).abs().max()) for name in one) < 1e-5
    alone, together = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["row_id"] for row in alone] == [row["row_id"] for row in together]
    for left, right in zip(alone, together, strict=True):
        assert right["status"] == "ok"
        assert (left["environment"]["processes"], right["environment"]["processes"]) == (1, 2)
        values = [{name: metric["value"] for name, metric in row["metrics"].items()} for row in (left, right)]
        assert values[1] == pytest.approx(values[0], abs=1e-5, rel=1e-4)
        generated = {n: v for n, v in values[0].items() if n.split(".")[1] in ("rouge_l", "exact_match", "ape", "f1")}
        assert all(values[1][name] == value for name, value in generated.items())


def test_a_failure_of_all_is_a_row_and_one_line(small_data: Path, random_model: Path, tmp_path: Path) -> None:
    grid = words(small_data, tmp_path, model=str(random_model))
    done = run([*grid, "--gpus", "2", "--set", "base.learning_rate=1e9"])
    assert done.returncode == 1
    assert {row["status"] for row in rows(tmp_path)} == {"error"}
    assert done.stderr.count("diverged") == done.stderr.count("\n") == 1, done.stderr


def test_one_that_fails_alone_says_why_and_ends_all(small_data: Path, random_model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "fails_alone.py"
    plugin.write_text(FAILS_ALONE)
    grid = words(small_data, tmp_path, model=str(random_model), methods="pretrain,fails-alone")
    done = run([*grid, "--gpus", "2", "--plugin", str(plugin)])
    assert done.returncode == 1
    assert "process 2 of 2 failed alone, all are ended: ArithmeticError: no room here" in done.stderr
    found = {(row["method"]["name"], row["status"]) for row in rows(tmp_path)}
    assert found == {("pretrain", "ok"), ("fails-alone", "error")}


def test_more_gpus_than_there_are_is_a_usage_error(small_data: Path, tmp_path: Path) -> None:
    import torch

    wanted = str(torch.cuda.device_count() + 2)
    grid = words(small_data, tmp_path, model="tiny-qwen2.5-vl")
    done = forked(*grid, "--gpus", wanted, "--device", "cuda")
    assert done.returncode == 2
    assert f"--gpus {wanted}: this machine shows" in done.stderr
    assert done.stderr.count("\n") == 1
