"""How long `report` and `status` take for many rows: ``python -m benchmarks.many_rows RESULTS [--rows 10000]``.

RESULTS is a results folder of a real run; its rows are written again and again under other names and seeds.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unlearnbench.results.cells import Announced, Cells
from unlearnbench.results.store import RowStore, sealed


def main() -> None:
    """Write them, then time each command three times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    models = [json.loads(row.to_line()) for row in RowStore(options.results).scan().rows]
    with tempfile.TemporaryDirectory() as folder:
        store, cells = RowStore(Path(folder)), []
        with store.rows.open("wb") as file:
            for number in range(options.rows):
                name = hashlib.sha256(str(number).encode()).hexdigest()[:32]
                row = models[number % len(models)] | {"row_id": name, "seed": number, "samples": None}
                file.write(sealed(json.dumps(row).encode() + b"\n"))
                facts = {"method": row["method"]["name"], "model": row["model"]["name"], "task": row["task"]["name"]}
                cells.append(Announced(row_id=name, seed=number, **facts))
        Cells(store).announce(cells)
        print(f"{options.rows} rows, {store.size() / 1e6:.0f} MB")
        for verb in ("report", "status"):
            print(verb, " ".join(f"{_seconds(verb, folder):.2f} s" for _ in range(3)))


def _seconds(verb: str, folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "unlearnbench", verb, folder], check=True, capture_output=True)  # noqa: S603
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
