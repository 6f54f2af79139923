"""The local executor: whatever becomes of a worker, the other cells get their rows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import run as forked

PLUGIN = """
import os, signal, time
from pathlib import Path
from unlearnbench import Method, method

def noted(name):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{name} {os.getpid()}\\n")

@method("fine", reference="tests")
class Fine(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        noted("fine")
        print("all is well", flush=True)

@method("dies", reference="tests")
class Dies(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        noted("dies")
        if not Path(os.environ["NOTES"] + ".mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)

@method("leaves", reference="tests")
class Leaves(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        print("something is missing", flush=True)
        os._exit(3)

@method("sleeps", reference="tests")
class Sleeps(Method):
    start = "pretrained"
    def unlearn(self, model, sets, run):
        noted("sleeps")
        time.sleep(600)

@method("slow", reference="tests")
class Slow(Method):
    start = "base"
    def unlearn(self, model, sets, run):
        noted("slow")
        print("slowly", flush=True)
        time.sleep(0.2)
"""


def heeds_interruptions() -> None:
    """In the new process: tests that run in the background ignore interruptions, and it would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Place:
    """A grid of cells that cost next to nothing; `start` is one run of it."""

    def __init__(self, folder: Path, model: Path, data: Path) -> None:
        self.folder, self.model, self.data, self.notes = folder, model, data, folder / "notes"
        self.plugin = folder / "plugin.py"
        self.plugin.write_text(PLUGIN)

    def words(self, methods: str, *words: str) -> list[str]:
        command = ["run", "--quiet", "--json", "--device", "cpu", "--forget", "2"]
        command += ["--method", methods, "--model", str(self.model), "--task", "pope", "--data", str(self.data)]
        command += ["--set", "pope.max_new_tokens=2", "--limit", "6", "--set", "base.epochs=1"]
        command += ["--plugin", str(self.plugin)]
        return [*command, "--results", str(self.folder / "results"), "--store", str(self.folder / "store"), *words]

    def start(self, methods: str, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "unlearnbench", *self.words(methods, *words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_interruptions,
            env=os.environ | {"NOTES": str(self.notes)},
        )

    def run(self, methods: str, *words: str) -> tuple[int, list[dict[str, Any]], str]:
        process = self.start(methods, *words)
        out, err = process.communicate()
        return process.returncode, json.loads(out) if out else [], err

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "results" / "rows.jsonl").read_text().splitlines()]

    def noted(self, name: str) -> list[int]:
        lines = self.notes.read_text().splitlines() if self.notes.is_file() else []
        return [int(line.split()[1]) for line in lines if line.startswith(name + " ")]

    def wait_for(self, name: str) -> int:
        """The process that has come to this method."""
        while not (found := self.noted(name)):
            time.sleep(0.02)
        return found[-1]


@pytest.fixture
def place(tmp_path: Path, random_model: Path, small_data: Path) -> Place:
    return Place(tmp_path, random_model, small_data)


def test_a_cell_that_ends_its_process_takes_no_other_along(place: Place) -> None:
    code, rows, err = place.run("dies,leaves,fine")
    assert code == 1
    assert [row["status"] for row in rows] == ["error", "error", "ok"]
    killed, left, _ = (row["error"] for row in rows)
    assert (killed["type"], killed["message"]) == (
        "ProcessError",
        "the process was ended by SIGKILL (out of memory?)",
    )
    assert left["message"] == "the process ended with exit code 3: something is missing"
    assert (place.folder / "results" / left["log"]).read_text().endswith("something is missing\n")
    assert len(err.splitlines()) == 2
    assert "dies on pope: ProcessError" in err

    Path(f"{place.notes}.mended").touch()
    code, rows, _ = place.run("dies,fine")
    assert (code, [row["status"] for row in rows]) == (0, ["ok", "ok"])
    assert len(place.noted("fine")) == 1  # only what failed was tried again
    assert [row["status"] for row in place.rows] == ["error", "error", "ok", "ok"]


def test_a_cell_that_takes_too_long_is_ended(place: Place) -> None:
    """So is the next one: no cell that ends in time is among them, as no machine need be that fast."""
    place.plugin.write_text(PLUGIN + "\nnoted('began')\n")
    code, rows, _ = place.run("sleeps", "--task", "mme", "--timeout", "0.005")
    assert code == 1
    assert [row["error"]["type"] for row in rows] == ["TimeoutError"] * 2
    assert {row["error"]["message"] for row in rows} == {"it took more than 0.3 seconds"}
    assert len(place.noted("began")) == 3  # the run, and a worker for each
    assert not [each for each in place.noted("began") if psutil.pid_exists(each)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_run(place: Place, how: signal.Signals) -> None:
    process = place.start("sleeps")
    worker = place.wait_for("sleeps")
    process.send_signal(how)
    _, err = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 130)
    assert err == ("error: interrupted\n" if how == signal.SIGINT else "")
    while psutil.pid_exists(worker):  # for ever, and so too long for pytest, where it lives on
        time.sleep(0.02)


def test_several_workers_make_a_shared_base_once(place: Place) -> None:
    code, rows, err = place.run("finetune,slow", "--jobs", "2")
    assert (code, err) == (0, "")
    assert [row["method"]["name"] for row in rows] == ["finetune", "slow"]
    [log] = [row["row_id"] for row in rows if row["method"]["name"] == "slow"]
    assert "slowly" in (place.folder / "results" / "logs" / f"{log}.log").read_text()
    assert len(list((place.folder / "store" / "base").glob("*/manifest.json"))) == 1
    os.environ["NOTES"] = str(place.notes)
    (place.folder / "alone").mkdir()
    alone = Place(place.folder / "alone", place.model, place.data)
    done = forked(*alone.words("finetune,slow", "--executor", "inline"))
    assert [row["metrics"] for row in rows] == [row["metrics"] for row in json.loads(done.stdout)]


def test_two_runs_at_once_share_the_work(place: Place) -> None:
    """The same command twice: both end with all rows, and every cell and every stage was computed once."""
    runs = [place.start("finetune,slow") for _ in range(2)]
    ends = [process.communicate() for process in runs]
    assert [process.returncode for process in runs] == [0] * 2, ends
    assert len(list((place.folder / "store" / "base").glob("*/manifest.json"))) == 1
    assert all(len(json.loads(out)) == 2 for out, _ in ends)
    assert sorted(row["method"]["name"] for row in place.rows) == ["finetune", "slow"]
    assert len(place.noted("slow")) == 1


def test_a_worker_that_cannot_start_is_no_row(place: Place) -> None:
    place.plugin.write_text(PLUGIN + "\nif 'worker' in __import__('sys').orig_argv[2]:\n    os._exit(7)\n")
    code, _, err = place.run("fine")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: a worker could not start: the process ended with exit code 7")
    assert not (place.folder / "results" / "rows.jsonl").exists()
