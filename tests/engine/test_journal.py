"""What a model has answered is asked once, whatever happens to the process that asked it."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run
from unlearnbench.engine.journal import JournalFile


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    journal, asked = JournalFile(tmp_path / "answers" / "a.jsonl"), []

    def answer(name: str) -> list[Any]:
        asked.append(name)
        return [name, 0.1, float("-inf")]

    for name in ("one", "two"):
        assert journal.once(["answers", name], lambda name=name: answer(name)) == [name, 0.1, float("-inf")]
    again = JournalFile(journal.path)
    assert again.once(["answers", "one"], lambda: answer("one")) == ["one", 0.1, float("-inf")]
    assert again.once(["answers", "three"], lambda: answer("three"))[0] == "three"
    assert asked == ["one", "two", "three"]
    assert again.reused_seconds == pytest.approx(entries(journal.path)[0]["seconds"])


@pytest.mark.parametrize("tail", [b"", b'{"question": "x", "ans', b"\x00\xff\n", b"[1, 2]\n", b'{"answer": 1}\n'])
def test_what_a_killed_process_left_behind_costs_that_line_alone(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jsonl"
    JournalFile(path).once("one", lambda: 1)
    path.write_bytes(path.read_bytes() + tail)
    journal = JournalFile(path)
    assert journal.once("one", lambda: pytest.fail("asked again")) == 1
    assert journal.once("two", lambda: 2) == 2
    assert JournalFile(path).once("two", lambda: pytest.fail("asked again")) == 2


def _ask(path: Path, name: str) -> None:
    journal = JournalFile(path)
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


def die_after(answers: int) -> None:
    """Kill this process once so many answers are written."""
    once = JournalFile.once

    def counted(journal: JournalFile, question: object, answer: Any) -> Any:
        said = once(journal, question, answer)
        if len(entries(journal.path)) == answers:
            os.kill(os.getpid(), signal.SIGKILL)
        return said

    JournalFile.once = counted  # type: ignore[method-assign]


def test_a_run_that_is_killed_asks_no_answered_question_twice(tmp_path: Path, small_data: Path) -> None:
    def command(results: str, store: str) -> list[object]:
        words = ["run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "pope", "--quiet"]
        words += ["--data", str(small_data), "--set", "pope.batch_size=3", "--executor", "inline"]
        return [*words, "--results", tmp_path / results, "--store", tmp_path / store]

    assert run(*command("results", "store"), before=die_after, given=(10,)).returncode == -signal.SIGKILL
    (answers,) = (tmp_path / "store" / "answers").glob("*.jsonl")
    before = [entry["question"] for entry in entries(answers)]
    assert len(before) == 10
    assert not (tmp_path / "results" / "rows.jsonl").exists()

    for places in (("results", "store"), ("whole", "other")):
        done = run(*command(*places))
        assert done.returncode == 0, done.stderr
    after = [entry["question"] for entry in entries(answers)]
    assert after[: len(before)] == before
    (other,) = (tmp_path / "other" / "answers").glob("*.jsonl")
    assert len(after) == len(set(after)) == len(entries(other)) > len(before)
    rows = [json.loads((tmp_path / name / "rows.jsonl").read_text()) for name in ("results", "whole")]
    assert rows[0]["metrics"] == rows[1]["metrics"]
    assert rows[0]["samples"] == rows[1]["samples"]
    # Seconds are those of all the answers, whenever they were given.
    assert rows[0]["cost"]["eval_seconds"] >= sum(entry["seconds"] for entry in entries(answers))
