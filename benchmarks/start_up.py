"""How long the command takes to begin: ``python -m benchmarks.start_up [--repeats 5]``.

Prints seconds of wall clock and of CPU, the best of several turns, how many modules were imported and whether torch was
among them. Exits with 1 where a command takes more than `LIMIT` seconds of CPU, or imports torch.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

LIMIT = 0.5
"""Seconds that a command may take which computes nothing; of CPU, as others may be using the machine."""

PLAN = "plan --method cagul --model tiny-qwen2.5-vl"
COMMANDS = ("--help", "list", "list methods", "show cagul", "run --help", PLAN)


def main() -> int:
    """Time each command, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns, of which the best counts")
    options = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory() as folder:
        for words in COMMANDS:
            turns = [_seconds(words, folder) for _ in range(options.repeats)]
            wall, cpu = min(wall for wall, _ in turns), min(cpu for _, cpu in turns)
            modules = _modules(words, folder)
            torch = "torch" in modules
            slow |= torch or cpu > LIMIT
            print(f"{words:45} {wall:.2f} s, {cpu:.2f} s of CPU, {len(modules)} modules{', torch' if torch else ''}")
    print(f"{'more' if slow else 'none takes more'} than {LIMIT} s of CPU{'' if slow else ', none imports torch'}")
    return int(slow)


def _seconds(words: str, folder: str) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    before, start = os.times(), time.perf_counter()
    _run([], words, folder)
    wall, after = time.perf_counter() - start, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


def _modules(words: str, folder: str) -> set[str]:
    """Every module that it imports."""
    traced = _run(["-X", "importtime"], words, folder)
    return {line.rpartition("|")[2].strip() for line in traced.splitlines() if line.startswith("import time:")}


def _run(flags: list[str], words: str, folder: str) -> str:
    command = [sys.executable, *flags, "-m", "unlearnbench", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)  # noqa: S603
    return done.stderr


if __name__ == "__main__":
    sys.exit(main())
