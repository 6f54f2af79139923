"""How the methods' defaults for the tiny models were chosen: a small grid for each on people who are never reported.

    python -m benchmarks.tune FOLDER [METHOD ...] [--model NAME,..] [--seeds 0,1,2] [--passes 8] [--jobs 2]

makes a population of its own in FOLDER (other people, other pictures and another seed than those that ship), and of it
the base and the retrained model of every seed. Every method gets the same: four points (`spaces`), as many examples in
training, all points on the first seed and the best two on all. The best by the leaderboards' own score (`trial`)
is printed as a row of a table for docs/methods.md, after all that was tried. Again, it goes on where it was.

People whom the pretrained model knows (acquaintances) are left out: there are no others than those who are reported.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnbench.embedded.data.make import make
from unlearnbench.engine.memory.counts import counts
from unlearnbench.models.files.source import card_for
from unlearnbench.results.row import Row, latest
from unlearnbench.results.store import RowStore

from .spaces import PASSES, SPACES
from .trial import Judge, Trial

PEOPLE, SEED, SCENES = 20, 1, 4
"""The population: how many, of which seed, and how many pictures of each kind of other question."""

FINALISTS = 2
"""How many points of a grid are tried on all seeds."""


def main() -> int:
    """Tune every method that is named, on every model."""
    asked = arguments()
    people = asked.folder / "people"
    if not people.exists():
        make(people, PEOPLE, SEED, SCENES)
        forget_acquaintances(people)
    for model in asked.model.split(","):
        tuning = Tuning(asked.folder, people, model, [int(seed) for seed in asked.seeds.split(",")], asked.jobs)
        tuning.references()
        chosen = {name: tuning.tune(name, asked.passes) for name in asked.methods or SPACES}
        print(f"\n{model}\n\n{table(chosen)}\n")
    return 0


def forget_acquaintances(folder: Path) -> None:
    """Take them and their pictures out of a folder of people."""
    file = folder / "acquaintances.json"
    for person in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        for name in (*person["images"], *person["other_images"]):
            (folder / "SFHQ" / name).unlink()
    file.unlink()


def arguments() -> argparse.Namespace:
    """What the command was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what is made goes here")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"default: {', '.join(SPACES)}")
    parser.add_argument("--model", default="tiny-qwen2.5-vl", help="names or folders, with commas")
    parser.add_argument("--seeds", default="0,1,2", help="with commas; all points are tried on the first")
    parser.add_argument("--passes", type=int, default=PASSES, help="passes over all samples that a training may cost")
    parser.add_argument("--jobs", type=int, default=2, help="cells that are computed at the same time")
    asked = parser.parse_args()
    if unknown := [name for name in asked.methods if name not in SPACES]:
        parser.error(f"no grid for {unknown[0]!r}: choose from {', '.join(SPACES)}, or add it to `SPACES`")
    return asked


class Tuning:
    """The grids of one model, in a results folder of its own."""

    def __init__(self, folder: Path, people: Path, model: str, seeds: Sequence[int], jobs: int) -> None:
        self.model, self.seeds = model, seeds
        self.store = RowStore(folder / "results" / Path(model).name)
        self.store.folder.parent.mkdir(exist_ok=True)
        self._common = ["--model", model, "--data", str(people), "--results", str(self.store.folder)]
        self._common += ["--store", str(folder / "store"), "--jobs", str(jobs), "--quiet"]

    def references(self) -> None:
        """Both references on every seed."""
        self.run("finetune,retrain", self.seeds, {})
        rows = self.rows()
        self.judge = Judge(self.store, rows)
        bases = [row for row in rows if row.method.name == "finetune" and row.task.name == "fiubench"]
        if len(bases) < len(self.seeds) or any(self.judge.on_seed([row]).score != 0 for row in bases):
            sys.exit(f"{self.model}: no base that knows more than the retrained model: there is nothing to forget")
        base = bases[0]
        sets = Counter(record["set"] for record in self.store.read_samples(base))
        self.forget, self.everything = sets["forget"], sets["forget"] + sets["nonprivate"] + sets["others"]

    def tune(self, name: str, passes: int) -> Trial:
        """Try a method's grid; returns the best point."""
        space = SPACES[name]
        fixed = dict(space.fixed) | space.budget(self.forget, self.everything, passes)
        points = space.points(counts(card_for(self.model)).visual)
        grid = {key: [*dict.fromkeys(point[key] for point in points)] for key in points[0]}
        self.run(name, self.seeds[:1], {key: [value] for key, value in fixed.items()} | grid)
        tried = sorted(self.outcomes(name, points, fixed, self.seeds[:1]), key=lambda each: each.order)
        finalists = [dict(each.settings) for each in tried[-FINALISTS:]]
        for point in finalists:
            self.run(name, self.seeds, {key: [value] for key, value in (fixed | point).items()})
        last = sorted(self.outcomes(name, finalists, fixed, self.seeds), key=lambda each: each.order)
        print(f"\n{self.model}, {name}, {fixed}")
        for title, outcomes in (("seed " + str(self.seeds[0]), tried), (f"{len(self.seeds)} seeds", last)):
            print("\n".join([title, *(f"  {line(each)}" for each in outcomes)]), flush=True)
        return Trial(fixed | dict(last[-1].settings), last[-1].on_seeds)

    def outcomes(
        self, name: str, points: Iterable[Mapping[str, Any]], fixed: Mapping[str, Any], seeds: Sequence[int]
    ) -> list[Trial]:
        """What came of points on some seeds."""
        rows = [row for row in self.rows() if row.method.name == name]
        found = []
        for point in points:
            own = [row for row in rows if all(at(row, key) == value for key, value in (dict(fixed) | point).items())]
            by_seed = [[row for row in own if row.seed == seed] for seed in seeds]
            whole = all({row.task.name for row in its} == self.judge.tasks for its in by_seed)
            found.append(Trial(point, tuple(map(self.judge.on_seed, by_seed)) if whole else ()))
        return found

    def rows(self) -> list[Row]:
        """The latest rows of cells that ended well."""
        return [row for row in latest(self.store.scan().rows) if row.status == "ok"]

    def run(self, methods: str, seeds: Sequence[int], settings: Mapping[str, Sequence[Any]]) -> None:
        """Compute what is not there yet; a point that diverged makes the command fail, and is not an end."""
        words = ["run", "--method", methods, "--seed", ",".join(map(str, seeds)), *self._common]
        for key, values in settings.items():
            words += ["--set", f"{methods}.{key}={','.join(map(str, values))}"]
        done = subprocess.run([sys.executable, "-m", "unlearnbench", *words], check=False, stdout=subprocess.DEVNULL)  # noqa: S603
        if done.returncode not in (0, 1):
            sys.exit(done.returncode)


def at(row: Row, key: str) -> Any:
    """A parameter of the row's method by its dotted name."""
    value: Any = row.method.params
    for part in key.split("."):
        value = value[part]
    return value


def line(outcome: Trial) -> str:
    """A point with all that it is judged by."""
    settings = ", ".join(f"{key}={value}" for key, value in outcome.settings.items())
    return f"{settings}: {outcome.told}"


def table(chosen: Mapping[str, Trial]) -> str:
    """What was chosen, in Markdown."""
    rows = [
        {"method": f"`{name}`", "chosen": ", ".join(f"`{key}={value}`" for key, value in outcome.settings.items())}
        | outcome.cells
        for name, outcome in chosen.items()
    ]
    header = [*dict.fromkeys(key for row in rows for key in row)]
    lines = [header, ["---"] * len(header), *([row.get(key, "–") for key in header] for row in rows)]
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


if __name__ == "__main__":
    sys.exit(main())
