"""Attacks as tables: one for each attack in each setting, and one of what all of them brought back."""

from collections.abc import Iterable, Sequence

from ...results.row import Row
from ..columns import Column
from ..comparison import Comparison
from ..facts import Facts
from ..lines import Line
from ..means import Mean
from ..numbers import score
from ..score.columns import Worded
from ..score.references import Records
from .of_lines import AttackedLine, AttackOn, Level, Variant, attacks_on

CLEAN = "As it is"
"""What stands above the shares of the same questions without an attack."""

SUMMARY = "What came back: of each attack the lowest share of forgetting that it leaves, over its variants, and a word"
"""What the numbers of the summary are."""

SHARES = (
    "Attacks: the share of forgetting that is left, by level, between the attacked base (0) and the attacked retrained "
    "model (1); – where these are too close to tell"
)


def attack_tables(rows: Iterable[Row], records: Records, known: Facts | None = None) -> list[Comparison]:
    """One table of what came back for each model, and one for each attack in each setting on it."""
    known = known or Facts()
    found = [each for each in attacks_on([*rows], records, known) if each.variants]
    tables = list[Comparison]()
    for model in dict.fromkeys(each.model for each in found):
        own = [each for each in found if each.model == model]
        tables += [_summary(model, own, known)] if len(own) > 1 else []
        tables += [_table(each) for each in own]
    return tables


def _summary(model: str, found: Sequence[AttackOn], known: Facts) -> Comparison:
    """The lowest share and the word that each attack gives each method."""
    lines: dict[str, Line] = {}
    for on in found:
        for each in on.lines:
            lines.setdefault(known.method(each.line.rows[0]), each.line)
    columns = [_column_of(on, [*lines], known) for on in found]
    return Comparison(model, tuple(lines.values()), tuple(columns), "what came back", (SUMMARY,))


def _column_of(on: AttackOn, methods: Sequence[str], known: Facts) -> Worded:
    by_method = {known.method(each.line.rows[0]): each for each in on.lines if each.variants}
    left = [by_method[name].left if name in by_method else None for name in methods]
    lowest = [None if share is None else share.mean for share in left]
    words = [by_method[name].verdict if name in by_method else None for name in methods]
    shown = [
        "–" if word is None else word if share is None else f"{score(share)} {word}"
        for share, word in zip(lowest, words, strict=True)
    ]
    cells = tuple(None if share is None else Mean(share) for share in lowest)
    return Worded(on.attack.access, on.label, on.label, "higher", cells, words=tuple(shown))


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
