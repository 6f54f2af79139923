"""What a model has answered is asked once, whatever happens to the process that asked it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from unlearnbench.engine.journal import Journal


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    journal, asked = Journal(tmp_path / "answers" / "a.jsonl"), []

    def answer(name: str) -> list[Any]:
        asked.append(name)
        return [name, 0.1, float("-inf")]

    for name in ("one", "two"):
        assert journal.once(["answers", name], lambda name=name: answer(name)) == [name, 0.1, float("-inf")]
    again = Journal(journal.path)
    assert again.once(["answers", "one"], lambda: answer("one")) == ["one", 0.1, float("-inf")]
    assert again.once(["answers", "three"], lambda: answer("three"))[0] == "three"
    assert asked == ["one", "two", "three"]
    assert again.reused_seconds == pytest.approx(entries(journal.path)[0]["seconds"])


@pytest.mark.parametrize("tail", [b"", b'{"question": "x", "ans', b"\x00\xff\n", b"[1, 2]\n", b'{"answer": 1}\n'])
def test_what_a_killed_process_left_behind_costs_that_line_alone(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jsonl"
    Journal(path).once("one", lambda: 1)
    path.write_bytes(path.read_bytes() + tail)
    journal = Journal(path)
    assert journal.once("one", lambda: pytest.fail("asked again")) == 1
    assert journal.once("two", lambda: 2) == 2
    assert Journal(path).once("two", lambda: pytest.fail("asked again")) == 2


def _ask(path: Path, name: str) -> None:
    journal = Journal(path)
    for number in range(40):
        journal.once([name, number], lambda number=number: name * number)


def test_several_processes_write_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask, args=(path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({entry["question"] for entry in entries(path)}) == len(entries(path)) == 120


def command(folder: Path, store: Path) -> list[str]:
    words = ["run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "pope", "--quiet"]
    places = ["--set", "pope.batch_size=3", "--results", str(folder), "--store", str(store)]
    return [sys.executable, "-m", "unlearnbench", *words, *places]


def test_a_run_that_is_killed_asks_no_answered_question_twice(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command(tmp_path / "results", tmp_path / "store"), env=environment)
    files: list[Path] = []
    deadline = time.monotonic() + 90
    while not (files and len(entries(files[0])) >= 10) and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
        files = list((tmp_path / "store" / "answers").glob("*.jsonl"))
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    before = [entry["question"] for entry in entries(files[0])]
    assert not (tmp_path / "results" / "rows.jsonl").exists()

    subprocess.run(command(tmp_path / "results", tmp_path / "store"), env=environment, check=True, capture_output=True)
    subprocess.run(command(tmp_path / "whole", tmp_path / "other"), env=environment, check=True, capture_output=True)
    after = [entry["question"] for entry in entries(files[0])]
    assert after[: len(before)] == before
    (other,) = (tmp_path / "other" / "answers").glob("*.jsonl")
    assert len(after) == len(set(after)) == len(entries(other)) >= 294 // 3
    rows = [json.loads((tmp_path / name / "rows.jsonl").read_text()) for name in ("results", "whole")]
    assert rows[0]["metrics"] == rows[1]["metrics"]
    assert rows[0]["samples"] == rows[1]["samples"]
    # Seconds are those of all the answers, whenever they were given.
    assert rows[0]["cost"]["eval_seconds"] >= sum(entry["seconds"] for entry in entries(files[0]))
