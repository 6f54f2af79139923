"""Whether the main job did what it should: ``python -m benchmarks.runs.main_job RESULTS`` reads a results folder.

RESULTS comes from ``unlearnbench run --method finetune --method cagul --model tiny-qwen2.5-vl --seed 0,1,2``. Prints a
line for every demand and seed, with the figures, and exits with 1 if one is not met.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from unlearnbench.results.row import Row, latest
from unlearnbench.results.store import RowStore

Rows = dict[tuple[str, str], Row]
"""(method, task) to row, of one seed and the same people."""


def main() -> int:
    """Check every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    store = RowStore(parser.parse_args().results)
    seeds: dict[tuple[str, int], Rows] = {}
    for row in latest(store.read()):
        people = row.task.split.key if row.task.split else ""
        seeds.setdefault((people, row.seed), {})[row.method.name, row.task.name] = row
    verdicts = [verdict for (_, seed), rows in sorted(seeds.items()) for verdict in _demands(store, seed, rows)]
    return 0 if verdicts and all(verdicts) else 1


def _demands(store: RowStore, seed: int, rows: Rows) -> list[bool]:
    base, cagul = rows["finetune", "fiubench"], rows["cagul", "fiubench"]
    kept = {task: _same_answers(store, rows, task) for task in ("fiubench", "mme", "pope")}
    drop = abs(_value(base, "retain.rouge_l") - _value(cagul, "retain.rouge_l"))
    share = _value(cagul, "nonprivate.rouge_l") / _value(base, "nonprivate.rouge_l")
    demands = [
        ("base: forget exact match >= 0.9", _value(base, "forget.exact_match"), lambda v: v >= 0.9),
        ("base: retain exact match >= 0.9", _value(base, "retain.exact_match"), lambda v: v >= 0.9),
        ("cagul: forget exact match <= 0.25", _value(cagul, "forget.exact_match"), lambda v: v <= 0.25),
        ("cagul: forget refusals > 0.5", _value(cagul, "forget.refusal_rate"), lambda v: v > 0.5),
        ("cagul: non-private ROUGE-L >= 0.85 of the base's", share, lambda v: v >= 0.85),
        ("cagul: retain ROUGE-L within 0.02 of the base's", drop, lambda v: v <= 0.02),
        ("cagul: answers about others that are the base's", kept["fiubench"], lambda v: v == 1),
        ("cagul: MME answers that are the base's", kept["mme"], lambda v: v == 1),
        ("cagul: POPE answers that are the base's", kept["pope"], lambda v: v == 1),
    ]
    verdicts = []
    for what, value, met in demands:
        verdicts.append(bool(met(value)))
        print(f"seed {seed}  {'ok ' if verdicts[-1] else 'NOT'}  {value:6.3f}  {what}")
    return verdicts


def _value(row: Row, name: str) -> float:
    value = row.metrics[name].value
    assert value is not None, name
    return value


def _same_answers(store: RowStore, rows: Rows, task: str) -> float:
    """The share of samples that both methods answer alike; of fiubench's, those about people who are not forgotten."""
    base, cagul = (_answers(store.read_samples(rows[method, task])) for method in ("finetune", "cagul"))
    return sum(base[sample] == cagul[sample] for sample in base) / len(base)


def _answers(samples: list[dict[str, Any]]) -> dict[str, str]:
    return {sample["id"]: sample["prediction"] for sample in samples if sample.get("set", "others") == "others"}


if __name__ == "__main__":
    sys.exit(main())
