"""Attacks on the methods of a run: rows of one attack in one setting, method by method, over seeds."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...errors import UnlearnbenchError
from ...registry import attacks
from ...results.row import AttackInfo, Row, latest
from ..facts import MAY_DIFFER, Facts, as_text
from ..lines import Line, lines_of, made_elsewhere, replicate
from ..means import Mean
from ..score.references import Records, References, Trio
from .outcome import NoValues, attack_of, outcomes, that_count, together
from .over_seeds import Variant
from .verdict import AttackVerdict

_DIGITS = 8
"""Of a digest, where it is shown."""


@dataclass(frozen=True)
class AttackedLine:
    """A method under one attack: its line of attacked rows, and what came of each variant; none without references.

    ``why`` tells what is not as it should be, in a sentence each: why there is nothing, or why it is not whole.
    """

    line: Line
    variants: Mapping[str, Variant]
    why: tuple[str, ...] = ()
    no_values: bool = False
    """Whether the method's own samples give no values, and the references' do."""

    @cached_property
    def parts(self) -> tuple[list[Variant], list[Variant]]:
        """The variants that make the worst case, and those that are shown beside it."""
        names = that_count(attack_of(self.line.rows[0]), self.variants)
        first, second = (
            [of for name, of in self.variants.items() if (name in names) is side] for side in (True, False)
        )
        return first, second

    @cached_property
    def worst(self) -> Variant | None:
        """What the attack came to: the worst case of its variants, with what any of them cost."""
        if not self.variants:
            return None
        counted, others = self.parts
        seeds = range(len(counted[0].found))
        made = (together([of.found[at] for of in counted], [of.found[at] for of in others]) for at in seeds)
        return Variant(tuple(made))

    @property
    def verdict(self) -> AttackVerdict | None:
        """The word for all of it; None where there is none."""
        if self.no_values:
            return "broken"
        return self.worst.verdict if self.worst else None

    @property
    def left(self) -> Mean | None:
        """The lowest share of forgetting that the worst case leaves; None where nobody can tell."""
        return self.worst.left if self.worst else None


@dataclass(frozen=True)
class AttackOn:
    """One attack in one setting on the methods of one model; ``settings`` tell it from others of its name."""

    model: str
    attack: AttackInfo
    settings: str
    lines: tuple[AttackedLine, ...]

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.attack.name} {self.settings}".strip()

    @property
    def variants(self) -> list[str]:
        """The names of all."""
        return [*dict.fromkeys(name for line in self.lines for name in line.variants)]

    @property
    def told(self) -> list[AttackedLine]:
        """The methods of which anything is told."""
        return [line for line in self.lines if line.variants or line.no_values]


class Clean:
    """The rows of models as they are, to be found for an attacked row: its clean twin."""

    def __init__(self, rows: Sequence[Row], known: Facts) -> None:
        self._known = known
        self._rows = {self._name(row): row for row in rows}

    def trio(self, attacked: Trio) -> Trio | None:
        """The twins of a method's row and of its references'; None where one is missing."""
        found = [self._rows.get(self._name(row)) for row in attacked.three]
        own, nothing, ideal = found
        return None if own is None or nothing is None or ideal is None else Trio(own, nothing, ideal)

    def _name(self, row: Row) -> tuple[object, ...]:
        """The model, made here or elsewhere, and what it was asked; whatever may differ between machines left out."""
        task = row.task
        options = {name: value for name, value in task.options.items() if name not in MAY_DIFFER}
        asked = task.name, task.version, task.data.fingerprint, as_text(options)
        return self._known.method(row), made_elsewhere(row), replicate(row), *asked


def attacks_on(rows: Sequence[Row], records: Records, known: Facts) -> list[AttackOn]:
    """Every attack on every model, in the order of the rows."""
    good = [row for row in latest(rows) if row.status == "ok"]
    told: dict[tuple[str, str], AttackInfo] = {}
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in good:
        if row.attack is not None:
            told.setdefault((row.model.name, _identity(row.attack)), row.attack)
    for row in good:
        for key in dict.fromkeys((row.model.name, each) for each in _identities(row)):
            if key in told:
                groups[key].append(row)
    clean = Clean([row for row in good if row.attack is None], known)
    own = {
        key: attack for key, attack in told.items() if not _twice(groups[key], {of for at, of in told if at == key[0]})
    }
    namesakes: dict[tuple[str, str], list[AttackInfo]] = defaultdict(list)
    for (model, _), attack in own.items():
        namesakes[model, attack.name].append(attack)
    return [
        AttackOn(
            model,
            attack,
            _settings(attack, namesakes[model, attack.name]),
            tuple(_attacked(groups[model, identity], clean, records, known)),
        )
        for (model, identity), attack in own.items()
    ]


def _twice(rows: Sequence[Row], told: Collection[str]) -> bool:
    """Whether all rows stand under another setting too, with what has something beside its weights."""
    return all(len(named := _identities(row)) == 2 and len({*named}) == 2 and {*named} <= {*told} for row in rows)


def left_out(found: Sequence[AttackOn]) -> list[str]:
    """What is not told of methods under an attack, or not as a whole, and why: a sentence for each reason."""
    said: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for on in found:
        for line in on.lines:
            for why in line.why:
                said[f"under {on.label} ({on.model})", why][line.line.method] = None
    return [f"{', '.join(methods)} {under}: {why}" for (under, why), methods in said.items()]


def _identities(row: Row) -> list[str]:
    """The settings that an attacked row stands for: of a model with nothing beside its weights, with the guard off too.

    It is the same then, and was attacked once.
    """
    attack, method = row.attack, row.method
    if attack is None:
        return []
    bare = not (method.frozen_weights or (method.continues and method.continues.frozen_weights))
    off = attack.model_copy(update={"params": attack.params | {"guard": "off"}})
    return [_identity(attack), *([_identity(off)] if bare else [])]


def _attacked(rows: Sequence[Row], clean: Clean, records: Records, known: Facts) -> Iterator[AttackedLine]:
    lines = [*lines_of(rows, known)]
    beside = References(lines, records, known)
    for line in lines:
        yield _line(line, beside, clean, records)


def _line(line: Line, beside: References, clean: Clean, records: Records) -> AttackedLine:
    """What came of an attack; without variants where a reference was not attacked alike, or samples cannot be read."""
    attack = line.rows[0].attack
    if attack is None or attack.name not in attacks:
        return AttackedLine(line, {}, ("no such attack is registered here: give its file with --plugin",))
    trios = [(row, beside.trio(row)) for row in line.rows]
    if alone := [str(row.seed) for row, trio in trios if trio is None]:
        said = f"base and retrained model not attacked alike with seed {', '.join(alone)}; 'run --attack' attacks both"
        return AttackedLine(line, {}, (said,))
    both = [(trio, clean.trio(trio)) for _, trio in trios if trio is not None]
    try:
        found = [outcomes(trio, twin, records) for trio, twin in both]
    except NoValues as error:
        return AttackedLine(line, {}, (str(error),), no_values=True)
    except UnlearnbenchError as error:
        return AttackedLine(line, {}, (str(error),))
    names = dict.fromkeys(name for of in found for name in of)
    whole = [name for name in names if all(name in of for of in found)]
    why = [f"{name or 'its values'} not there with every seed, and left out" for name in names if name not in whole]
    if bare := [str(trio.own.seed) for trio, twin in both if twin is None]:
        why.append(f"no row of the model, or of a reference, as it is with seed {', '.join(bare)}: so there is no word")
    return AttackedLine(line, {name: Variant(tuple(of[name] for of in found)) for name in whole}, tuple(why))


def _identity(attack: AttackInfo) -> str:
    return as_text([attack.name, attack.version, attack.code, attack.params])


def _settings(attack: AttackInfo, namesakes: Sequence[AttackInfo]) -> str:
    """``NAME=VALUE`` of what tells an attack from its namesakes: its version, its code, its parameters."""
    others = [_facts(other) for other in namesakes]
    return " ".join(
        f"{name}={value if isinstance(value, str) else as_text(value)}"
        for name, value in _facts(attack).items()
        if any(as_text(other.get(name)) != as_text(value) for other in others)
    )


def _facts(attack: AttackInfo) -> dict[str, Any]:
    return {"version": attack.version, "code": (attack.code or "")[:_DIGITS]} | attack.params
