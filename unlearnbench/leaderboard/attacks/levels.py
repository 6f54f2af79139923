"""What attacks add to a method's score: a level for each access, and what a method loses or hides under them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...analysis.attacks.costs import lost_of, unable_of
from ...analysis.attacks.outcome import attack_of, levels_of
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
class AttackLevels:
    """The levels that attacks add, by access; of the ``untold`` attacks nobody can tell, and why."""

    levels: Mapping[str, Sequence[str]]
    untold: Mapping[str, str]
    of_attack: Mapping[str, Sequence[str]]
    """The metrics that each attack brings to the levels."""

    def without(self, names: Sequence[str], levels: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """``levels`` without what these attacks bring; one of which nothing is left is left out."""
        gone = {metric for name in names for metric in self.of_attack.get(name, ())}
        left = {level: tuple(metric for metric in of if metric not in gone) for level, of in levels.items()}
        return {level: of for level, of in left.items() if of}


def attack_levels(
    rule: Definition,
    attacked: tuple[Attacked, Attacked],
    nothing: Mapping[Replicate, Values],
    ideal: Mapping[Replicate, Values],
) -> AttackLevels:
    """A level for each access, of the metrics in which ``nothing`` and ``ideal`` are apart with all seeds.

    ``attacked`` are their rows, in this order. An attack that counts on both sides (`Attack.two_sided`) ranks nothing:
    it is shown. Nor does one whose control fails in the references themselves: who could pass it?
    """
    levels, untold = defaultdict[str, list[str]](list), dict[str, str]()
    of_attack: dict[str, Sequence[str]] = {}
    for name in rule.attacks:
        rows = [*attacked[0].get(name, {}).values()]
        if not rows or attack_of(rows[0]).two_sided:
            continue
        attack = attack_of(rows[0])
        if failed := _failed_by_ideal(attacked[0][name], attacked[1].get(name, {})):
            untold[name] = f"{', '.join(failed)} fails in the references themselves"
            continue
        wanted = dict.fromkeys(metric for of in levels_of(attack, task_of(rows[0])).values() for metric in of)
        asked = [name_of(name, variant, metric) for variant in variants_of(rows) for metric in wanted]
        apart = [each for each in asked if _apart(each, nothing, ideal, rule.ranking.least_gap)]
        levels[f"{attack.access} attacks"] += apart
        of_attack[name] = apart
        if not apart:
            untold[name] = TOO_CLOSE
    return AttackLevels({access: tuple(of) for access, of in levels.items() if of}, untold, of_attack)


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


def _apart(name: str, nothing: Mapping[Replicate, Values], ideal: Mapping[Replicate, Values], least_gap: float) -> bool:
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
        for variant in variants_of([trio.own for trio in of]):
            lost = Counter(each for trio in of for each in lost_of(task_of(trio.own), trio, variant))
            often = [each for each, seeds in lost.items() if 2 * seeds > len(of)]
            yield from (f"{metric} under {name}{f', {variant}' if variant else ''}" for metric in often)


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
