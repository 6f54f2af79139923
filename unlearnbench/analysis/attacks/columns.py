"""Attacks as tables, one for each attack in each setting: what is left of every level under each of its variants."""

from collections.abc import Iterator, Sequence

from ...results.row import Row
from ..columns import Column
from ..comparison import Comparison
from ..means import Mean
from ..score.columns import Worded
from .costs import FEWEST
from .of_lines import AttackedLine, AttackOn
from .over_seeds import Variant

CLEAN = "As it is"
"""What stands above the shares of the same questions without an attack."""

WORST = "Worst case"
"""What stands above the shares of what tells most of every person over the variants, of all models alike."""

SHARES = (
    "Attacks: the share of forgetting that is left, by level, between the attacked base (0) and the attacked retrained "
    "model (1); – where these are too close to tell"
)


def attack_tables(found: Sequence[AttackOn]) -> list[Comparison]:
    """One table for each attack in each setting, those on one model together.

    What is left out of a table stands below it; of an attack that has none, `of_lines.left_out` tells why.
    """
    models = dict.fromkeys(each.model for each in found)
    return [_table(each) for model in models for each in found if each.model == model and each.told]


def _table(on: AttackOn) -> Comparison:
    lines = on.told
    levels = [*dict.fromkeys(name for line in lines for of in line.variants.values() for name in of.levels)]
    columns = [_column(CLEAN, f"clean.{name}", name, [_clean(line, name) for line in lines]) for name in levels]
    for variant in on.variants:
        shares = {name: [_share(line.variants.get(variant), name) for line in lines] for name in levels}
        group = variant or on.attack.name
        columns += [_column(group, f"{variant}.{name}", name, cells) for name, cells in shares.items()]
    if any(len(line.parts[0]) > 1 for line in lines if line.variants):
        worst = {name: [_share(line.worst, name) for line in lines] for name in levels}
        columns += [_column(WORST, f"worst.{name}", name, cells) for name, cells in worst.items()]
    words = tuple(each.verdict or "–" for each in lines)
    columns.append(Worded("Attack", "verdict", "Verdict", None, tuple(map(_holds, words)), words=words))
    title = f"attacked by {on.label} ({on.attack.access})"
    return Comparison(on.model, tuple(each.line for each in lines), tuple(columns), title, tuple(_notes(on)))


def _holds(word: str) -> Mean:
    return Mean(float(word == "holds"))


def _column(group: str, name: str, label: str, cells: Sequence[Mean | None]) -> Column:
    return Column(group, name, label.capitalize(), "higher", tuple(cells))


def _share(case: Variant | None, name: str) -> Mean | None:
    level = case.levels.get(name) if case else None
    return level.share if level else None


def _clean(line: AttackedLine, name: str) -> Mean | None:
    level = line.worst.levels.get(name) if line.worst else None
    return level.clean if level else None


def _notes(on: AttackOn) -> Iterator[str]:
    """The sentence that explains the numbers; of each method what the attack cost it, what is odd, and left out."""
    yield SHARES
    for line in on.lines:
        said: dict[str, list[str]] = {}
        for name, variant in line.variants.items():
            if odd := _odd(variant):
                said.setdefault(odd, []).append(name)
        for odd, names in said.items():
            variants = f" ({', '.join(names)})" if any(names) else ""
            yield f"{line.line.method} under {on.label}{variants}: {odd}"
        yield from (f"{line.line.method} under {on.label}: {why}" for why in (*_of_all(line), *line.why))


def _odd(variant: Variant) -> str:
    said = []
    if variant.lost:
        said.append(f"lost {', '.join(variant.lost)}")
    if variant.unable:
        said.append(f"too far behind the retrained model in {', '.join(variant.unable)}")
    if below := [name for name, level in variant.levels.items() if level.below]:
        said.append(f"knows less than the retrained model ({', '.join(below)})")
    return "; ".join(said)


def _of_all(line: AttackedLine) -> Iterator[str]:
    """What is odd of a method whatever the variant."""
    if all(_is_base(row) for row in line.line.rows):
        yield "without its guard it is the base: a share of 0 is its definition, and no finding"
    if line.worst and line.worst.lost_before:
        yield f"had lost {', '.join(line.worst.lost_before)} without the attack"
    if line.worst and line.worst.has_twins and not line.worst.judged:
        yield f"fewer than {FEWEST} questions tell what was kept: where nothing comes back, nothing follows"


def _is_base(row: Row) -> bool:
    """Whether all that a method did was left out of the model that was attacked."""
    methods = (row.method, row.method.continues) if row.method.continues else (row.method,)
    off = row.attack is not None and row.attack.params.get("guard") == "off"
    return off and all(each.frozen_weights for each in methods)
