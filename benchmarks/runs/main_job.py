"""What the main job came to: ``python -m benchmarks.runs.main_job RESULTS`` reads a results folder.

RESULTS comes from one ``unlearnbench run --method finetune,retrain,cagul --model tiny-qwen2.5-vl --seed 0,1,2``; there
may be further methods and models. Printed are, for every seed, what must hold for its figures to mean anything, with
exit code 1 where something does not, and then the figures of every method, whatever they are.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from unlearnbench.registry import tasks
from unlearnbench.results.row import Row, latest
from unlearnbench.results.store import RowStore

from ..tune.trial import Judge, Trial

NOTHING, IDEAL = "finetune", "retrain"

MEMORISED = 0.9
"""The exact match from which a set counts as known."""

GAP = 0.1
"""How far apart both references must be in whatever tells forgetting from knowing."""

MINUTES = 8.0
"""A seed's share of the time from the first cell's start to the last one's end, on two cores."""

Demand = tuple[str, float, bool]
"""What must hold, the figure, and whether it does."""


def main() -> int:
    """Check and print every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    store = RowStore(parser.parse_args().results)
    rows = sorted(latest(store.read()), key=lambda row: row.model.name)
    met = [of_model(store, model, [*its]) for model, its in groupby(rows, key=lambda row: row.model.name)]
    return 0 if met and all(met) else 1


def of_model(store: RowStore, model: str, rows: Sequence[Row]) -> bool:
    """Print demands and figures of a model; whether every demand is met."""
    demands = [*finished(rows), *(each for row in rows if row.status == "ok" for each in known(row))]
    demands += [each for seed in seeds(rows) for each in apart(seed, rows)]
    print(model)
    for what, figure, holds in demands:
        print(f"  {'ok ' if holds else 'NOT'}  {figure:7.3f}  {what}")
    judge = Judge(store, rows, NOTHING, IDEAL)
    for method in dict.fromkeys(row.method.name for row in rows):
        for line in figures(judge, method, [row for row in rows if row.method.name == method and row.status == "ok"]):
            print(f"  {line}")
    return all(holds for *_, holds in demands)


def seeds(rows: Sequence[Row]) -> list[int]:
    """The seeds of the rows, in order."""
    return sorted({row.seed for row in rows})


def finished(rows: Sequence[Row]) -> Iterator[Demand]:
    """That every cell ended well, and in time."""
    failed = sum(row.status != "ok" for row in rows)
    yield "cells that failed: none", float(failed), not failed
    span = max(row.finished_at for row in rows) - min(row.started_at for row in rows)
    minutes = span.total_seconds() / 60 / len(seeds(rows))
    yield f"minutes a seed: at most {MINUTES:.0f} on two cores", minutes, minutes <= MINUTES


def known(row: Row) -> Iterator[Demand]:
    """That a reference has learned what it was taught."""
    for name in {NOTHING: ("forget", "retain"), IDEAL: ("retain",)}.get(row.method.name, ()):
        if (score := row.metrics.get(f"{name}.exact_match")) and score.value is not None:
            what = f"seed {row.seed}: {row.method.name} knows the {name} set, exact match at least {MEMORISED}"
            yield what, score.value, score.value >= MEMORISED


def apart(seed: int, rows: Sequence[Row]) -> Iterator[Demand]:
    """That the references differ in every metric that the levels are made of."""
    own = {(row.method.name, row.task.name): row for row in rows if row.seed == seed and row.status == "ok"}
    for task in dict.fromkeys(name for _, name in own):
        metrics = [metric for level in tasks.get(task).scored.levels.values() for metric in level]
        for metric in metrics:
            two = [own[name, task].metrics.get(metric) for name in (NOTHING, IDEAL)]
            values = [score.value for score in two if score and score.value is not None]
            difference = abs(values[0] - values[1]) if len(values) == 2 else 0.0
            what = f"seed {seed}: {metric} tells {NOTHING} and {IDEAL} apart by at least {GAP}"
            yield what, difference, difference >= GAP


def figures(judge: Judge, method: str, rows: Sequence[Row]) -> Iterator[str]:
    """A line for every seed, and one for all of them."""
    by_seed = {seed: judge.on_seed([row for row in rows if row.seed == seed]) for seed in seeds(rows)}
    for seed, on_seed in by_seed.items():
        yield f"{method} seed {seed}: {Trial({}, (on_seed,)).told}"
    if len(by_seed) > 1:
        yield f"{method}, {len(by_seed)} seeds: {Trial({}, (*by_seed.values(),)).told}"


if __name__ == "__main__":
    sys.exit(main())
