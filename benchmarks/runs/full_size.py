"""MME and POPE at their full size, 2,374 and 9,000 questions, on the tiny model: time, memory, and what a kill costs.

``python -m benchmarks.runs.full_size [--questions ../shared/data]`` draws a stand-in for every picture of the real
question files, runs both tasks in a process of its own, kills that half way, runs the same command again, and prints
seconds, the resident memory of the process as it went on, and how often a batch of questions was asked.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

SIDE = 84
"""Pixels of a stand-in's side: what the tiny model was taught with."""


def main() -> None:
    """Run it all and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="tiny-qwen2.5-vl")
    options = parser.parse_args()
    if not (options.questions / "mme").is_dir():
        sys.exit(f"{options.questions} has no folder mme: give one with MME's and POPE's question files (--questions)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{stand_ins(options.questions, folder / 'data')} stand-ins drawn")
        whole = watched(folder, options.model, "whole", kill_at=None)
        kill_at = len(asked(folder, "whole")) // 2
        killed = watched(folder, options.model, "killed", kill_at=kill_at)
        before = len(asked(folder, "killed"))
        again = watched(folder, options.model, "killed", kill_at=None)
        report(folder, {"in one piece": whole, f"killed after {before} batches": killed, "run again": again})


def stand_ins(questions: Path, target: Path) -> int:
    """Link the question files and draw a picture for every name in them; how many there are."""
    names = []
    for path in sorted((questions / "mme").glob("*.txt")):
        link(path, target / "mme" / path.name)
        for line in path.read_text().splitlines():
            names.append(target / "mme" / "images" / path.stem / line.split("\t")[0])
    for path in sorted((questions / "pope").glob("coco_pope_*.json")):
        link(path, target / "pope" / path.name)
        names += [target / "pope" / "images" / json.loads(line)["image"] for line in path.read_text().splitlines()]
    pictures = list(dict.fromkeys(names))
    rng = np.random.default_rng(0)
    for picture in pictures:
        picture.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(picture)
    return len(pictures)


def link(path: Path, target: Path) -> None:
    """A link to a question file: nothing of the data is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path.resolve())


def watched(folder: Path, model: str, name: str, *, kill_at: int | None) -> tuple[float, list[int]]:
    """Seconds that the command took, and its resident memory in bytes, twice a second; killed at so many batches."""
    words = ["run", "--method", "pretrain", "--model", model, "--task", "mme,pope", "--quiet"]
    words += [f"--data={task}={folder / 'data'}" for task in ("mme", "pope")]
    words += ["--results", str(folder / f"{name}-results"), "--store", str(folder / f"{name}-store")]
    start, memory = time.monotonic(), []
    process = subprocess.Popen([sys.executable, "-m", "unlearnbench", *words])  # noqa: S603
    while process.poll() is None:
        memory.append(psutil.Process(process.pid).memory_info().rss)
        if kill_at is not None and len(asked(folder, name)) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.5)
    return time.monotonic() - start, memory


def asked(folder: Path, name: str) -> list[str]:
    """The batches that were answered, in order, by the digests of their questions."""
    files = (folder / f"{name}-store" / "answers").glob("*.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines() if line.endswith("}")]
    return [json.loads(line)["question"] for line in lines]


def report(folder: Path, runs: dict[str, tuple[float, list[int]]]) -> None:
    """Print what was measured, and fail where the two ways do not end alike."""
    table = Table("run", "seconds", "MiB at 25 %", "50 %", "75 %", "end", "most")
    for name, (seconds, memory) in runs.items():
        points = [memory[min(len(memory) - 1, int(len(memory) * share))] for share in (0.25, 0.5, 0.75, 0.98)]
        table.add_row(name, f"{seconds:.1f}", *(f"{each / 2**20:.0f}" for each in (*points, max(memory))))
    Console().print(table)
    rows = {name: rows_of(folder, name) for name in ("whole", "killed")}
    for task, row in rows["whole"].items():
        protocol, seconds = row["task"]["protocol"], row["cost"]["eval_seconds"]
        print(f"{task}: {protocol['questions']} questions, {protocol['asked']} asked, {seconds:.1f} s")
        assert row["metrics"] == rows["killed"][task]["metrics"], "a killed run ends otherwise"
        assert row["samples"] == rows["killed"][task]["samples"], "a killed run answers otherwise"
    times = Counter(asked(folder, "killed"))
    print(f"killed and run again: {len(times)} batches, asked {times.total()} times; rows and answers are the same")
    assert len(times) == times.total() == len(asked(folder, "whole"))


def rows_of(folder: Path, name: str) -> dict[str, dict]:
    """The rows of a run by their tasks."""
    lines = (folder / f"{name}-results" / "rows.jsonl").read_text().splitlines()
    return {row["task"]["name"]: row for row in map(json.loads, lines)}


if __name__ == "__main__":
    main()
