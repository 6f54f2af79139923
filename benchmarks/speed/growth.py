"""What more work costs: more questions, more visual tokens; seconds and memory."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from unlearnbench.runtime.memory import PeakMemory

from .case import Case
from .evaluation import ours
from .measure import Clock

TIMES = (1, 2, 4)
QUESTIONS = 20
"""About each picture, and at a time: so that four times the questions are four times the batches."""

SIDES = (294, 420, 588)
"""Pixels: 100, 225 and 441 visual tokens of Qwen2.5-VL."""

SLACK = 0.1
"""By how much cost may outgrow work."""


def in_questions(
    name: str, folder: Path, repeats: int, device: str, pictures: int, side: int, dtype: torch.dtype = torch.bfloat16
) -> dict[str, Any]:
    """Seconds and peak memory of 1, 2 and 4 times the questions, as many at a time; both kinds of asking.

    Raises AssertionError where seconds a question, or memory, grow by more than `SLACK`.
    """
    whole = Case(name, folder, pictures, QUESTIONS * TIMES[-1], side, device, dtype)
    cases = {times: whole.part(QUESTIONS * times) for times in TIMES}
    taken: dict[int, list[float]] = {times: [] for times in TIMES}
    for turn in range(repeats + 1):
        for times, case in cases.items():  # in turns, since a machine is not always as fast
            clock = asked(case)
            if turn:  # the first one warms up
                taken[times].append(clock.seconds)
    seconds = {times: statistics.median(each) for times, each in taken.items()}
    peaks = {times: peak(case) if device == "cuda" else alone(case, times) for times, case in cases.items()}
    for times in TIMES[1:]:
        assert seconds[times] <= times * seconds[1] * (1 + SLACK), f"cost outgrows questions: {seconds}"
        assert peaks[times] <= peaks[1] * (1 + SLACK), f"memory grows with questions: {peaks}"
    counted = {QUESTIONS * pictures * times: round(value, 4) for times, value in seconds.items()}
    peaked = {QUESTIONS * pictures * times: round(value / 1e6) for times, value in peaks.items()}
    return {"model": name, "seconds_by_questions": counted, "peak_megabytes_by_questions": peaked}


def asked(case: Case) -> Clock:
    """Answers and likelihoods to all questions of a case, `QUESTIONS` at a time."""
    clock = Clock(case.device)
    for what in ("generation", "likelihoods"):
        ours(case, what, shared=True, batch_size=QUESTIONS)(clock)
    return clock


def peak(case: Case) -> int:
    """Bytes at the peak of asking."""
    with PeakMemory(case.device.type) as memory:
        asked(case)
    return memory.peak


def alone(case: Case, times: int) -> int:
    """The same of a process of its own on a CPU, where none gives its memory back."""
    words = [sys.executable, "-m", "benchmarks.speed.growth", case.name, str(len(case.images)), str(times)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1])  # noqa: S603


def in_visual_tokens(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of 20 questions about a picture of about 1, 2 and 4 times the visual tokens."""
    found = {}
    for side in SIDES:
        case = Case(name, folder, 1, QUESTIONS, side)
        clocks = [asked(case) for _ in range(repeats + 1)]
        found[case.visual_tokens] = round(statistics.median(clock.seconds for clock in clocks[1:]), 4)
    return {"model": name, "seconds_by_visual_tokens": found}


def main() -> None:
    """Ask in this process, and print its peak memory."""
    name, pictures, times = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        print(peak(Case(name, Path(folder), int(pictures), QUESTIONS * int(times))))


if __name__ == "__main__":
    main()
