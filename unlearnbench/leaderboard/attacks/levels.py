"""What attacks add to a method's score: a level for each access, and what a method loses or hides under them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...analysis.attacks.costs import lost_of, unable_of
from ...analysis.attacks.outcome import attack_of, levels_of, that_count
from ...analysis.attacks.people.worst import worst
from ...analysis.attacks.shares import Three
from ...analysis.lines import Replicate
from ...analysis.score.levels import gives_away
from ...analysis.score.references import Trio, task_of
from ...contracts.attack import Values
from ...results.row import Row
from ..definition import Definition
from ..values import Attacked, ByReplicate
from .records import name_of

TOO_CLOSE = "the attacked references are too close"


@dataclass(frozen=True)
class OfAccess:
    """The attacks that one access allows, with the variants and the metrics of each that make its worst case."""

    level: str
    of: Mapping[str, tuple[Sequence[str], Sequence[str]]]

    def worst(self, own: Values, nothing: Values, ideal: Values) -> dict[str, Mapping[str, Sequence[float]]]:
        """Of every person what tells most under any of the attacks, by metrics that are named after the level."""
        cases = [
            Three(
                _some(values_of(name, variant, own), metrics),
                _some(values_of(name, variant, nothing), metrics),
                _some(values_of(name, variant, ideal), metrics),
            )
            for name, (variants, metrics) in self.of.items()
            for variant in variants
        ]
        return {f"{self.level}: {metric}": of for metric, of in worst(cases).own.items()}


@dataclass(frozen=True)
class Accesses:
    """By what attackers need, what counts; of the ``untold`` attacks nobody can tell, and why."""

    every: tuple[OfAccess, ...]
    untold: Mapping[str, str]

    def of(self, attacks: Sequence[str]) -> set[str]:
        """The levels that have a part of these."""
        return {each.level for each in self.every if any(name in each.of for name in attacks)}

    def worst(self, own: ByReplicate, nothing: ByReplicate, ideal: ByReplicate) -> ByReplicate:
        """A line's values with those of the worst case of each access on every replicate that the references have."""
        found: ByReplicate = defaultdict(dict, {at: dict(of) for at, of in own.items()})
        for at in own:
            if at in nothing and at in ideal:
                for each in self.every:
                    found[at] |= each.worst(own[at], nothing[at], ideal[at])
        return found

    def levels(self, nothing: ByReplicate, ideal: ByReplicate, least_gap: float) -> dict[str, tuple[str, ...]]:
        """The metrics of each level in which ``nothing`` and ``ideal`` are apart with all seeds."""
        found = {}
        for each in self.every:
            named = dict.fromkeys(name for of in nothing.values() for name in of if name.startswith(f"{each.level}: "))
            found[each.level] = tuple(name for name in named if _apart(name, nothing, ideal, least_gap))
        return {level: of for level, of in found.items() if of}


def accesses(
    rule: Definition, attacked: tuple[Attacked, Attacked], nothing: ByReplicate, ideal: ByReplicate
) -> Accesses:
    """What each access counts by; ``attacked`` are the rows of ``nothing`` and ``ideal``.

    An attack that counts on both sides (`Attack.two_sided`) ranks nothing: it is shown. Nor does one whose control
    fails in the references themselves: who could pass it?
    """
    found: dict[str, dict[str, tuple[Sequence[str], Sequence[str]]]] = defaultdict(dict)
    untold = {}
    for name in rule.attacks:
        rows = [*attacked[0].get(name, {}).values()]
        if not rows or attack_of(rows[0]).two_sided:
            continue
        attack = attack_of(rows[0])
        if failed := _failed_by_ideal(attacked[0][name], attacked[1].get(name, {})):
            untold[name] = f"{', '.join(failed)} fails in the references themselves"
            continue
        metrics = [*dict.fromkeys(each for of in levels_of(attack, task_of(rows[0])).values() for each in of)]
        variants = that_count(attack, variants_of(rows))
        asked = (name_of(name, variant, metric) for variant in variants for metric in metrics)
        if not any(_apart(each, nothing, ideal, rule.ranking.least_gap) for each in asked):
            untold[name] = TOO_CLOSE
        found[f"{attack.access} attacks"][name] = variants, metrics
    return Accesses(tuple(OfAccess(level, of) for level, of in found.items()), untold)


def variants_of(rows: Sequence[Row]) -> list[str]:
    """All that rows of one attack name."""
    return [*dict.fromkeys(variant for row in rows if row.attack for variant in row.attack.variants or [""])]


def compared(attacked: Attacked, own: ByReplicate, ideal: ByReplicate) -> ByReplicate:
    """A line's values of single questions, those of attacked models as their attacks compare them with the ideal's."""
    found: ByReplicate = defaultdict(dict, {at: dict(of) for at, of in own.items()})
    for name, rows in attacked.items():
        for at, row in rows.items():
            for variant in variants_of([row]):
                two = [values_of(name, variant, each.get(at, {})) for each in (own, ideal)]
                if all(two) and two[0].keys() == two[1].keys():
                    beside = attack_of(row).compared(*two)
                    found[at] |= {name_of(name, variant, metric): of for metric, of in beside.items()}
    return found


def values_of(attack: str, variant: str, values: Values) -> dict[str, Mapping[str, Sequence[float]]]:
    """Those of one variant of an attack, by the names that the task or the attack has for them."""
    head = name_of(attack, variant, "")
    return {metric.removeprefix(head): of for metric, of in values.items() if metric.startswith(head)}


def _some(values: Values, metrics: Sequence[str]) -> Values:
    return {name: values[name] for name in metrics if name in values}


def _apart(name: str, nothing: ByReplicate, ideal: ByReplicate, least_gap: float) -> bool:
    pairs = [(of.get(name), ideal[at].get(name)) for at, of in nothing.items() if at in ideal]
    return bool(pairs) and all(a and b and gives_away(name, a, b) >= least_gap for a, b in pairs)


def trios(own: Attacked, nothing: Attacked, ideal: Attacked) -> dict[str, list[Trio]]:
    """Of each attack, a line's rows with those of the references on the same seeds."""
    return {
        name: [
            Trio(row, nothing[name][at], ideal[name][at])
            for at, row in rows.items()
            if at in nothing.get(name, {}) and at in ideal.get(name, {})
        ]
        for name, rows in own.items()
    }


def lost_under_attack(found: Mapping[str, Sequence[Trio]]) -> Iterator[str]:
    """What a method's attacked models lose that the attacked references keep: no robustness.

    An attack that ranks nobody, as it counts on both sides, unranks nobody.
    """
    for name, of in found.items():
        if not of or attack_of(of[0].own).two_sided:
            continue
        by_metric: dict[str, list[str]] = {}
        for variant in variants_of([trio.own for trio in of]):
            lost = Counter(each for trio in of for each in lost_of(task_of(trio.own), trio, variant))
            for metric, seeds in lost.items():
                if 2 * seeds > len(of):
                    by_metric.setdefault(metric, []).append(variant)
        for metric, variants in by_metric.items():
            yield f"{metric} under {name}{f' ({_listed(variants)})' if any(variants) else ''}"


def _listed(variants: Sequence[str]) -> str:
    return ", ".join(variants) if len(variants) < 4 else f"{len(variants)} variants"


def inconclusive(found: Mapping[str, Sequence[Trio]]) -> dict[str, tuple[str, ...]]:
    """Attacks of which nothing follows for a method: it fails these controls, and the references do not.

    Who has unlearned to learn has not shown that nothing comes back.
    """
    failed = {
        name: tuple(dict.fromkeys(each for trio in of for each in _fails_alone(trio)))
        for name, of in found.items()
        if of and not attack_of(of[0].own).two_sided
    }
    return {name: controls for name, controls in failed.items() if controls}


def _fails_alone(trio: Trio) -> list[str]:
    """The controls that a method fails and the ideal does not: where nobody can conclude anything, none is blamed."""
    attack, ideal = attack_of(trio.own), Trio(trio.ideal, trio.nothing, trio.ideal)
    return [name for name in unable_of(attack, trio) if name not in unable_of(attack, ideal)]


def _failed_by_ideal(nothing: Mapping[Replicate, Row], ideal: Mapping[Replicate, Row]) -> list[str]:
    """Controls that show nothing in the retrained model of some seed."""
    beside = [Trio(row, nothing[at], row) for at, row in ideal.items() if at in nothing]
    return [*dict.fromkeys(name for trio in beside for name in unable_of(attack_of(trio.own), trio))]
