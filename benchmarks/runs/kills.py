"""Killing a grid again and again: ``python -m benchmarks.runs.kills [--kills 60] [--seed 0]``.

Runs a small grid on both embedded models once undisturbed and once with SIGKILL at random moments: to the run, to one
of its workers, or at the very moment at which an artefact, a checkpoint or a row's samples are being written. After
every kill the same command is given again, until all is done. Rows must then be equal in every metric, none lost and
none double. Prints what was hit, and exits with 1 where anything differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from unlearnbench.embedded.data.make import make

METHODS = "finetune,retrain,ga-gd,cagul"
SETTINGS = (
    "base.epochs=6",
    "retrain.epochs=4",
    "ga-gd.epochs=4",
    "cagul.epochs=6",
    "cagul.discriminator_epochs=8",
    "fiubench.batch_size=20",
    "pope.max_new_tokens=3",
)
MODELS = ("tiny-qwen2.5-vl", "tiny-mllama")
MOMENTS = ("run", "worker", "artefact", "checkpoint", "samples")
"""What is killed or awaited: the run itself or a worker after a random time, or a write that has just begun."""


class KilledGrid:
    """One results folder and one store, and the command that fills them."""

    def __init__(self, folder: Path, data: Path, models: tuple[str, ...] = MODELS, methods: str = METHODS) -> None:
        self.results, self.store = folder / "results", folder / "store"
        folder.mkdir(parents=True, exist_ok=True)
        self.command = [sys.executable, "-m", "unlearnbench", "run", "--quiet", "--device", "cpu", "--forget", "2"]
        self.command += ["--method", methods, "--model", ",".join(models), "--task", "fiubench,pope"]
        self.command += ["--data", str(data), "--results", str(self.results), "--store", str(self.store)]
        self.command += ["--checkpoint-minutes", "0.005"]
        for setting in SETTINGS:
            if setting.partition(".")[0] in ("base", "fiubench", "pope", *methods.split(",")):
                self.command += ["--set", setting]

    def start(self) -> "subprocess.Popen[bytes]":
        """The command, on one thread."""
        return subprocess.Popen(  # noqa: S603
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )

    def finish(self) -> None:
        """Give the command until it ends well; what a killed worker has left is an error row, which is retried."""
        for _ in range(20):
            process = self.start()
            _, err = process.communicate()
            if process.returncode == 0:
                return
        raise AssertionError(err.decode())

    def rows(self) -> list[dict[str, Any]]:
        """What has been written so far."""
        file = self.results / "rows.jsonl"
        lines = file.read_bytes().split(b"\n") if file.is_file() else []
        return [json.loads(line) for line in lines if line.strip()]

    def ok(self) -> dict[str, dict[str, Any]]:
        """Metrics of every cell's ok row; raises if a cell has two."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.rows():
            if row["status"] == "ok":
                assert row["row_id"] not in found, f"{row['row_id']} is there twice"
                found[row["row_id"]] = row["metrics"]
        return found

    def writing(self, moment: str) -> bool:
        """Whether something of this kind is half written right now."""
        places = {
            "artefact": [self.store / "base", self.store / "unlearned"],
            "checkpoint": [*(self.store / "checkpoints").glob("*")],
            "samples": [self.results / "samples"],
        }[moment]
        for place in places:
            with suppress(OSError):
                if any(".tmp-" in path.name for path in place.iterdir()):
                    return True
        return False


def hit(grid: KilledGrid, chance: random.Random, moment: str, longest: float) -> str | None:
    """Start the command and kill it; what was hit, if it was not over before."""
    process, begun = grid.start(), time.monotonic()
    limit = begun + chance.uniform(1.0, longest)
    while process.poll() is None and time.monotonic() < limit:
        if moment in ("artefact", "checkpoint", "samples") and grid.writing(moment):
            break
        time.sleep(0.0005 if moment not in ("run", "worker") else 0.05)
    else:
        moment = moment if moment in ("run", "worker") else "run"  # nothing was written in time
    if process.poll() is not None:
        return None
    victim = process.pid
    if moment == "worker":
        workers = psutil.Process(process.pid).children()
        victim = chance.choice(workers).pid if workers else victim
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    process.communicate()  # a run whose worker was killed goes on with the other cells
    return moment


def torture(folder: Path, kills: int, seed: int, longest: float, **grid: Any) -> Counter[str]:
    """Kill so many times, then compare; raises AssertionError where rows differ."""
    make(folder / "data", identities=6, seed=3, scenes=4)
    calm, tortured = (KilledGrid(folder / name, folder / "data", **grid) for name in ("calm", "tortured"))
    calm.finish()
    expected, chance, struck = calm.ok(), random.Random(seed), Counter[str]()
    while (number := sum(struck.values())) < kills:
        if what := hit(tortured, chance, MOMENTS[number % len(MOMENTS)], longest):
            struck[what] += 1
            print(number + 1, dict(struck), f"{len(tortured.ok())} of {len(expected)} cells", flush=True)
        if len(tortured.ok()) == len(expected):  # done: once more from the beginning
            compare(tortured, expected)
            tortured = KilledGrid(folder / f"tortured-{number}", folder / "data", **grid)
    tortured.finish()
    compare(tortured, expected)
    return struck


def compare(grid: KilledGrid, expected: dict[str, dict[str, Any]]) -> None:
    """Raise where a cell is missing or a metric differs."""
    found = grid.ok()
    assert found.keys() == expected.keys(), f"cells differ: {found.keys() ^ expected.keys()}"
    for row_id, metrics in expected.items():
        assert found[row_id] == metrics, f"metrics of {row_id} differ"


def main() -> int:
    """Torture and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=11.0, help="seconds from a start to its end at the most")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        struck = torture(Path(folder), options.kills, options.seed, options.longest)
    print(f"rows are equal after {sum(struck.values())} kills ({dict(struck)}), {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
