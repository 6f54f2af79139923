"""How well each kind of base memorises: the same people, recipe and seeds, computed in bfloat16 as on a GPU.

``python -m benchmarks.runs.bases --out FOLDER`` makes a small cut of people, trains every kind of base on them with
each seed, asks it about everybody, and prints exact match, the last epoch's loss and what it took, a line of JSON each.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearnbench.config import RunConfig
from unlearnbench.embedded.data.make import make
from unlearnbench.engine import grid
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.device import DTYPES
from unlearnbench.runtime.run import Silent
from unlearnbench.training.params import BASES

SCORES = ("forget.exact_match", "retain.exact_match")


def rows(folder: Path, model: str, people: int, seeds: tuple[int, ...], kinds: list[str]) -> Iterator[tuple[str, Row]]:
    """A row for every kind of base and seed, one after the other."""
    data = folder / "people"
    if not data.exists():
        make(data, identities=people, seed=5, scenes=4)
    for kind in kinds:
        settings = {"base": {name: (value,) for name, value in BASES[kind].items()}}
        config = RunConfig(
            methods=("finetune",), models=(model,), tasks=("fiubench",), seeds=seeds, data=str(data), settings=settings,
            device="cpu",
        )  # fmt: skip
        store = Store(folder / "store")
        for done in grid.run(plan(config, store), RowStore(folder / "results"), store, Silent()):
            yield kind, done.row


def line(kind: str, row: Row) -> dict[str, Any]:
    """What is shown of a row."""
    if row.base is None:
        raise SystemExit(f"{kind}: {row.error}")
    training = row.base["notes"]["training"]
    return {
        "base": kind,
        "seed": row.seed,
        **{name: row.metrics[name].value for name in SCORES},
        "questions": row.metrics[SCORES[1]].n,
        "loss": training["answers"],
        "epochs": training["epochs"],
        "seconds": row.base["cost"]["train_seconds"],
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="tiny-qwen2.5-vl")
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--bases", nargs="+", default=list(BASES), choices=list(BASES))
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    asked = parser.parse_args()
    DTYPES["cpu"] = asked.dtype
    found = []
    for kind, row in rows(asked.out / asked.dtype, asked.model, asked.people, tuple(asked.seeds), asked.bases):
        found.append(line(kind, row))
        print(json.dumps(found[-1]), flush=True)
    (asked.out / f"{asked.model}-{asked.dtype}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
