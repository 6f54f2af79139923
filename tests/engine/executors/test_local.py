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
    start, role = "pretrained", "reference"
    def unlearn(self, model, sets, run):
        noted("fine")
        print("all is well", flush=True)

@method("dies", reference="tests")
class Dies(Method):
    start, role = "pretrained", "reference"
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
    role = "reference"
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

    def start(self, methods: str, *words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "unlearnbench", *self.words(methods, *words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_interruptions,
            cwd=cwd,
            env=os.environ | {"NOTES": str(self.notes)},
        )

    def run(self, methods: str, *words: str, cwd: Path | None = None) -> tuple[int, list[dict[str, Any]], str]:
        process = self.start(methods, *words, cwd=cwd)
        out, err = process.communicate()
        return process.returncode, json.loads(out) if out else [], err

    def told(self, methods: str, *words: str) -> list[str]:
        """What a run says on standard error that is not asked to be quiet."""
        command = [word for word in self.words(methods, *words) if word != "--quiet"]
        environment = os.environ | {"NOTES": str(self.notes), "COLUMNS": "300"}
        done = subprocess.run(
            [sys.executable, "-m", "unlearnbench", *command], capture_output=True, text=True, env=environment
        )
        return done.stderr.splitlines()

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
    log = (place.folder / "results" / left["log"]).read_text()
    assert log.endswith(f"something is missing\n{left['message']}\n")
    assert (place.folder / "results" / killed["log"]).read_text() == f"{killed['message']}\n"
    assert len(err.splitlines()) == 2
    assert "dies on pope: ProcessError" in err

    Path(f"{place.notes}.mended").touch()
    code, rows, _ = place.run("dies,fine")
    assert (code, [row["status"] for row in rows]) == (0, ["ok", "ok"])
    assert len(place.noted("fine")) == 1  # only what failed was tried again
    assert [row["status"] for row in place.rows] == ["error", "error", "ok", "ok"]


def test_a_run_says_which_cell_it_is_at(place: Place) -> None:
    first, asking, failed, *_ = place.told("fine,dies")
    assert first.startswith(f"cell 1 of 2: fine on pope, {place.model}, seed 0")
    assert asking.startswith("  pope: asking ")
    assert failed.startswith("error: dies on pope: ")
    Path(f"{place.notes}.mended").touch()
    again, asking, *_ = place.told("fine,dies")
    assert again.startswith("cell 2 of 2: dies on pope, ")  # the other has its row
    assert asking.startswith("  pope: asking ")


def test_a_cell_that_takes_too_long_is_ended(place: Place) -> None:
    """So is the next one: no cell that ends in time is among them, as no machine need be that fast."""
    place.plugin.write_text(PLUGIN + "\nnoted('began')\n")
    code, rows, _ = place.run("sleeps", "--task", "mme", "--timeout", "0.005")
    assert code == 1
    assert [row["error"]["type"] for row in rows] == ["TimeoutError"] * 2
    assert all(row["error"]["message"].endswith("it took more than 0.3 seconds") for row in rows)
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


def test_several_workers_make_a_shared_base_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    code, rows, err = place.run("finetune,slow", "--jobs", "2")
    assert (code, err) == (0, "")
    assert [row["method"]["name"] for row in rows] == ["finetune", "slow"]
    [log] = [row["row_id"] for row in rows if row["method"]["name"] == "slow"]
    assert "slowly" in (place.folder / "results" / "logs" / f"{log}.log").read_text()
    assert len(list((place.folder / "store" / "base").glob("*/manifest.json"))) == 1
    monkeypatch.setenv("NOTES", str(place.notes))
    (place.folder / "alone").mkdir()
    alone = Place(place.folder / "alone", place.model, place.data)
    done = forked(*alone.words("finetune,slow", "--executor", "inline"))
    expected = json.loads(done.stdout.removeprefix("slowly\n"))
    assert [row["metrics"] for row in rows] == [row["metrics"] for row in expected]


def test_two_runs_at_once_share_the_work(place: Place) -> None:
    """The same command twice: both end with all rows, and every cell and every stage was computed once."""
    runs = [place.start("finetune,slow") for _ in range(2)]
    ends = [process.communicate() for process in runs]
    assert [process.returncode for process in runs] == [0] * 2, ends
    assert len(list((place.folder / "store" / "base").glob("*/manifest.json"))) == 1
    assert all(len(json.loads(out)) == 2 for out, _ in ends)
    assert sorted(row["method"]["name"] for row in place.rows) == ["finetune", "slow"]
    assert len(place.noted("slow")) == 1


def test_a_worker_that_cannot_start_says_so_in_every_row(place: Place) -> None:
    ends = "print('no licence', flush=True)\n    os._exit(7)"
    place.plugin.write_text(
        PLUGIN + f"\nif 'unlearnbench.engine.executors.worker' in __import__('sys').orig_argv:\n    {ends}\n"
    )
    code, rows, err = place.run("fine,slow")
    assert code == 1
    why = "a worker could not start: the process ended with exit code 7: no licence"
    assert [row["error"]["message"] for row in rows] == [why, why]
    assert err.splitlines() == [f"error: fine on pope: ProcessError: {why} (log: {rows[0]['error']['log']})"]
    assert (place.folder / "results" / rows[0]["error"]["log"]).read_text() == f"no licence\n{why}\n"


ENDS = """
import ctypes, sys
from unlearnbench import Method, method

def ending(name, end):
    class Ends(Method):
        start = "pretrained"
        def unlearn(self, model, sets, run):
            end()
    method(name, reference="tests")(Ends)

def crash():
    ctypes.string_at(0)

def missing():
    import nothing_of_this_name

ending("exits", lambda: sys.exit("no licence"))
ending("crashes", crash)
ending("misses", missing)
"""


def test_whatever_ends_a_worker_is_in_row_and_log_and_on_the_terminal(place: Place) -> None:
    """And a file of the working folder that is called like a module of Python's ends none."""
    place.plugin.write_text(ENDS)
    (place.folder / "random.py").write_text("raise SystemExit('this is not the module random')")
    code, rows, err = place.run("exits,crashes,misses,pretrain", "--debug", cwd=place.folder)
    assert (code, [row["status"] for row in rows]) == (1, ["error", "error", "error", "ok"])
    exits, crashes, misses = (row["error"] for row in rows[:3])
    assert (exits["type"], exits["message"]) == ("SystemExit", "the code called sys.exit('no licence')")
    assert crashes["type"] == "ProcessError"
    assert crashes["message"].startswith("the process was ended by SIGSEGV in string_at (")
    assert misses["type"] == "ModuleNotFoundError"
    assert misses["message"] == f"No module named 'nothing_of_this_name' (imported in {place.plugin})"
    for each, said in ((exits, "in unlearn"), (crashes, "Fatal Python error: Segmentation fault"), (misses, "missing")):
        log = (place.folder / "results" / each["log"]).read_text()
        assert said in log
        assert str(place.plugin) in log
        assert each["message"] in err
        assert said in err  # --debug shows the log
