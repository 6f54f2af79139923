"""The times that `plan --memory` tells beside those that were measured, of each piece in the results files.

``python -m benchmarks.runs.plan_times [FILE.json ..]`` prints them for those of `benchmarks/results`, or for others.
A piece is counted by what counts a stage: the same functions, with the samples, pictures and batches that the
benchmark had. Only texts are assumed to be as long as `plan` assumes.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.gpu import BATCH
from benchmarks.speed.__main__ import TOGETHER
from unlearnbench import Counts, Footprint, Workload
from unlearnbench.engine.memory.choice import workload
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import Machine, answering, asked_operations, seeing, weighing
from unlearnbench.engine.memory.times import PEAK, Effort
from unlearnbench.engine.memory.training import training
from unlearnbench.models.files.source import card_for

RESULTS = Path(__file__).parents[1] / "results"
FILES = ("h200.json", "speed-h200.json", "cpu.json", "speed-cpu.json")
"""Those that were measured on machines that did nothing else; packed-cpu.json was not, its ratios alone hold."""


class Piece(NamedTuple):
    """Something that was timed: in which file, of which model, and the seconds that are counted and were measured."""

    file: str
    model: str
    what: str
    counted: float
    measured: float


def pieces(path: Path) -> Iterator[Piece]:
    """All that a file of `benchmarks.gpu` or of `benchmarks.speed` holds that can be counted."""
    report = json.loads(path.read_text())
    name = report["environment"]["device"]
    machine = Machine(1, None, next((kind for kind in PEAK if kind in name), "H100"))
    for model, lines in report.get("models", {}).items():
        card = card_for(model)
        counted = _steps(counts(card), machine, workload(card))
        for what, line in lines.items():
            if what in counted:
                yield Piece(path.name, model, what, counted[what], line["seconds"])
    for kind in ("evaluation", "base", "lora", "packed base", "packed lora", "cagul"):
        for found in report.get(kind, ()):
            for what, counted, measured in _epochs(kind, found, machine):
                yield Piece(path.name, found["model"], what, counted, measured)


def _steps(count: Counts, machine: Machine, work: Workload, batch: int = BATCH) -> dict[str, float]:
    """What `benchmarks.gpu` measures: steps, 16 questions about few people, a picture."""
    asked, large = replace(work, pairs=4 * batch, pictures=1), machine.kind != "cpu"
    one_pass = Effort(batch * asked_operations(count, replace(work, answer=0), 1), passes=1, depth=count.depth)

    def step(pictures: int = 0, **of: Any) -> float:
        made = Footprint(batch_size=batch, micro_batch_size=batch, **of)
        return training("", count, made, machine, replace(work, pictures=pictures)).seconds

    guard = {"samples": batch, "modules": count.width**2}
    adapter = {"rank": 128 if large else 16, "gradient_checkpointing": large}
    pair = adapter | {"samples": 2 * batch, "beside": 2}
    cached = step(**guard)
    return {
        "vision encoding, 1 picture": seeing(count, machine, 1),
        f"attention selection, {batch} questions": one_pass.seconds(machine.kind),
        f"CAGUL step, nothing cached, batch {batch}": step(1, **guard) + one_pass.seconds(machine.kind),
        f"CAGUL step, cached, batch {batch}": cached,
        f"generation, {4 * batch} questions": answering(count, machine, asked, 4 * batch, 20),
        f"answer likelihoods, {4 * batch} questions": weighing(count, machine, asked, 4 * batch),
        f"ga step with LoRA, batch {batch}": step(**adapter, samples=batch),
        f"ga-gd step with LoRA, batch {batch}": step(**pair),
        f"ga-kl step with LoRA, batch {batch}": step(**pair, reference=True),
        f"po-gd step with LoRA, batch {batch}": step(**pair),
    }


def _epochs(kind: str, found: dict[str, Any], machine: Machine) -> Iterator[tuple[str, float, float]]:
    """What `benchmarks.speed` measures, as the package does it: evaluations and epochs, pictures seen in them."""
    card, large = card_for(found["model"]), machine.kind != "cpu"
    count, work = counts(card), replace(workload(card), pictures=found.get("pictures", found.get("people", 0)))
    if visual := found.get("visual_tokens"):
        count = replace(count, visual=visual, patches=round(count.patches * visual / count.visual))
    if kind == "evaluation":
        work = replace(work, pictures=1 if large else 2)
        for what, ask in {"generation": partial(answering, longest=24), "likelihoods": weighing}.items():
            sizes = [size for size in (min(16, found["questions"]), found["questions"] - 16) if size > 0]
            counted = sum(ask(count, machine, replace(work, pairs=size), size) for size in sizes)
            yield f"{what}, {visual} visual tokens", counted + seeing(count, machine, work.pictures), _ours(found[what])
        return
    if kind == "cagul":
        share = found["forget"] / found["people"]
        of: dict[str, Any] = {"samples": share * found["samples"], "share": share, "modules": count.width**2}
        batch = BATCH
    else:
        batch = (TOGETHER if "packed" in kind else BATCH) if large else 32
        of = {"samples": found["samples"] * found["epochs"]}
        of |= {"full": True} if "base" in kind else {"rank": 16}
        of["questions_per_picture"] = found.get("questions_per_picture", max(1, round(batch / found["pictures"])))
        of["gradient_checkpointing"] = found.get("gradient_checkpointing", False)
    made = training("", count, Footprint(batch_size=batch, **of), machine, work)
    yield f"{kind}, an epoch{f', {visual} visual tokens' if visual else ''}", made.seconds, _ours(found)


def _ours(found: dict[str, Any]) -> float:
    return float(found["ways"]["unlearnbench"]["seconds"])


def main() -> None:
    """Print all pieces."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, default=[RESULTS / name for name in FILES])
    table = Table("file", "model", "piece", "counted", "measured", "counted / measured", box=None)
    for each in (piece for path in parser.parse_args().files for piece in pieces(path)):
        ratio = f"{each.counted / each.measured:.2f}"
        table.add_row(*each[:3], f"{each.counted:.4f} s", f"{each.measured:.4f} s", ratio)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
