"""What pages show of attacks: a table a model, and of each method a sentence, a table and pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...analysis.attacks.of_lines import AttackedLine, AttackOn
from ...analysis.attacks.over_seeds import Variant
from ...analysis.attacks.sentence import sentence, tried
from ...analysis.attacks.verdict import WORDS
from ...analysis.comparison import Comparison
from ...analysis.means import Mean
from ...errors import UnlearnbenchError
from ...results.row import Row
from ..standings import Standing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Records = Callable[[Row], Sequence[Any]]


@dataclass(frozen=True)
class Drawing:
    """How attacks are shown, which the pages share with reports: tables, and figures with their names.

    ``rocs`` may ask for the samples of a row.
    """

    tables: Callable[[Sequence[AttackOn]], Sequence[Comparison]]
    curves: "Callable[[Sequence[AttackOn]], Iterator[tuple[str, Figure]]]"
    rocs: "Callable[[Sequence[AttackOn], Records], Iterator[tuple[str, Figure]]]"


@dataclass(frozen=True)
class AttackTold:
    """An attack on a method as its page tells it: shares that are left by level, and a word with its meaning."""

    attack: str
    access: str
    left: Mapping[str, Mean | None]
    before: Mapping[str, Mean | None]
    word: str
    meaning: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class AttackShown:
    """What a method's page says of attacks; pictures are names of files with what they show."""

    sentence: str
    told: tuple[AttackTold, ...]
    pictures: tuple[tuple[str, str], ...]


def shown(
    attacks: Sequence[AttackOn], standing: Standing, drawing: Drawing | None, records: Records, folder: Path
) -> AttackShown:
    """Everything of one method, its pictures written to ``folder``."""
    own = [
        (replace(on, lines=(line,)), line)
        for on in attacks
        for line in on.lines
        if line.line.method == standing.line.method and line.line.facts == standing.line.facts
    ]
    found = tuple(_told(on, line) for on, line in own)
    alone = [on for on, _ in own]
    figures: list[tuple[str, Figure]] = []
    if drawing and standing.line.is_method:
        figures = [*drawing.curves(alone), *drawing.rocs(alone, _kind_to_damage(records))]
    pictures = tuple(_written(figure, folder) for _, figure in figures)
    about = [f"{standing.line.method} under {', '.join(on.label for on in alone)}: {name}" for name, _ in figures]
    return AttackShown(sentence([tried(on, line) for on, line in own]), found, tuple(zip(pictures, about, strict=True)))


def _kind_to_damage(records: Records) -> Records:
    """The samples of a row, or none where they cannot be had: a page is written without that picture."""

    def read(row: Row) -> Sequence[Any]:
        try:
            return records(row)
        except UnlearnbenchError:
            return []

    return read


def _written(figure: "Figure", folder: Path) -> str:
    """The name of the picture's file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{len([*folder.iterdir()])}.png"
    figure.savefig(folder / name, dpi=110, metadata={"Software": None})
    return name


def _told(on: AttackOn, line: AttackedLine) -> AttackTold:
    worst = line.worst
    levels = worst.levels if worst else {}
    word = line.verdict
    return AttackTold(
        on.label,
        on.attack.access,
        {name: level.share for name, level in levels.items()},
        {name: level.clean for name, level in levels.items()},
        word or "–",
        WORDS[word] if word else "it could not be compared",
        (*(_remarks(worst) if worst else ()), *line.why),
    )


def _remarks(worst: Variant) -> Iterator[str]:
    """What the attack cost, and what keeps it from telling anything."""
    if worst.lost:
        yield f"lost {', '.join(worst.lost)}"
    if worst.lost_before:
        yield f"had lost {', '.join(worst.lost_before)} without the attack"
    if worst.unable:
        yield f"too far behind the retrained model in {', '.join(worst.unable)}"
    if below := [name for name, level in worst.levels.items() if level.below]:
        yield f"knows less than the retrained model ({', '.join(below)})"
