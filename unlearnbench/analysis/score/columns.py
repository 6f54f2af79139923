"""The columns of a score: a level each, the trace, and the word."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..columns import Column
from ..lines import Line
from ..means import Mean
from .of_lines import LineScore, nothing_to_tell, scores
from .references import References

GROUP = "Unlearning"
"""What stands above them."""

ADD_BOTH = "Text, logits, trace and verdict need rows of a model that forgot nothing and of one that was retrained: {}"


UNLIKE = "No score: the retrained model was trained otherwise than the base, so it is no measure for it: {}"

NO_GAP = (
    "No score: the base tells hardly more of the forget set than the retrained model does, by {}: was it memorised?"
)


@dataclass(frozen=True)
class Worded(Column):
    """A column that shows words; its numbers are for programs."""

    words: tuple[str, ...] = ()

    def text(self, line: int, *, interval: bool = False) -> str:
        """The word of a line."""
        return self.words[line]

    def word(self, line: int) -> str:
        """The same."""
        return self.words[line]


def unlearning_columns(lines: Sequence[Line], beside: References) -> list[Column]:
    """A column for each level, for the trace and the verdict; none where no line has a score."""
    found = scores(lines, beside)
    names = dict.fromkeys(name for each in found if each for name in each.levels)
    columns = [
        Column(GROUP, name, name.capitalize(), "higher", tuple(each.levels[name] if each else None for each in found))
        for name in names
    ]
    return [*columns, *_further(found)] if names else []


def _further(found: Sequence[LineScore | None]) -> list[Column]:
    traces = tuple(each.trace if each else None for each in found)
    words = tuple(each.verdict if each else "–" for each in found)
    places = tuple(Mean(float(each.verdict == "erased"), n=_seeds(each)) if each else None for each in found)
    return [
        Column(GROUP, "trace", "Trace", None, traces),
        Worded(GROUP, "verdict", "Verdict", None, places, words=words),
    ]


def _seeds(score: LineScore) -> int:
    """How many replicates a line's word is for."""
    return max(level.n for level in score.levels.values())


def hint(lines: Sequence[Line], columns: Sequence[Column], beside: References) -> str | None:
    """Why the methods of a run have no score, and what to do; None where some have one, or none was asked for one."""
    from ...registry import methods, tasks

    asked = any(
        row.task.name in tasks and tasks.get(row.task.name).scored.levels for line in lines for row in line.rows
    )
    if columns or not asked or not any(line.is_method for line in lines):
        return None
    kinds = [methods.get(name) for name in methods.names()]
    lacking = [
        next(kind.name for kind in kinds if getattr(kind, role))
        for role, has in (("nothing", "is_nothing"), ("ideal", "is_ideal"))
        if any(getattr(kind, role) for kind in kinds) and not any(getattr(line, has) for line in lines)
    ]
    if lacking:
        return ADD_BOTH.format(" ".join(f"--method {name}" for name in lacking))
    return _of_references(lines, beside)


def _of_references(lines: Sequence[Line], beside: References) -> str | None:
    """What is wrong with the references that are there: other seeds, another training, or nothing to forget."""
    rows = [row for line in lines if line.is_method for row in line.rows]
    trios = [trio for row in rows if (trio := beside.trio(row)) is not None]
    if not trios:
        other = {name: None for row in rows for name in beside.trained_otherwise(row)}
        return UNLIKE.format(", ".join(other)) if other else None
    flat = {name: None for trio in trios for name in nothing_to_tell(trio, beside)}
    return NO_GAP.format(", ".join(flat)) if flat else None
