"""Which orderings of the CAGUL paper's text hold in our rows: ``python -m benchmarks.runs.orderings RESULTS ...``.

RESULTS are folders that `unlearnbench run` wrote (the comparison, the ablations, the sweeps; README has the commands).
Each statement is printed with the figures it compares, means over the seeds, and whether they agree; then what each
method came to by the score (docs/leaderboards.md). A statement that does not hold is a finding and no error; the exit
code is 1 only where rows are missing.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from unlearnbench.analysis.comparison import Comparison
from unlearnbench.analysis.facts import Facts
from unlearnbench.analysis.lines import lines_by_model
from unlearnbench.analysis.means import Mean
from unlearnbench.analysis.score.of_lines import scores
from unlearnbench.analysis.score.references import Records, References
from unlearnbench.config import resolve
from unlearnbench.registry import methods
from unlearnbench.results.row import Row, Split, latest
from unlearnbench.results.store import RowStore

LEVEL = 0.02
"""Scores within this of each other count as equal."""

MUCH = 0.1
"""Scores further apart than this are far apart."""

SCORES = ("forget.rouge_l", "forget.exact_match", "forget.ape", "forget.min_k")
RETAIN = ("retain.rouge_l", "retain.exact_match", "retain.truth_ratio")
BYSTANDERS = ("held_out.exact_match", "acquaintances.exact_match")
"""Of people whom no method sees; of rows that have them."""

GENERAL = ("mme.accuracy", "pope.accuracy")
BASELINES = ("ga", "ga-gd", "ga-kl", "po-gd")
"""Those of the paper."""

Statement = tuple[str, bool, str]
"""What the paper's text says, whether our figures agree, and the figures."""


class Figures:
    """Means over seeds of a method's metrics and costs, in its default setting and under changed parameters."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = [row for row in rows if row.status == "ok"]
        self._settings = Facts()
        splits = [_people(row) for row in self.rows]
        self.usual = max(splits, key=splits.count, default="")

    def find(self, method: str, **params: Any) -> list[Row]:
        """The rows of a method whose parameters are these; of the usual number of people, and CAGUL's full variant."""
        wanted = (FULL if method == "cagul" else {}) | params
        return [row for row in self.rows if row.method.name == method and _has(row, wanted, self.usual)]

    def mean(self, method: str, metric: str, **params: Any) -> float:
        """The mean over the seeds of a metric or a cost; raises `LookupError` without a row."""
        rows = self.find(method, **params)
        self._require_alike(
            [row for row in rows if metric in row.metrics] or rows, f"{method} {params or ''}: {metric}"
        )
        values = [row.metrics[metric].value for row in rows if metric in row.metrics]
        values = values or [v for row in rows if (v := getattr(row.cost, metric, None)) is not None]
        known = [value for value in values if value is not None]
        if not known:
            raise LookupError(f"{method} {params or ''}: no {metric}")
        return fmean(known)

    def _require_alike(self, rows: list[Row], what: str) -> None:
        """Nothing is a mean over different settings, of the method or of what it was asked."""
        if len({self._settings.method(row) for row in rows}) > 1:
            raise LookupError(f"{what}: several settings of the method in these rows: give folders with one of each")
        asked: dict[str, set[str]] = {}
        for row in rows:
            asked.setdefault(row.task.name, set()).add(self._settings.task(row))
        if twice := [name for name, settings in asked.items() if len(settings) > 1]:
            raise LookupError(f"{what}: several settings of {twice[0]} in these rows: give folders with one of each")


VARIED = ("discriminator", "encoder", "selection", "loss", "k")
FULL = {name: getattr(resolve(methods.get("cagul").Params, "cagul", "tiny", {}), name) for name in VARIED}
"""CAGUL as it is by default, of what the ablations and sweeps vary."""


def _has(row: Row, wanted: dict[str, Any], usual: str) -> bool:
    """``wanted`` are parameters, and under "people" another setting of who is forgotten than the usual one."""
    return _people(row) == wanted.get("people", usual) and all(
        row.method.params.get(name) == value for name, value in wanted.items() if name != "people"
    )


def _people(row: Row) -> str:
    """Who is forgotten: the same people on every seed, or as many as each seed draws."""
    return row.task.split.setting if row.task.split else ""


def _folders(folders: Iterable[Path]) -> tuple[list[Row], Records]:
    """All rows of some folders, and a function that reads the samples of one."""
    stores = [RowStore(folder) for folder in folders]
    of = {row.row_id: (store, row) for store in stores for row in store.scan().rows}
    return latest(row for _, row in of.values()), lambda row: of[row.row_id][0].read_samples(row)


def main(folders: list[Path]) -> int:
    """Print every statement."""
    rows, records = _folders(folders)
    models = dict.fromkeys(row.model.name for row in rows)
    told = [
        _of_model(name if len(models) > 1 else "", [row for row in rows if row.model.name == name]) for name in models
    ]
    for line in _came_to(rows, records):
        print(line)
    return 0 if told and all(told) else 1


def _of_model(heading: str, rows: list[Row]) -> bool:
    """Print every statement about one model; whether no rows are missing."""
    if heading:
        print(heading)
    figures, complete = Figures(rows), True
    for part in (references, cagul, ascent, ablations, sweeps):
        try:
            for said, holds, shown in part(figures):
                print(f"{'holds ' if holds else 'DIFFERS'}  {said}\n          {shown}")
        except LookupError as missing:
            complete = False
            print(f"no rows  {missing.args[0]}")
    return complete


def _came_to(rows: list[Row], records: Records) -> Iterator[str]:
    """A line for every method in every setting, of those that have a score."""
    known = Facts()
    for model, lines in lines_by_model(rows, known).items():
        comparison = Comparison(model, tuple(lines), ())
        for line, score in zip(lines, scores(lines, References(lines, records, known)), strict=True):
            if score is not None:
                levels = ", ".join(f"{name} {_mean(mean)}" for name, mean in score.levels.items())
                trace = f", trace {_mean(score.trace)}" if score.trace else ""
                yield f"{model}: {comparison.label(line)}: {score.verdict} ({levels}{trace})"


def _mean(mean: Mean) -> str:
    width = "" if mean.half_width is None else f" ± {mean.half_width:.3f}"
    return f"{mean.mean:.3f}{width}"


def compared(
    figures: Figures, metrics: tuple[str, ...], one: str, other: str, test: Callable[[float, float], bool]
) -> Any:
    """Whether ``test`` holds for every metric of two methods, and the figures."""
    pairs = {name: (figures.mean(one, name), figures.mean(other, name)) for name in metrics}
    shown = ", ".join(f"{name} {a:.3f} / {b:.3f}{'' if test(a, b) else ' (!)'}" for name, (a, b) in pairs.items())
    return all(test(a, b) for a, b in pairs.values()), f"{one} / {other}: {shown}"


def references(figures: Figures) -> Iterator[Statement]:
    """The base model."""
    sets = ("forget.rouge_l", "nonprivate.rouge_l", "retain.rouge_l")
    yield (
        "Finetune far above Pretrain on all sets",
        *compared(figures, sets, "finetune", "pretrain", lambda a, b: a > b + MUCH),
    )


def cagul(figures: Figures) -> Iterator[Statement]:
    """CAGUL against base and retrained model."""
    yield ("CAGUL's forget metrics below Retrain's", *compared(figures, SCORES, "cagul", "retrain", lambda a, b: a < b))
    close = lambda a, b: abs(a - b) <= LEVEL  # noqa: E731
    yield ("CAGUL's retain metrics at the base's level", *compared(figures, RETAIN, "cagul", "finetune", close))
    yield (
        "CAGUL's MME and POPE equal the base's",
        *compared(figures, GENERAL, "cagul", "finetune", lambda a, b: a == b),
    )
    theirs = tuple(name for name in BYSTANDERS if any(name in row.metrics for row in figures.find("cagul")))
    if theirs:
        yield ("CAGUL leaves bystanders alone (ours)", *compared(figures, theirs, "cagul", "finetune", close))
    names = ("nonprivate.rouge_l", "nonprivate.exact_match")
    _, shown = compared(figures, names, "cagul", "finetune", lambda a, b: a < b - LEVEL)
    lost = any(figures.mean("cagul", name) < figures.mean("finetune", name) - LEVEL for name in names)
    yield ("CAGUL loses some non-private ROUGE or EM (on Qwen)", lost, shown)
    trained = {name: figures.mean(name, "trainable_parameters") for name in ("cagul", *BASELINES)}
    yield (
        "CAGUL trains the fewest parameters",
        min(trained, key=trained.__getitem__) == "cagul",
        _list(trained, "{:.0f}"),
    )


def ascent(figures: Figures) -> Iterator[Statement]:
    """Gradient ascent and the baselines."""
    forgets = figures.mean("ga", "forget.rouge_l") < figures.mean("finetune", "forget.rouge_l") - MUCH
    wrecked, shown = compared(figures, ("retain.rouge_l",), "ga", "finetune", lambda a, b: a < b - MUCH)
    yield (
        "GA forgets and wrecks utility",
        forgets and wrecked,
        f"forget ROUGE-L {figures.mean('ga', 'forget.rouge_l'):.3f}; {shown}",
    )
    seconds = {name: figures.mean(name, "seconds_per_epoch") for name in ("cagul", *BASELINES)}
    yield ("GA is the cheapest per epoch", min(seconds, key=seconds.__getitem__) == "ga", _list(seconds, "{:.2f} s"))
    trade = {name: figures.mean(name, "retain.rouge_l") - figures.mean(name, "forget.rouge_l") for name in BASELINES}
    best = max(trade, key=trade.__getitem__) == "ga-gd"
    yield (
        "GA+GD is the best trade-off of the baselines (on Qwen)",
        best,
        f"retain - forget ROUGE-L: {_list(trade, '{:.3f}')}",
    )


def ablations(figures: Figures) -> Iterator[Statement]:
    """The ablations of table 5."""

    def change(metric: str, **params: Any) -> float:
        return figures.mean("cagul", metric, **params) - figures.mean("cagul", metric)

    def shown(**params: Any) -> str:
        names = ("forget.rouge_l", "nonprivate.rouge_l", "retain.rouge_l", *GENERAL)
        return "change " + ", ".join(f"{name} {change(name, **params):+.3f}" for name in names)

    def forget(**params: Any) -> float:
        return change("forget.rouge_l", **params)

    def retain(**params: Any) -> float:
        return min(change("retain.rouge_l", **params), change("nonprivate.rouge_l", **params))

    none, noise, random = {"discriminator": "none"}, {"encoder": "noise"}, {"selection": "random"}
    suffers = min(change(name, **none) for name in GENERAL) < -LEVEL
    yield ("without D: MME or POPE suffers, forgetting stays", suffers and forget(**none) < LEVEL, shown(**none))
    yield ("without D: retain ROUGE rises", change("retain.rouge_l", **none) > LEVEL, shown(**none))
    worse = forget(**noise) > MUCH and retain(**noise) < -MUCH
    yield ("without E: forget and retain both much worse", worse, shown(**noise))
    clearly = abs(forget(**random)) < MUCH and retain(**random) < -LEVEL
    yield ("random tokens: forget comparable, retain clearly worse", clearly, shown(**random))
    collapse = forget(loss="ga-gd") < 0 and retain(loss="ga-gd") < -MUCH
    yield ("GA+GD loss: better forget, retain collapses", collapse, shown(loss="ga-gd"))
    kept = retain(loss="ga-kl") > -MUCH and forget(loss="ga-kl") > MUCH
    yield ("GA+KL loss: retain kept, forget unsatisfactory", kept, shown(loss="ga-kl"))


def sweeps(figures: Figures) -> Iterator[Statement]:
    """The sweeps of figures 2 and 3."""
    ks = sorted({row.method.params["k"] for row in figures.rows if row.method.name == "cagul"})
    by_k = {k: figures.mean("cagul", "forget.rouge_l", k=k) for k in ks}
    if len(ks) < 3:
        raise LookupError("fewer than three values of k")
    little = max(by_k.values()) - min(by_k.values()) <= MUCH
    yield ("k has little effect", little, f"forget ROUGE-L by k: {_list(by_k, '{:.3f}')}")
    splits = _by_number(row.task.split for row in figures.rows if row.method.name == "cagul" and row.task.split)
    if len(splits) < 3:
        raise LookupError("fewer than three numbers of people to forget")
    for metric, sign, said in (("forget.rouge_l", -1, "forgets"), ("retain.rouge_l", 1, "retains")):
        by_n = {n: figures.mean("cagul", metric, people=people) for n, people in splits.items()}
        values = [*by_n.values()]
        yield (
            f"CAGUL {said} better with more people",
            sign * (values[-1] - values[0]) > LEVEL,
            f"{metric} by n: {_list(by_n, '{:.3f}')}",
        )


def _by_number(splits: Iterable[Split]) -> dict[int, str]:
    """The setting of each number of people, in order; raises `LookupError` for two sets of equally many."""
    found: dict[int, str] = {}
    for split in splits:
        if split.identities is not None and found.setdefault(split.identities, split.setting) != split.setting:
            raise LookupError(f"two sets of {split.identities} people in these rows: give folders with one of each")
    return dict(sorted(found.items()))


def _list(values: dict[Any, float], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in values.items())


if __name__ == "__main__":
    sys.exit(main([Path(word) for word in sys.argv[1:]]))
