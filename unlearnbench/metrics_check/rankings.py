"""How alike methods are ranked, by stored rows: by one metric and another, with one seed and another, by guards."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from ..analysis.attacks.of_lines import AttackedLine, AttackOn, attacks_on
from ..analysis.facts import Facts, as_text
from ..analysis.lines import lines_by_model
from ..analysis.score.levels import shares
from ..analysis.score.references import Records, References, task_of
from ..results.row import Row
from .pool import measuring, values_of
from .result import Rankings, Tau

Scores = Mapping[str, float]
"""By method, in whatever settings."""


def rankings(rows: Sequence[Row], records: Records) -> Rankings:
    """Of the methods of rows that are ok, of one model and task."""
    by_seed = _shares(rows, records)
    whole = {metric: {name: _mean(of) for name, of in own.items()} for metric, own in by_seed.items()}
    return Rankings(
        metrics=tuple(tau(one, whole[one], other, whole[other]) for one, other in combinations(whole, 2)),
        seeds=tuple(each for metric, own in by_seed.items() for each in _of_seeds(metric, own)),
        guards=tuple(_of_guards(attacks_on(_guarded(rows), records, Facts()))),
    )


def tau(of: str, one: Scores, against: str, other: Scores) -> Tau:
    """Kendall's tau-b over the methods that both have."""
    from scipy.stats import kendalltau

    both = [name for name in one if name in other]
    ranked = [[scores[name] for name in both] for scores in (one, other)]
    found = float(kendalltau(*ranked).statistic) if len(both) > 1 else math.nan
    return Tau(of=of, against=against, tau=None if math.isnan(found) else found, methods=len(both))


def _shares(rows: Sequence[Row], records: Records) -> dict[str, dict[str, dict[int, float]]]:
    """By metric, method and seed, how much is forgotten; of rows with both references beside them."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    known = Facts()
    for lines in lines_by_model(rows, known).values():
        beside = References(lines, records, known)
        for line in lines:
            for row in line.rows if line.is_method else ():
                if (trio := beside.trio(row)) is None:
                    continue
                task = measuring(task_of(row))
                own, nothing, ideal = (values_of(task, records(each)) for each in trio.three)
                metrics = [name for name in own if name in nothing and name in ideal]
                for metric, value in shares(own, nothing, ideal, metrics).items():
                    if not math.isnan(value):  # a metric by which doing nothing leaks nothing ranks nobody
                        found[metric][as_text(line.facts)][row.seed] = value
    return found


def _of_seeds(metric: str, by_method: Mapping[str, Mapping[int, float]]) -> Iterator[Tau]:
    """The ranking by one seed against that by another."""
    seeds = sorted({seed for of in by_method.values() for seed in of})
    for one, other in combinations(seeds, 2):
        first, second = ({name: of[seed] for name, of in by_method.items() if seed in of} for seed in (one, other))
        yield tau(f"{metric}, seed {one}", first, f"{metric}, seed {other}", second)


def _guarded(rows: Sequence[Row]) -> list[Row]:
    """The rows of attacks that were aimed at models with their guard off too, and those of models as they are."""
    off = {row.attack.name for row in rows if row.attack and row.attack.params.get("guard") == "off"}
    return [row for row in rows if row.attack is None or row.attack.name in off]


def _of_guards(attacks: Sequence[AttackOn]) -> Iterator[Tau]:
    """The ranking under an attack with guards on against that with guards off."""
    sides: dict[str, list[AttackOn]] = {"on": [], "off": []}
    for each in attacks:
        sides[str(each.attack.params.get("guard", "on"))].append(each)
    for on, off in product(sides["on"], sides["off"]):
        named = [(each.attack.name, each.attack.version, each.attack.params | {"guard": ""}) for each in (on, off)]
        if named[0] == named[1]:
            yield tau(f"{on.attack.name}, guard on", _worst(on), f"{on.attack.name}, guard off", _worst(off))


def _worst(on: AttackOn) -> Scores:
    """By method, the least share that any variant leaves at any level."""
    found = {as_text(each.line.facts): _least(each) for each in on.lines if each.line.is_method}
    return {name: value for name, value in found.items() if value is not None}


def _least(line: AttackedLine) -> float | None:
    told = [level.share.mean for of in line.variants.values() for level in of.levels.values() if level.share]
    return min((value for value in told if value is not None), default=None)


def _mean(by_seed: Mapping[int, float]) -> float:
    return sum(by_seed.values()) / len(by_seed)
