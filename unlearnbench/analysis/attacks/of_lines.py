"""Attacks on the methods of a run: rows of one attack in one setting, method by method, over seeds."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...errors import UnlearnbenchError
from ...registry import attacks
from ...results.row import AttackInfo, Row, latest
from ..facts import Facts, as_text
from ..lines import Line, lines_of, replicate
from ..means import Mean
from ..score.references import Records, References, Trio
from .outcome import AttackOutcome, outcomes
from .shares import Share, interval
from .verdict import AttackVerdict, attack_verdict, gravest


@dataclass(frozen=True)
class Level:
    """A level under an attack, over seeds: the share that is left, and that of the same questions without an attack.

    Half the width of its interval is the wider of that over seeds and of the bootstrap over people.
    """

    share: Mean | None
    clean: Mean | None
    below: bool


@dataclass(frozen=True)
class Variant:
    """What one variant of an attack brought back of a method, over seeds."""

    found: tuple[AttackOutcome, ...]

    @cached_property
    def levels(self) -> dict[str, Level]:
        """By name; a share is None where nobody can tell in some seed."""
        return {name: self._level(name) for name in self.found[0].levels}

    def _level(self, name: str) -> Level:
        shares = [each.levels[name] for each in self.found]
        clean = [each.clean[name].value for each in self.found if name in each.clean]
        whole = all(each.value is not None for each in shares)
        return Level(
            _mean(shares) if whole else None,
            Mean.of(clean) if clean and all(value is not None for value in clean) else None,
            any(each.below for each in shares),
        )

    @property
    def lost(self) -> tuple[str, ...]:
        """Conditions that are lost in most seeds."""
        names = dict.fromkeys(name for each in self.found for name in each.lost)
        return tuple(name for name in names if 2 * sum(name in each.lost for each in self.found) > len(self.found))

    @property
    def unable(self) -> tuple[str, ...]:
        """Controls that failed in any seed."""
        return tuple(dict.fromkeys(name for each in self.found for name in each.unable))

    @cached_property
    def verdict(self) -> AttackVerdict:
        """The word for it."""
        names = self.found[0].levels
        shares = {name: [each.levels[name].value for each in self.found] for name in names}
        clean = {name: [each.clean[name].value for each in self.found if name in each.clean] for name in names}
        return attack_verdict(shares, clean, kept=not self.lost, able=not self.unable)


def _mean(shares: Sequence[Share]) -> Mean:
    """Over seeds."""
    over_seeds = Mean.of([each.value for each in shares])
    low, high = interval([each.draws for each in shares])
    return replace(over_seeds, half_width=max(over_seeds.half_width or 0.0, (high - low) / 2))


@dataclass(frozen=True)
class AttackedLine:
    """A method under one attack: its line of attacked rows, and what came of each variant; none without references."""

    line: Line
    variants: Mapping[str, Variant]

    @property
    def verdict(self) -> AttackVerdict | None:
        """The word for all variants."""
        return gravest([each.verdict for each in self.variants.values()]) if self.variants else None

    @property
    def left(self) -> Mean | None:
        """The lowest share of forgetting that is left, of all variants and levels; None where nobody can tell."""
        found = [level.share for of in self.variants.values() for level in of.levels.values()]
        known = [(share.mean, share) for share in found if share is not None and share.mean is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None


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


def attacks_on(rows: Sequence[Row], records: Records, known: Facts) -> list[AttackOn]:
    """Every attack on every model, in the order of the rows."""
    good = [row for row in latest(rows) if row.status == "ok"]
    told: dict[tuple[str, str], AttackInfo] = {}
    for row in good:
        if row.attack is not None and row.attack.name in attacks:
            told.setdefault((row.model.name, _identity(row.attack)), row.attack)
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in good:
        for key in dict.fromkeys((row.model.name, each) for each in _identities(row)):
            if key in told:
                groups[key].append(row)
    whole = [row for row in good if row.attack is None]
    namesakes: dict[tuple[str, str], list[AttackInfo]] = defaultdict(list)
    for (model, _), attack in told.items():
        namesakes[model, attack.name].append(attack)
    return [
        AttackOn(
            model,
            attack,
            _settings(attack, namesakes[model, attack.name]),
            tuple(_attacked(groups[model, identity], whole, records, known)),
        )
        for (model, identity), attack in told.items()
    ]


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


def _attacked(rows: Sequence[Row], whole: Sequence[Row], records: Records, known: Facts) -> Iterator[AttackedLine]:
    lines = [*lines_of(rows, known)]
    beside, clean = References(lines, records, known), Clean(whole, known)
    for line in lines:
        yield AttackedLine(line, _variants(line, beside, clean, records))


def _variants(line: Line, beside: References, clean: "Clean", records: Records) -> dict[str, Variant]:
    """By name; none where a reference was not attacked alike, a clean twin is missing, or samples cannot be read."""
    trios = [beside.trio(row) for row in line.rows]
    try:
        twins = [(trio, clean.trio(trio)) for trio in trios if trio is not None]
        found = [outcomes(trio, twin, records) for trio, twin in twins if twin is not None]
    except UnlearnbenchError:
        return {}
    if not found or len(found) < len(trios):
        return {}
    return {name: Variant(tuple(each[name] for each in found)) for name in found[0] if all(name in of for of in found)}


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
        task = row.task
        return (
            self._known.method(row),
            replicate(row),
            task.name,
            task.version,
            task.data.fingerprint,
            as_text(task.options),
        )


def _identity(attack: AttackInfo) -> str:
    return as_text([attack.name, attack.version, attack.code, attack.params])


def _settings(attack: AttackInfo, namesakes: Sequence[AttackInfo]) -> str:
    """``NAME=VALUE`` of the parameters that tell an attack from its namesakes."""
    return " ".join(
        f"{name}={value if isinstance(value, str) else as_text(value)}"
        for name, value in attack.params.items()
        if any(as_text(other.params.get(name)) != as_text(value) for other in namesakes)
    )
