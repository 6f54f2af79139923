"""Two processes on CPUs against one: cut-up weights, shared-out batches and evaluations give the same results."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

METHODS = ["finetune", "cagul", "ga-gd"]
SETTINGS = [
    "base.epochs=3",
    "base.batch_size=15",  # 120 pairs: uneven parts
    "cagul.epochs=2",
    "cagul.batch_size=25",
    "cagul.learning_rate=3e-4",  # Adam makes steps of this size out of gradients that are rounding alone
    "cagul.discriminator_epochs=2",
    "cagul.discriminator_learning_rate=1e-4",
    "cagul.gate=label",
    "ga-gd.epochs=2",
    "ga-gd.learning_rate=1e-5",
]


ALONE = [sys.executable]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]

FAILS_ALONE = """
from datetime import timedelta
from unlearnbench import Method, method
from unlearnbench.training import distributed

distributed.SETTLING = timedelta(seconds=3)

@method("fails-alone", reference="tests")
class FailsAlone(Method):
    def unlearn(self, model, sets, run):
        if distributed.place() == 1:
            raise MemoryError("no room here")
        return distributed.agreed(None) or distributed.gathered(None)
"""


def run(
    data: Path,
    folder: Path,
    model: str,
    *options: str,
    launcher: Sequence[str] = ALONE,
    methods: Sequence[str] = METHODS,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """A small grid into ``folder``."""
    command = [*launcher, "-m", "unlearnbench", "run", "--quiet", "--device", "cpu"]
    for method in methods:
        command += ["--method", method]
    for setting in SETTINGS:
        if setting.partition(".")[0] in ("base", *methods):
            command += ["--set", setting]
    command += ["--model", model, "--task", "fiubench,pope", "--data", str(data), "--forget", "2"]
    command += ["--results", str(folder / "results"), "--store", str(folder / "store"), *options]
    folder.mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=os.environ | environment)


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results" / "rows.jsonl").read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda row: row["row_id"])


def tensors(folder: Path) -> dict[str, Any]:
    """All tensors that the store holds, by artefact and name."""
    files = sorted((folder / "store").rglob("*.safetensors"))
    return {f"{file.relative_to(folder)} {name}": value for file in files for name, value in load_file(file).items()}


def with_gpus(data: Path, folder: Path, model: str) -> subprocess.CompletedProcess[str]:
    return run(data, folder, model, "--gpus", "2")


def under_torchrun(data: Path, folder: Path, model: str) -> subprocess.CompletedProcess[str]:
    """Told of the processes by a launcher, Accelerate counts them, as it does on GPUs."""
    return run(data, folder, model, launcher=TORCHRUN, ACCELERATE_USE_CPU="true")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("model", "two"), [("tiny-qwen2.5-vl", under_torchrun), ("tiny-mllama", with_gpus)])
def test_two_processes_give_what_one_gives(small_data: Path, tmp_path: Path, model: str, two: Any) -> None:
    for done in (run(small_data, tmp_path / "one", model), two(small_data, tmp_path / "two", model)):
        assert done.returncode == 0, done.stderr
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == two.keys()
    assert any("base" in name for name in one)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    alone, together = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["row_id"] for row in alone] == [row["row_id"] for row in together]
    for left, right in zip(alone, together, strict=True):
        assert right["status"] == "ok"
        assert (left["environment"]["processes"], right["environment"]["processes"]) == (1, 2)
        values = [{name: metric["value"] for name, metric in row["metrics"].items()} for row in (left, right)]
        assert values[1] == pytest.approx(values[0], abs=1e-5, rel=1e-4)
        generated = {n: v for n, v in values[0].items() if n.split(".")[1] in ("rouge_l", "exact_match", "ape", "f1")}
        assert all(values[1][name] == value for name, value in generated.items())


def test_a_failure_of_all_is_a_row_and_one_line(small_data: Path, tmp_path: Path) -> None:
    done = run(small_data, tmp_path / "run", "tiny-qwen2.5-vl", "--gpus", "2", "--set", "base.learning_rate=1e9")
    assert done.returncode == 1
    assert {row["status"] for row in rows(tmp_path / "run")} == {"error"}
    assert done.stderr.count("diverged") == done.stderr.count("\n") == 1, done.stderr


def test_one_that_fails_alone_says_why_and_ends_all(small_data: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "fails_alone.py"
    plugin.write_text(FAILS_ALONE)
    methods, options = ["finetune", "fails-alone"], ["--gpus", "2", "--plugin", str(plugin)]
    done = run(small_data, tmp_path / "run", "tiny-qwen2.5-vl", *options, methods=methods)
    assert done.returncode == 1
    assert "process 2 of 2 failed alone, all are ended: MemoryError: no room here" in done.stderr
    found = {(row["method"]["name"], row["status"]) for row in rows(tmp_path / "run")}
    assert found == {("finetune", "ok"), ("fails-alone", "error")}


def test_more_gpus_than_there_are_is_a_usage_error(small_data: Path, tmp_path: Path) -> None:
    import torch

    wanted = str(torch.cuda.device_count() + 2)
    done = run(small_data, tmp_path / "run", "tiny-qwen2.5-vl", "--gpus", wanted, "--device", "cuda")
    assert done.returncode != 0
    assert f"--gpus {wanted}: this machine shows" in done.stderr
    assert done.stderr.count("\n") == 1
