"""What stands beneath tables: what a reader of means, intervals and marks must know."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..metrics.direction import best_near_retrained
from .columns import Column
from .comparison import Comparison
from .facts import printable


def legend(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What a reader of means and intervals must know."""
    yield from noted(comparisons)
    lines = [line for comparison in comparisons for line in comparison.lines]
    if any(line.replicates > 1 for line in lines):
        yield (
            "×N: mean over N seeds, each with a base of its own unless a number of bases is given; "
            "±: half of its 95% interval (Student's t)"
        )
    yield from _of_best([column for comparison in comparisons for column in comparison.columns])
    yield from coverage(comparisons)
    if any(line.bases is not None and line.bases < line.replicates for line in lines):
        yield (
            "Several seeds rest on one base: the variation that training the base brings is not in the intervals "
            "(arXiv:2510.26714)"
        )
    if fewer := [*_on_fewer_seeds(comparisons)]:
        yield f"On fewer seeds than the line says, as some cells have no result: {', '.join(fewer)}"


def noted(comparisons: Sequence[Comparison]) -> list[str]:
    """What must be known of single comparisons, each once."""
    return [*dict.fromkeys(note for comparison in comparisons for note in comparison.notes)]


def _on_fewer_seeds(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """The groups of scores of a line in which a seed is missing."""
    for comparison in comparisons:
        model = f"{printable(comparison.title)} " if len(comparisons) > 1 else ""
        for place, line in enumerate(comparison.lines):
            seeds = {
                column.group: cell.n
                for column in comparison.columns
                if not column.is_cost and (cell := column.cells[place]) is not None and cell.n < line.replicates
            }
            for group, n in seeds.items():
                yield f"{model}{comparison.label(line)} {group} ({n})"


def _of_best(columns: Sequence[Column]) -> Iterator[str]:
    if any(column.best for column in columns):
        yield (
            "Best of the methods on the same people and questions in bold; references (pretrained, base and retrained "
            "models) do not compete, and no mean whose interval spans more than half of the scale"
        )
    near = [column for column in columns if best_near_retrained(column.name, column.direction)]
    if near:
        yield "On the forget set and where it says ≈, best is nearest to the retrained model; without one, nothing is"


def coverage(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """The scores that rest on fewer questions than their set has."""
    for comparison in comparisons:
        model = f"{printable(comparison.title)} " if len(comparisons) > 1 else ""
        for column in comparison.columns:
            found: dict[tuple[int, int], list[str]] = defaultdict(list)
            for place, line in enumerate(comparison.lines):
                if column.cells[place] is not None and (counts := line.coverage(column.name)):
                    found[counts].append(comparison.label(line))
            scored = sum(cell is not None for cell in column.cells)
            for (some, of), labels in found.items():
                whose = "" if len(labels) == scored else f" ({', '.join(labels)})"
                yield f"{model}{column.group} {column.label} rests on {some} of {of} questions{whose}"
