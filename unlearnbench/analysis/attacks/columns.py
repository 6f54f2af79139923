"""Attacks as tables, one for each attack in each setting: what is left of every level under each of its variants."""

from collections.abc import Iterable, Sequence

from ..columns import Column
from ..comparison import Comparison
from ..means import Mean
from ..score.columns import Worded
from .of_lines import AttackedLine, AttackOn, Level, Variant

CLEAN = "As it is"
"""What stands above the shares of the same questions without an attack."""

SHARES = (
    "Attacks: the share of forgetting that is left, by level, between the attacked base (0) and the attacked retrained "
    "model (1); – where these are too close to tell"
)


def attack_tables(found: Sequence[AttackOn]) -> list[Comparison]:
    """One table for each attack in each setting, those on one model together."""
    models = dict.fromkeys(each.model for each in found)
    return [_table(each) for model in models for each in found if each.model == model and each.variants]


def _table(on: AttackOn) -> Comparison:
    lines = [each for each in on.lines if each.variants]
    levels = [*dict.fromkeys(name for line in lines for of in line.variants.values() for name in of.levels)]
    columns = [_column(CLEAN, f"clean.{name}", name, [_clean(line, name) for line in lines]) for name in levels]
    for variant in on.variants:
        shares = {name: [_share(line, variant, name) for line in lines] for name in levels}
        group = variant or on.attack.name
        columns += [_column(group, f"{variant}.{name}", name, cells) for name, cells in shares.items()]
    words = tuple(each.verdict or "–" for each in lines)
    columns.append(Worded("Attack", "verdict", "Verdict", None, tuple(map(_holds, words)), words=words))
    title = f"attacked by {on.label} ({on.attack.access})"
    return Comparison(on.model, tuple(each.line for each in lines), tuple(columns), title, tuple(_notes(on, lines)))


def _holds(word: str) -> Mean:
    return Mean(float(word == "holds"))


def _column(group: str, name: str, label: str, cells: Sequence[Mean | None]) -> Column:
    return Column(group, name, label.capitalize(), "higher", tuple(cells))


def _level(line: AttackedLine, variant: str, name: str) -> Level | None:
    return line.variants[variant].levels.get(name) if variant in line.variants else None


def _share(line: AttackedLine, variant: str, name: str) -> Mean | None:
    level = _level(line, variant, name)
    return level.share if level else None


def _clean(line: AttackedLine, name: str) -> Mean | None:
    """Of any variant that asks all the victims as they are asked without an attack."""
    found = (level.clean for variant in line.variants if (level := _level(line, variant, name)))
    return next((each for each in found if each is not None), None)


def _notes(on: AttackOn, lines: Sequence[AttackedLine]) -> Iterable[str]:
    """The sentence that explains the numbers, and for each method what the attack cost it and what is odd."""
    yield SHARES
    for line in lines:
        said: dict[str, list[str]] = {}
        for name, variant in line.variants.items():
            if odd := _odd(variant):
                said.setdefault(odd, []).append(name)
        for odd, names in said.items():
            variants = f" ({', '.join(names)})" if any(names) else ""
            yield f"{line.line.method} under {on.label}{variants}: {odd}"


def _odd(variant: Variant) -> str:
    said = []
    if variant.lost:
        said.append(f"lost {', '.join(variant.lost)}")
    if variant.unable:
        said.append(f"too far behind the retrained model in {', '.join(variant.unable)}")
    if below := [name for name, level in variant.levels.items() if level.below]:
        said.append(f"knows less than the retrained model ({', '.join(below)})")
    return "; ".join(said)
