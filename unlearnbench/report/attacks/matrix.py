"""What came back of every method under every attack: a table a model, narrow enough for one page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from ...analysis.attacks.accesses import all_of, by_access, key_of
from ...analysis.attacks.of_lines import AttackOn, left_out
from ...analysis.attacks.sentence import Tried, sentence, tried
from ...analysis.attacks.verdict import AttackVerdict
from ...analysis.columns import Column
from ...analysis.comparison import Comparison
from ...analysis.facts import Facts
from ...analysis.lines import Line
from ...analysis.means import Mean
from ...contracts.attack import Access

LETTERS: Final[dict[AttackVerdict, str]] = {
    "holds": "h", "comes back": "c", "leaks": "l", "broken": "b", "inconclusive": "i", "cannot tell": "?",
}  # fmt: skip
"""What stands for the words, which are too long for so many columns."""

ABOUT = (
    "What came back: of each attack the share of forgetting that it leaves, where doing nothing leaves 0 and "
    f"retraining 1, and a letter: {', '.join(f'{letter} {word}' for word, letter in LETTERS.items())}"
)
"""What a cell is."""

TOGETHER = (
    "All attacks together: by access, of every person what tells most under any of the attacks, of the base and the "
    "retrained model alike"
)
"""What a cell of the table by accesses is."""

UNKNOWN = "–"
"""What stands where nothing could be compared."""


@dataclass(frozen=True)
class Left(Column):
    """The shares that an attack leaves of every method, each with a letter; ``words`` are those that they stand for."""

    words: tuple[AttackVerdict | None, ...] = ()
    intervals: bool = False

    @property
    def arrow(self) -> str:
        """None: what the numbers mean stands below."""
        return ""

    @property
    def head(self) -> str:
        """The attack alone, as many have to stand beside each other."""
        return self.label

    def text(self, line: int, *, interval: bool = False) -> str:
        """The share to two digits, its interval only where it was asked for, and the letter."""
        word, share = self.words[line], self.cells[line]
        if word is None:
            return UNKNOWN
        parts = [] if share is None or share.mean is None else [_short(share.mean)]
        if self.intervals and parts and share is not None and share.half_width is not None:
            parts.append(f"± {_short(share.half_width)}")
        return " ".join([*parts, LETTERS[word]])

    def word(self, line: int) -> str:
        """In full."""
        return self.words[line] or ""


def matrices(attacks: Sequence[AttackOn], known: Facts, *, intervals: bool = False) -> list[Comparison]:
    """A table for each model, with a sentence on each of its methods, and why anything is left out."""
    return [
        _matrix(model, [on for on in attacks if on.model == model], known, intervals)
        for model in dict.fromkeys(on.model for on in attacks)
    ]


def _matrix(model: str, attacks: Sequence[AttackOn], known: Facts, intervals: bool) -> Comparison:
    ordered = sorted(attacks, key=lambda on: get_args(Access).index(on.attack.access))
    lines: dict[str, Line] = {}
    found: dict[str, dict[str, Tried]] = {}
    for on in ordered:
        for each in on.lines:
            method = known.method(each.line.rows[0])
            lines.setdefault(method, each.line)
            found.setdefault(method, {})[on.label] = tried(on, each)
    columns = tuple(_column(on, [of.get(on.label) for of in found.values()], intervals) for on in ordered)
    notes = (ABOUT, _accesses(ordered), *left_out(ordered))
    table = Comparison(model, tuple(lines.values()), columns, "what came back", notes)
    said = (_said(table, line, [*found[method].values()]) for method, line in lines.items() if line.is_method)
    return Comparison(table.model, table.lines, columns, table.task, table.notes, tuple(said))


def together(attacks: Sequence[AttackOn], known: Facts, *, intervals: bool = False) -> list[Comparison]:
    """A table for each model on which there are several attacks with one access: what all of them brought back."""
    tables = []
    for model in dict.fromkeys(on.model for on in attacks):
        own = [on for on in attacks if on.model == model]
        lines = {key_of(each.line, known): each.line for on in own for each in on.lines}
        columns = []
        for access, of in by_access(own).items():
            if told := {key: Tried(access, access, each.verdict, each.left) for key, each in all_of(of, known).items()}:
                columns.append(_of_tried(access, access, [told.get(key) for key in lines], intervals))
        if columns:
            tables.append(Comparison(model, tuple(lines.values()), tuple(columns), "all attacks together", (TOGETHER,)))
    return tables


def _column(on: AttackOn, cells: Sequence[Tried | None], intervals: bool) -> Left:
    return _of_tried(on.attack.access, on.label, cells, intervals)


def _of_tried(access: str, label: str, cells: Sequence[Tried | None], intervals: bool) -> Left:
    shares: tuple[Mean | None, ...] = tuple(each.left if each else None for each in cells)
    words = tuple(each.word if each else None for each in cells)
    return Left(access, label, label, "higher", shares, words=words, intervals=intervals)


def _said(table: Comparison, line: Line, found: Sequence[Tried]) -> str:
    """The sentence on a method, and which it is of."""
    return f"{table.label(line)}: {sentence(found)}"


def _accesses(attacks: Sequence[AttackOn]) -> str:
    """What whoever attacks has a hand on."""
    return f"By access: {', '.join(_by_access(attacks))}"


def _by_access(attacks: Sequence[AttackOn]) -> Iterator[str]:
    for access in dict.fromkeys(on.attack.access for on in attacks):
        yield f"{access} ({', '.join(on.label for on in attacks if on.attack.access == access)})"


def _short(value: float) -> str:
    """Two digits without the zero before them, where any is not zero: .53, -.02, 1, 0."""
    text = f"{value:.2f}".removesuffix(".00")
    return re.sub(r"^(-?)0\.", r"\1.", text).replace("-0", "0")
