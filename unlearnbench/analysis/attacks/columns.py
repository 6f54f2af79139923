"""Attacks as tables: one for each attack in each setting, and one of what all of them brought back."""

from collections.abc import Iterable, Iterator, Sequence

from ...results.row import Row
from ..columns import Column
from ..comparison import Comparison
from ..facts import Facts
from ..lines import Line
from ..means import Mean
from ..numbers import score
from ..score.columns import Worded
from ..score.references import Records
from .accesses import Key, all_of, by_access, key_of
from .costs import FEWEST
from .of_lines import AttackedLine, AttackOn, attacks_on
from .over_seeds import Variant
from .verdict import AttackVerdict

CLEAN = "As it is"
"""What stands above the shares of the same questions without an attack."""

WORST = "Worst case"
"""What stands above the shares of what tells most of every person over the variants, of all models alike."""

SUMMARY = (
    "What came back: of each attack, and of all with one access, the share of forgetting that the worst case leaves, "
    "and a word"
)
"""What the numbers of the summary are."""

SHARES = (
    "Attacks: the share of forgetting that is left, by level, between the attacked base (0) and the attacked retrained "
    "model (1); – where these are too close to tell"
)


def attack_tables(rows: Iterable[Row], records: Records, known: Facts | None = None) -> list[Comparison]:
    """One table of what came back for each model, and one for each attack in each setting on it.

    What is left out of a table stands below it; of an attack that has none, `of_lines.left_out` tells why.
    """
    known = known or Facts()
    found = [each for each in attacks_on([*rows], records, known) if each.told]
    tables = list[Comparison]()
    for model in dict.fromkeys(each.model for each in found):
        own = [each for each in found if each.model == model]
        tables += [_summary(model, own, known)] if len(own) > 1 else []
        tables += [_table(each) for each in own]
    return tables


Said = tuple[float | None, str]
"""A share, and a word."""


def _summary(model: str, found: Sequence[AttackOn], known: Facts) -> Comparison:
    """The share that each attack leaves each method, and the word; the same of all attacks that need one access."""
    lines: dict[Key, Line] = {}
    for on in found:
        for each in on.told:
            lines.setdefault(key_of(each.line, known), each.line)
    columns = []
    for access, of in by_access(found).items():
        for on in of:
            told = {key_of(each.line, known): _said(each.worst, each.verdict) for each in on.told}
            columns.append(_column_of(access, on.label, on.label, [told.get(key) for key in lines]))
        if every := {key: _said(each, each.verdict) for key, each in all_of(of, known).items()}:
            columns.append(_column_of(access, f"all {access}", "all", [every.get(key) for key in lines]))
    return Comparison(model, tuple(lines.values()), tuple(columns), "what came back", (SUMMARY,))


def _said(case: Variant | None, word: AttackVerdict | None) -> Said:
    return _lowest(case) if case else None, word or "–"


def _column_of(group: str, name: str, label: str, cells: Sequence[Said | None]) -> Worded:
    told = [each or (None, "–") for each in cells]
    shown = tuple(word if share is None else f"{score(share)} {word}" for share, word in told)
    numbers = tuple(None if share is None else Mean(share) for share, _ in told)
    return Worded(group, name, label, "higher", numbers, words=shown)


def _lowest(case: Variant) -> float | None:
    """Of all levels; None where nobody can tell."""
    found = [level.share.mean for level in case.levels.values() if level.share]
    return min((share for share in found if share is not None), default=None)


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
    if line.worst and line.worst.lost_before:
        yield f"had lost {', '.join(line.worst.lost_before)} without the attack"
    if line.worst and line.worst.has_twins and not line.worst.judged:
        yield f"fewer than {FEWEST} questions tell what was kept: where nothing comes back, nothing follows"
