"""`run --executor slurm` against a real SLURM of one node; skipped where that is not installed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.executors.cluster import cluster, missing
from tests.engine.executors.test_local import heeds_interruptions
from unlearnbench.engine.executors.slurm import Cluster
from unlearnbench.errors import UsageError

pytestmark = [pytest.mark.slow]
needs_slurm = pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")

PLUGIN = """
import os, time
from pathlib import Path
from unlearnbench import Method, method

@method("sleeps", reference="tests")
class Sleeps(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        mark = Path(__file__).with_name("begun")
        print("going to sleep", flush=True)
        if not mark.exists():
            mark.touch()
            time.sleep(600)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    pytest.importorskip("submitit")
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


class Place:
    """A small grid and where it leaves its results."""

    def __init__(self, folder: Path, model: Path, data: Path, environment: dict[str, str]) -> None:
        self.folder, self.model, self.data = folder, model, data
        self.environment = os.environ | environment | {"OMP_NUM_THREADS": "1"}

    def start(self, name: str, methods: str, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "unlearnbench", "run", "--quiet", "--json", "--device", "cpu", "--forget", "2"]
        command += ["--method", methods, "--model", str(self.model), "--task", "fiubench,pope"]
        command += ["--data", str(self.data), "--set", "pope.max_new_tokens=2", "--set", "fiubench.max_new_tokens=2"]
        command += ["--set", "base.epochs=1", "--results", str(self.folder / name), "--store"]
        command += [str(self.folder / f"{name}-store"), *words]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            preexec_fn=heeds_interruptions,
        )

    def run(self, name: str, methods: str, *words: str) -> list[dict[str, Any]]:
        out, err = (process := self.start(name, methods, *words)).communicate()
        assert process.returncode == 0, err
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def status(self, name: str) -> dict[str, str]:
        command = [sys.executable, "-m", "unlearnbench", "status", str(self.folder / name), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)
        return {f"{each['method']} {each['task']}": each["state"] for each in json.loads(done.stdout)}

    def queue(self) -> dict[str, str]:
        """The states of all jobs by their names."""
        command = ["squeue", "--noheader", "--array", "--format=%i %T"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=True)
        return dict(line.split() for line in done.stdout.splitlines())

    def tell(self, *words: str) -> None:
        subprocess.run(words, env=self.environment, check=False, capture_output=True)


@pytest.fixture
def place(tmp_path: Path, random_model: Path, small_data: Path, slurm: dict[str, str]) -> Place:
    return Place(tmp_path, random_model, small_data, slurm)


ON_SLURM = ("--executor", "slurm", "--slurm", "time=10", "--slurm", "cpus=1")


@needs_slurm
@pytest.mark.timeout(600)
def test_rows_equal_those_of_the_local_executor(place: Place) -> None:
    local = place.run("local", "finetune,pretrain")
    queued = place.run("queued", "finetune,pretrain", *ON_SLURM)
    assert [row["metrics"] for row in queued] == [row["metrics"] for row in local]
    assert len((place.folder / "queued" / "rows.jsonl").read_text().splitlines()) == 4
    assert len(list((place.folder / "queued-store" / "base").glob("*/manifest.json"))) == 1
    assert set(place.status("queued").values()) == {"done"}
    assert place.run("queued", "finetune,pretrain", *ON_SLURM) == queued  # nothing is submitted again


@needs_slurm
@pytest.mark.timeout(600)
def test_attacked_cells_are_jobs_as_others_are(place: Place) -> None:
    """They come after those that make what they attack and look at: the base, here."""
    words = ("--attack", "quantise", "--set", "quantise.bits=[4]", "--set", "quantise.utility=2")
    local = place.run("local", "finetune", *words)
    queued = place.run("queued", "finetune", *words, *ON_SLURM)
    assert {(row["attack"] or {}).get("name") for row in queued} == {None, "quantise"}
    assert [row["metrics"] for row in queued] == [row["metrics"] for row in local]


@needs_slurm
@pytest.mark.timeout(600)
def test_a_cancelled_job_is_a_failed_cell_and_the_next_run_completes_it(place: Place) -> None:
    plugin = place.folder / "sleeps.py"
    plugin.write_text(PLUGIN)
    words = (*ON_SLURM, "--plugin", str(plugin))
    process = place.start("results", "sleeps,pretrain", *words)
    for _ in range(300):
        if (place.folder / "begun").exists():
            break
        time.sleep(0.5)
    states = place.status("results")
    assert "running" in (states["sleeps fiubench"], states["sleeps pope"])
    cells = [json.loads(file.read_text()) for file in (place.folder / "results" / "cells").glob("*.json")]
    [job] = [cell["job"] for cell in cells if cell["method"] == "sleeps" and cell["task"] == "fiubench"]
    place.tell("scancel", job)
    out, err = process.communicate()
    assert process.returncode == 1
    assert {row["status"] for row in json.loads(out)} == {"ok", "error"}
    assert "JobError: job" in err
    assert "ended without a row" in err
    rows = place.run("results", "sleeps,pretrain", *words)
    assert {row["status"] for row in rows} == {"ok"}


@needs_slurm
@pytest.mark.timeout(600)
def test_a_job_that_is_queued_again_goes_on_from_its_checkpoint(place: Place) -> None:
    words = (*ON_SLURM, "--checkpoint-minutes", "0.01", "--set", "retrain.batch_size=2", "--set", "retrain.epochs=30")
    process = place.start("results", "retrain", *words)
    kept = place.folder / "results-store" / "checkpoints"
    for _ in range(300):
        if list(kept.glob("*/*.json")):
            break
        time.sleep(0.2)
    [job] = [name for name, state in place.queue().items() if state == "RUNNING"]
    place.tell("scontrol", "requeue", job)
    for _ in range(60):  # SLURM would let it wait for two minutes
        time.sleep(1)
        place.tell("scontrol", "update", f"JobId={job}", "StartTime=now")
        if place.queue().get(job) == "RUNNING":
            break
    out, err = process.communicate()
    assert process.returncode == 0, err
    rows = json.loads(out)
    assert {row["status"] for row in rows} == {"ok"}
    assert rows[0]["notes"]["training"]["resumed_at"]
    assert len((place.folder / "results" / "rows.jsonl").read_text().splitlines()) == 2


@needs_slurm
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("answer", "left"), [("y", False), ("n", True)])
def test_an_interruption_asks_before_it_cancels(place: Place, answer: str, left: bool) -> None:
    plugin = place.folder / "sleeps.py"
    plugin.write_text(PLUGIN)
    process = place.start("results", "sleeps", *ON_SLURM, "--plugin", str(plugin))
    for _ in range(200):
        if (place.folder / "begun").exists():
            break
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(f"{answer}\n")
    assert process.returncode == 130
    assert "cancel the 2 jobs that are not done?" in err
    time.sleep(3)
    assert bool({"RUNNING", "PENDING"} & {*place.queue().values()}) == left
    place.tell("scancel", "--user=root")
    for _ in range(60):
        if not place.queue():
            break
        time.sleep(0.5)


def test_options_are_submitits() -> None:
    given = {"partition": "gpu", "time": "90", "array": "4", "cpus": "8", "reservation": "mine", "account": "lab"}
    assert Cluster(2, given).parameters() == {
        "timeout_min": 90,
        "slurm_array_parallelism": 4,
        "cpus_per_task": 8,
        "slurm_partition": "gpu",
        "slurm_account": "lab",
        "slurm_additional_parameters": {"reservation": "mine"},
        "slurm_gpus_per_node": 2,
    }
    with pytest.raises(UsageError, match="time=2h: give a whole number of minutes"):
        Cluster(0, {"time": "2h"}).parameters()
