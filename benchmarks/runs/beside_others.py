"""How long a job takes alone and beside a process that keeps one core busy, by how threads wait for each other.

``python -m benchmarks.runs.beside_others [--repeats 3] [--full]``: the main job with a base of two epochs, one epoch of
CAGUL and its evaluation, or ``--full`` as README has it. Each way anew in a folder of its own, in turns: torch's
threads spinning, as OpenMP has them if nobody says otherwise; sleeping, as the command has them; and one alone. Figures
of the rows are compared. Nothing else may run meanwhile.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from unlearnbench.results.row import latest
from unlearnbench.results.store import RowStore

WAYS = {
    "threads spin": {"GOMP_SPINCOUNT": "300000"},  # libgomp's own where no policy is set
    "threads sleep (as it runs)": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""What the environment of each way holds besides."""

OPENMP = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

JOB = ("run", "--model", "tiny-qwen2.5-vl", "--device", "cpu", "--quiet")
SHORT = (*JOB, "--method", "cagul", "--set", "base.epochs=2", "--set", "cagul.epochs=1", "--task", "fiubench")
FULL = (*JOB, "--method", "finetune,retrain,cagul")

Figures = dict[tuple[str, str], dict[str, float | None]]


def main() -> int:
    """Run and print; 1 where ways give other figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="the whole main job, not its short form")
    parser.add_argument("--way", choices=[*WAYS], action="append", help="only this way; may be given again")
    options = parser.parse_args()
    seconds: dict[tuple[str, bool], list[float]] = {}
    found: dict[str, Figures] = {}
    ways = options.way or [*WAYS]
    for _ in range(options.repeats):
        for busy in (False, True):
            for way in ways:
                took, found[way] = timed(way, busy, FULL if options.full else SHORT)
                seconds.setdefault((way, busy), []).append(took)
                print(f"{way}, {'beside a busy core' if busy else 'alone'}: {took:.1f} s", flush=True)
    for way in ways:
        alone, beside = (median(seconds[way, busy]) for busy in (False, True))
        print(f"{way:28} alone {alone:6.1f} s   beside a busy core {beside:6.1f} s   ({beside / alone:.2f}x)")
    apart = max(abs(_difference(found[ways[0]], found[way])) for way in ways)
    print(f"figures differ by at most {apart:.1e}")
    return int(apart > 1e-3)


def timed(way: str, busy: bool, words: tuple[str, ...]) -> tuple[float, Figures]:
    """Seconds of one run, and the figures of its rows."""
    environment = {name: value for name, value in os.environ.items() if name not in OPENMP} | WAYS[way]
    with tempfile.TemporaryDirectory() as folder, _busy(busy):
        places = ("--store", f"{folder}/store", "--results", f"{folder}/results")
        start = time.perf_counter()
        command = [sys.executable, "-m", "unlearnbench", *words, *places]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        took = time.perf_counter() - start
        rows = latest(RowStore(Path(folder) / "results").read())
    return took, {
        (row.method.name, row.task.name): {name: metric.value for name, metric in row.metrics.items()} for row in rows
    }


@contextmanager
def _busy(wanted: bool) -> Iterator[None]:
    """A process that wants a core all the while."""
    if not wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def _difference(one: Figures, other: Figures) -> float:
    """The largest among metrics that both have."""
    pairs = [(value, other[cell][name]) for cell, metrics in one.items() for name, value in metrics.items()]
    return max(abs(ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None)


if __name__ == "__main__":
    sys.exit(main())
