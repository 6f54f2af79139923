"""Attacked rows on a leaderboard: which are wanted, and what they add to a method's score: a level for each access."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..analysis.attacks.costs import lost_of, unable_of
from ..analysis.attacks.outcome import attack_of, by_variant, levels_of
from ..analysis.facts import Facts, as_text
from ..analysis.lines import Line, Replicate, replicate
from ..analysis.score.levels import gives_away
from ..analysis.score.references import Trio, task_of
from ..contracts import Evaluation, Task
from ..contracts.attack import Values, of_variant
from ..metrics.statistics import MetricValue
from ..results.row import Row
from .definition import Definition
from .editions import edition
from .submission import RowSummary
from .values import Attacked, ByReplicate


def name_of(attack: str, variant: str, metric: str) -> str:
    """What a metric of one variant of an attack is called among a method's values."""
    return f"{attack} ({variant}): {metric}" if variant else f"{attack}: {metric}"


def misfits_of(rule: Definition, row: Row) -> Iterator[str]:
    """What is wrong with an attacked row by itself."""
    told = row.attack
    if told is None:
        return
    wanted = rule.attacks.get(told.name)
    if wanted is None:
        among = f"its attacks are {', '.join(rule.attacks)}" if rule.attacks else "it is of models as they are"
        yield f"the model was attacked ({told.name[:80]!r}), and this leaderboard has no such attack: {among}"
        return
    if wanted.version is not None and wanted.version != told.version:
        yield f"attack.version is {told.version[:80]}, and this leaderboard wants {wanted.version}"
    for name, value in wanted.params.items():
        if as_text(told.params.get(name)) != as_text(value):
            found = as_text(told.params.get(name))[:80]
            yield f"attack.params.{name} is {found}, and this leaderboard wants {as_text(value)[:80]}"


class AttackedRows:
    """The attacked rows of a leaderboard, to be found by the line of the models that were attacked."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._known, self.rows = Facts(), [row for row in rows if row.attack is not None]
        self._of: dict[tuple[str | None, str], dict[str, dict[Replicate, Row]]]
        self._of = defaultdict(lambda: defaultdict(dict))
        self._twice: list[Row] = []
        for row in self.rows:
            if row.attack is not None:
                of = self._of[self._line(row)][row.attack.name]
                if replicate(row) in of:
                    self._twice.append(row)
                of[replicate(row)] = row

    def of(self, line: Line) -> Attacked:
        """Those of a line's models."""
        return self._of.get(self._line(line.rows[0]), {}) if line.rows else {}

    def twice(self) -> Iterator[tuple[str, str]]:
        """Rows of models that were attacked by the same attack in another setting too, with what is wrong."""
        for row in self._twice:
            name = row.attack.name if row.attack else ""
            yield row.row_id, f"{row.method.name} seed {row.seed} is there under {name} in several settings: keep one"

    def rows_of(self, line: Line) -> list[Row]:
        """The same as rows, those in a further setting of an attack too."""
        own = self._line(line.rows[0]) if line.rows else None
        return [row for row in self.rows if self._line(row) == own]

    def _line(self, row: Row) -> tuple[str | None, str]:
        return edition(row), self._known.method(row)


def lacking(rule: Definition, line: Line, attacked: Attacked) -> Iterator[str]:
    """Attacks and seeds that a line lacks."""
    there = {replicate(row) for row in line.rows}
    for name in rule.attacks:
        if missing := sorted(seed for seed, base in there - attacked.get(name, {}).keys()):
            yield f"has no row of the attack {name!r} with seed {', '.join(map(str, missing))}"


def faults(
    rule: Definition, lines: Sequence[Line], attacked: AttackedRows, summaries: Mapping[str, RowSummary]
) -> Iterator[tuple[str, str]]:
    """What is wrong with attacked rows beside the lines of the models that were attacked, with a row's id."""
    seen: set[str] = set()
    for line in lines:
        of = attacked.of(line)
        seen |= {row.row_id for row in attacked.rows_of(line)}
        yield from ((line.rows[0].row_id, f"{line.method} on {line.model} {what}") for what in lacking(rule, line, of))
        reference = next((each for each in lines if _measures(rule, each, line)), line)
        yield from _attacked_otherwise(of, attacked.of(reference))
        yield from _other_questions(of, attacked.of(reference), summaries)
    yield from attacked.twice()
    for row in attacked.rows:
        if row.row_id not in seen:
            yield row.row_id, f"{row.method.name} was attacked, and there is no row of it as it is with these settings"


def _attacked_otherwise(own: Attacked, reference: Attacked) -> Iterator[tuple[str, str]]:
    """Rows whose attack, or whose questions, are not as those of the reference that does nothing."""
    for name, by_seed in own.items():
        for at, row in by_seed.items():
            if (other := reference.get(name, {}).get(at)) is None:
                continue
            mine, theirs = _alike(row), _alike(other)
            for what in (each for each in theirs if as_text(mine.get(each)) != as_text(theirs[each])):
                told = f"{row.method.name} seed {row.seed} under {name}: {what} is {as_text(mine.get(what))[:80]}"
                yield row.row_id, f"{told}, and of its reference {as_text(theirs[what])[:80]}"


def _alike(row: Row) -> dict[str, Any]:
    """What an attacked row must share with its reference; a guard only some methods have."""
    attack, task = row.attack, row.task
    assert attack is not None  # it is an attacked row
    params = {f"attack.params.{name}": value for name, value in attack.params.items() if name != "guard"}
    asked = {f"task.options.{name}": value for name, value in task.options.items()}
    return params | asked | {"attack.version": attack.version, "attack.code": attack.code, "task.version": task.version}


def _measures(rule: Definition, reference: Line, line: Line) -> bool:
    return (
        reference.method == rule.references.nothing
        and reference.model == line.model
        and edition(reference.rows[0]) == edition(line.rows[0])
    )


def _other_questions(
    own: Attacked, reference: Attacked, summaries: Mapping[str, RowSummary]
) -> Iterator[tuple[str, str]]:
    """Rows whose values are of other questions than those of the reference that was attacked alike."""
    for name, by_seed in own.items():
        for at, row in by_seed.items():
            other = reference.get(name, {}).get(at)
            if other is None or row.row_id not in summaries or other.row_id not in summaries:
                continue
            asked = [_counts(summaries[each.row_id]) for each in (row, other)]
            if asked[0] != asked[1]:
                yield row.row_id, f"{row.method.name} seed {row.seed}: other questions under {name} than its reference"


def _counts(summary: RowSummary) -> dict[str, dict[str, int]]:
    return {name: {cluster: len(values) for cluster, values in of.items()} for name, of in summary.values.items()}


def compared(attacked: Attacked, own: ByReplicate, ideal: ByReplicate) -> ByReplicate:
    """A line's values of single questions, those of attacked models as their attacks compare them with the ideal's."""
    found: ByReplicate = defaultdict(dict, {at: dict(of) for at, of in own.items()})
    for name, rows in attacked.items():
        for at, row in rows.items():
            for variant in _variants([row]):
                head = name_of(name, variant, "")
                two = [
                    {
                        metric.removeprefix(head): of
                        for metric, of in each.get(at, {}).items()
                        if metric.startswith(head)
                    }
                    for each in (own, ideal)
                ]
                if all(two) and two[0].keys() == two[1].keys():
                    beside = attack_of(row).compared(*two)
                    found[at] |= {f"{head}{metric}": of for metric, of in beside.items()}
    return found


@dataclass(frozen=True)
class AttackLevels:
    """The levels that attacks add; of the ``untold`` nobody can tell, as the attacked references are too close."""

    levels: dict[str, tuple[str, ...]]
    untold: tuple[str, ...]


def attack_levels(
    rule: Definition,
    attacked: Attacked,
    nothing: Mapping[Replicate, Values],
    ideal: Mapping[Replicate, Values],
) -> AttackLevels:
    """A level for each access, of the metrics in which ``nothing`` and ``ideal`` are apart with all seeds.

    An attack that counts on both sides (`Attack.two_sided`) ranks nothing: it is shown.
    """
    levels, untold = defaultdict[str, list[str]](list), []
    for name in rule.attacks:
        rows = [*attacked.get(name, {}).values()]
        if not rows:
            continue
        attack = attack_of(rows[0])
        if attack.two_sided:
            continue
        wanted = dict.fromkeys(metric for of in levels_of(attack, task_of(rows[0])).values() for metric in of)
        asked = [name_of(name, variant, metric) for variant in _variants(rows) for metric in wanted]
        apart = [each for each in asked if _apart(each, nothing, ideal, rule.ranking.least_gap)]
        levels[f"{attack.access} attacks"] += apart
        untold += [] if apart else [name]
    return AttackLevels({access: tuple(of) for access, of in levels.items() if of}, tuple(untold))


def _variants(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(variant for row in rows if row.attack for variant in row.attack.variants or [""])]


def _apart(name: str, nothing: Mapping[Replicate, Values], ideal: Mapping[Replicate, Values], least_gap: float) -> bool:
    _, _, metric = name.rpartition(": ")
    pairs = [(of.get(name), ideal[at].get(name)) for at, of in nothing.items() if at in ideal]
    return bool(pairs) and all(a and b and gives_away(metric, a, b) >= least_gap for a, b in pairs)


def lost_under_attack(own: Attacked, nothing: Attacked, ideal: Attacked) -> Iterator[str]:
    """What a method's attacked models lose that the attacked references keep, and controls that fail: no robustness."""
    for name, rows in own.items():
        trios = [
            Trio(row, nothing[name][at], ideal[name][at])
            for at, row in rows.items()
            if at in nothing.get(name, {}) and at in ideal.get(name, {})
        ]
        for variant in _variants([*rows.values()]):
            lost = Counter(each for trio in trios for each in lost_of(task_of(trio.own), trio, variant))
            often = [each for each, seeds in lost.items() if 2 * seeds > len(trios)]
            yield from (f"{metric} under {name}{f', {variant}' if variant else ''}" for metric in often)
        failed = dict.fromkeys(each for trio in trios for each in _fails_alone(trio))
        yield from (f"{metric} under {name}" for metric in failed)


def _fails_alone(trio: Trio) -> list[str]:
    """The controls that a method fails and the ideal does not: where nobody can conclude anything, none is blamed."""
    attack, ideal = attack_of(trio.own), Trio(trio.ideal, trio.nothing, trio.ideal)
    return [name for name in unable_of(attack, trio) if name not in unable_of(attack, ideal)]


def measured_of(row: Row, task: Task, records: Sequence[Any]) -> Evaluation:
    """What a row's records come to, by its task, or by the attack on its model: of each variant by itself."""
    if row.attack is None:
        return task.measured(records)
    attack, variants = attack_of(row), by_variant(records)
    metrics: dict[str, MetricValue] = {}
    for variant, own in variants.items():
        metrics |= {of_variant(name, variant): value for name, value in attack.measured(task, own).items()}
    return Evaluation([*records], metrics | attack.overall(task, variants))


def attacked_values(row: Row, task: Task, records: Sequence[Any]) -> dict[str, Mapping[str, Sequence[float]]]:
    """The values of single questions by metric and variant, under their names on a leaderboard."""
    attack = attack_of(row)
    return {
        name_of(attack.name, variant, metric): of
        for variant, own in by_variant(records).items()
        for metric, of in attack.values(task, own).items()
    }


def untold_variants(row: Row, records: Sequence[Any]) -> Iterator[str]:
    """Whether a row names all variants that its samples are of: what it hides would be looked at by nobody."""
    if row.attack is not None:
        for name in by_variant(records).keys() - {*row.attack.variants}:
            yield f"attack.variants does not name {name[:40]!r}, of which there are samples"
