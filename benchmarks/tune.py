"""How the methods' defaults for the tiny model were chosen: a small grid for each on people who are never reported.

    python -m benchmarks.tune FOLDER [METHOD ...]

makes a population of its own in FOLDER (`unlearnbench data make --seed 1`: other people, other pictures than those that
ship), makes the base and the retrained model of it, runs every point of each method's grid and prints them, best
last, by the score below. `Params.trials` counts a method's points.
"""

import math
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import fmean, harmonic_mean
from typing import Any

from unlearnbench.results.row import Row, latest
from unlearnbench.results.store import RowStore

MODEL = "tiny-qwen2.5-vl"
SPACES: dict[str, dict[str, list[Any]]] = {
    "ga": {"learning_rate": [3e-4, 1e-3, 3e-3], "stop.forget_ratio": [0.5, 1, 2]},
    "ga-gd": {"learning_rate": [3e-4, 1e-3, 3e-3], "retain_weight": [1, 3, 10]},
    "ga-kl": {"learning_rate": [3e-4, 1e-3, 3e-3], "retain_weight": [1, 3, 10]},
    "po-gd": {"learning_rate": [1e-3, 3e-3, 1e-2], "epochs": [10, 20, 40]},
    "npo-gd": {"learning_rate": [1e-3, 3e-3, 1e-2], "beta": [0.05, 0.1, 0.3]},
    "simnpo-gd": {"learning_rate": [1e-3, 3e-3, 1e-2], "beta": [0.5, 1, 2.5]},
    "cagul": {"learning_rate": [3e-3, 1e-2, 3e-2], "k": [4, 8, 16]},
}
"""Nine points each: the learning rate, and another parameter on which the method's strength hangs."""

FORGETTING = ("forget.rouge_l", "forget.exact_match")
LEAST_GAP = 0.05
"""By how much base and retrained model must differ in a score that tells whether something was forgotten."""


def score(method: dict[str, float], base: dict[str, float], retrained: dict[str, float]) -> float:
    """The harmonic mean of forgetting, keeping and the other skills, each at most 1: one that is lost costs all.

    Forgetting is the mean over ROUGE-L and exact match of how much of the way from the base to the retrained model was
    gone on the forget set; a model that never saw the data answers some questions rightly, so nothing is gained beyond.
    Keeping is the mean ROUGE-L on the non-private and the retain set, the skills are the mean of MME's and POPE's
    accuracy, both relative to the base model's.
    """

    def relative(*names: str) -> float:
        return min(1.0, fmean(method[name] for name in names) / fmean(base[name] for name in names))

    return harmonic_mean(
        [
            fmean(way(name, method, base, retrained) for name in FORGETTING),
            relative("nonprivate.rouge_l", "retain.rouge_l"),
            relative("mme.accuracy", "pope.accuracy"),
        ]
    )


def way(name: str, method: dict[str, float], base: dict[str, float], retrained: dict[str, float]) -> float:
    """The share of the way from the base's score to the retrained model's, from 0 to 1."""
    gap = base[name] - retrained[name]
    if gap < LEAST_GAP:
        raise SystemExit(
            f"{name}: base {base[name]:.3f}, retrained {retrained[name]:.3f}: no forgetting to be seen in it"
        )
    return min(1.0, max(0.0, (base[name] - method[name]) / gap))


def main(folder: Path, names: list[str]) -> int:
    """Run the grids and print them."""
    people, results = folder / "people", folder / "results"
    if not people.exists():
        unlearnbench("data", "make", str(people), "--identities", "20", "--seed", "1")
    common = ["--model", MODEL, "--data", str(people), "--results", str(results), "--store", str(folder / "store")]
    unlearnbench("run", "--method", "finetune,retrain", *common)
    for name in names:
        assert math.prod(len(values) for values in SPACES[name].values()) == 9
        sets = [f"{name}.{key}={','.join(map(str, values))}" for key, values in SPACES[name].items()]
        unlearnbench("run", "--method", name, *common, *(word for each in sets for word in ("--set", each)))
    rows = [row for row in latest(RowStore(results).scan().rows) if row.status == "ok"]
    base, retrained = (metrics(row for row in rows if row.method.name == name) for name in ("finetune", "retrain"))
    print("base      " + shown(base) + "\nretrained " + shown(retrained))
    for name in names:
        print(f"\n{name}")
        points = [(score(found, base, retrained), values, found) for values, found in trials(name, rows)]
        for value, settings, found in sorted(points, key=lambda point: point[0]):
            print(f"  {value:.4f}  {settings}  {shown(found)}")
    return 0


SHOWN = (
    "forget.rouge_l",
    "forget.exact_match",
    "nonprivate.rouge_l",
    "retain.rouge_l",
    "mme.accuracy",
    "pope.accuracy",
)


def shown(found: dict[str, float]) -> str:
    """The scores that the objective rests on, in a line."""
    return "  ".join(f"{key} {found[key]:.3f}" for key in SHOWN)


def trials(name: str, rows: list[Row]) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """The points of a method's grid with their metrics over all tasks; a point that diverged is left out."""
    space = SPACES[name]
    found = []
    for values in product(*space.values()):
        point = dict(zip(space, values, strict=True))
        own = [row for row in rows if row.method.name == name and all(at(row, k) == v for k, v in point.items())]
        if own:
            found.append((point, metrics(own)))
    return found


def at(row: Row, key: str) -> Any:
    """A parameter of the row's method by its dotted name."""
    value: Any = row.method.params
    for part in key.split("."):
        value = value[part]
    return value


def metrics(rows: Any) -> dict[str, float]:
    """All metrics of some rows that have a value."""
    return {k: m.value for row in rows for k, m in row.metrics.items() if m.value is not None}


def unlearnbench(*words: str) -> None:
    """Run a command; a diverged point makes it fail, and is not an end."""
    done = subprocess.run([sys.executable, "-m", "unlearnbench", *words], check=False)  # noqa: S603
    if done.returncode not in (0, 1):
        sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or list(SPACES)))
