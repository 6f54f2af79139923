"""Whether two results folders say the same of every cell, to the last digit.

    python -m benchmarks.runs.same_rows BEFORE AFTER

For whoever rearranges the code: run the same command with the old and the new, on one machine with the same number of
threads, and compare. A cell's name, its metrics, the digest of its raw answers and the numbers that its training ended
with must agree; times, memory and versions of the environment may differ. Exit code 1 where something does not.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore


def told(row: Row) -> dict[str, Any]:
    """What must be the same."""
    return {
        "row_id": row.row_id,
        "metrics": {name: score.model_dump() for name, score in row.metrics.items()},
        "samples": row.samples.sha256 if row.samples else None,
        "training": row.notes.get("training"),
        "examples": row.cost.examples,
        "trainable_parameters": row.cost.trainable_parameters,
    }


def cells(folder: Path) -> dict[tuple[str, ...], Row]:
    """The ok rows by method, model, task, seed and row."""
    rows = [row for row in RowStore(folder).scan().rows if row.status == "ok"]
    return {(row.method.name, row.model.name, row.task.name, str(row.seed), row.row_id): row for row in rows}


def differences(before: Path, after: Path) -> Iterator[str]:
    """A line for each cell that is not the same in both."""
    old, new = cells(before), cells(after)
    for name in sorted(old.keys() | new.keys()):
        cell = " ".join(name)
        if name not in old or name not in new:
            yield f"{cell}: only in {after if name in new else before}"
            continue
        one, other = told(old[name]), told(new[name])
        if unlike := [each for each in one if one[each] != other[each]]:
            yield f"{cell}: {', '.join(unlike)}"


def main() -> None:
    """Compare the two folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    found = [*differences(given.before, given.after)]
    print("\n".join(found) or f"{len(cells(given.before))} cells, all the same")
    raise SystemExit(bool(found) or not cells(given.before))


if __name__ == "__main__":
    main()
