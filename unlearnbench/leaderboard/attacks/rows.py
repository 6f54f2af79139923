"""Attacked rows on a leaderboard: which are wanted, and what they must share with their references."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...analysis.attacks.outcome import attack_of
from ...analysis.facts import Facts, as_text
from ...analysis.lines import Line, Replicate, replicate
from ...errors import UnlearnbenchError
from ...results.row import Row
from ..definition import Definition
from ..editions import edition
from ..submission import RowSummary
from ..values import Attacked


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
        if name == "guard" and not _guarded(row):  # without anything beside its weights it was attacked once
            continue
        if as_text(told.params.get(name)) != as_text(value):
            found = as_text(told.params.get(name))[:80]
            yield f"attack.params.{name} is {found}, and this leaderboard wants {as_text(value)[:80]}"
    try:
        access = attack_of(row).access
        if told.access != access:  # tables would show it as harder to come by, or easier, than it is
            yield f"attack.access is {told.access}, and of {told.name} it is {access}"
    except UnlearnbenchError as error:
        mend = "run it again with this version, or give the --plugin that it was attacked with"
        yield f"{row.method.name[:80]} seed {row.seed} under {told.name[:80]}: {error}: {mend}"


def _guarded(row: Row) -> bool:
    """Whether there is anything beside the model's weights that a guard could hold."""
    before = row.method.continues
    return bool(row.method.frozen_weights or (before and before.frozen_weights))


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
    """Attacks and seeds that a line lacks; a reference that is only shown need not be attacked at all."""
    if line.method in rule.references.also and not attacked:
        return
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
        yield from _repeated(of)
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
    asked |= {"attack.people": attack.people, "attack.questions": attack.questions}
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
            mine, theirs = (_counts(summaries[each.row_id]) for each in (row, other))
            if any(mine.get(metric) != counts for metric, counts in theirs.items()):  # it may have variants of its own
                yield row.row_id, f"{row.method.name} seed {row.seed}: other questions under {name} than its reference"


def _repeated(own: Attacked) -> Iterator[tuple[str, str]]:
    """One attacked model that stands under several seeds."""
    for name, by_seed in own.items():
        seen: dict[str, Row] = {}
        for row in by_seed.values():
            if row.samples and (first := seen.setdefault(row.samples.sha256, row)) is not row:
                told = f"has the very samples of seed {first.seed}: run it"
                yield row.row_id, f"{row.method.name} seed {row.seed} under {name} {told}"


def _counts(summary: RowSummary) -> dict[str, dict[str, int]]:
    return {name: {cluster: len(values) for cluster, values in of.items()} for name, of in summary.values.items()}
