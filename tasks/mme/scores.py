"""MME's scores (Fu et al. 2023, arXiv:2306.13394): two questions a picture, 200 points a subtask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from unlearnbench import MetricValue, RecordError
from unlearnbench.metrics.statistics import estimate, resampled, undefined
from unlearnbench.metrics.yes_no import STRICT, YesNoScorer, YesOrNo, parse_strict, truth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Perception = Literal[
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"
]
Cognition = Literal["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"]
Subtask = Literal[Perception, Cognition]
PERCEPTION: tuple[str, ...] = get_args(Perception)
COGNITION: tuple[str, ...] = get_args(Cognition)
SUBTASKS = (*PERCEPTION, *COGNITION)
CELEBRITY = "celebrity"
"""Real people's faces: what unlearning of identities touches on purpose, so scores are given without it too."""


def parse_mme(text: str) -> bool | None:
    """MME's own reading: yes, else no, within the first four characters; None otherwise (``calculation.py``)."""
    head = text.lower()[:4]
    if "yes" in head:
        return True
    return False if "no" in head else None


SCORERS = {"official": YesNoScorer("official", "1", parse_mme), "strict": STRICT}


class MMERecord(TypedDict):
    """One answered question; the two about a picture share their ``question_id``."""

    category: Subtask
    question_id: str
    question: str
    answer: YesOrNo
    prediction: str


@dataclass(frozen=True)
class _Tally:
    """What a subtask's pictures come to: ``totals`` [6] and the same of bootstrap draws [resamples, 6].

    The columns are `_COLUMNS`; pictures are drawn within their subtask.
    """

    totals: NDArray[np.float64]
    draws: NDArray[np.float64]


_COLUMNS = ("right", "questions", "both right", "pictures", "answered yes", "unclear")


def mme(
    records: Iterable[MMERecord], scorer: YesNoScorer = SCORERS["official"], *, seed: int
) -> dict[str, MetricValue]:
    """MME's scores, and what to know beside them.

    ``accuracy`` is over questions, ``accuracy_plus`` over pictures (right where both of its questions are);
    ``SUBTASK.score`` is 100 accuracy + 100 accuracy_plus, ``perception`` the sum over ten subtasks (2000 at most),
    ``cognition`` over four (800), ``total`` over all. The same ``..._without_celebrity``. ``yes_ratio`` is the share
    *answered* yes, ``parse_failure_rate`` the share without a clear yes or no, whichever the scorer.

    Raises RecordError, with the place of the record, where a picture has not two questions.
    """
    tallies = _tallies(records, scorer, seed)
    shown = [name for name in SUBTASKS if name in tallies]
    without = [name for name in shown if name != CELEBRITY]

    def value(how: _Score, names: Sequence[str], what: str, better: bool | None = True) -> MetricValue:
        return _value(how, [tallies[name] for name in names], what, better)

    scores = {
        "accuracy": value(_accuracy, shown, "MME"),
        "accuracy_plus": value(_accuracy_plus, shown, "MME"),
        "perception": value(_points, [name for name in shown if name in PERCEPTION], "perception"),
        "cognition": value(_points, [name for name in shown if name in COGNITION], "cognition"),
        "total": value(_points, shown, "MME"),
        "accuracy_without_celebrity": value(_accuracy, without, "other"),
        "accuracy_plus_without_celebrity": value(_accuracy_plus, without, "other"),
        "perception_without_celebrity": value(_points, [n for n in without if n in PERCEPTION], "other perception"),
        "total_without_celebrity": value(_points, without, "other"),
        "yes_ratio": value(_yes_ratio, shown, "MME", None),
        "parse_failure_rate": value(_unclear, shown, "MME", False),
    }
    for name in shown:
        scores[f"{name}.score"] = value(_points, [name], name)
        scores[f"{name}.accuracy"] = value(_accuracy, [name], name)
        scores[f"{name}.accuracy_plus"] = value(_accuracy_plus, [name], name)
    return scores


def _tallies(records: Iterable[MMERecord], scorer: YesNoScorer, seed: int) -> dict[str, _Tally]:
    import numpy as np

    tables: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)
    for (category, _), answered in _pairs(records).items():
        said = [(scorer.read(each["prediction"]), truth(each["answer"])) for each in answered]
        right = [yes is wanted for yes, wanted in said]
        unclear = sum(parse_strict(each["prediction"]) is None for each in answered)
        row = (sum(right), len(right), all(right), 1, sum(yes is True for yes, _ in said), unclear)
        tables[category].append(tuple(map(int, row)))
    rng = np.random.default_rng(seed)
    tallies = {}
    for category in sorted(tables):  # and rows sorted: the order of records never matters
        table = np.array(sorted(tables[category]), dtype=np.float64)
        tallies[category] = _Tally(table.sum(axis=0), resampled(table, rng))
    return tallies


def _pairs(records: Iterable[MMERecord]) -> dict[tuple[str, str], list[MMERecord]]:
    """(category, question_id) -> the records of a picture."""
    pairs: defaultdict[tuple[str, str], list[MMERecord]] = defaultdict(list)
    places: dict[tuple[str, str], int] = {}
    for place, record in enumerate(records):
        key = str(record["category"]), record["question_id"]
        pairs[key].append(record)
        places.setdefault(key, place)
        if len(pairs[key]) > 2:
            raise RecordError(f"a third question on {key[1]!r} in {key[0]}: MME asks two a picture", place)
    for key, answered in pairs.items():
        if len(answered) < 2:
            raise RecordError(f"only one question on {key[1]!r} in {key[0]}: MME scores pairs, give both", places[key])
    return pairs


_Score = Callable[["list[NDArray[np.float64]]"], "NDArray[np.float64]"]
"""From totals [..., 6] of some subtasks to a number [...]."""


def _value(how: _Score, tallies: Sequence[_Tally], what: str, better: bool | None) -> MetricValue:
    if not tallies:
        return undefined(f"no {what} questions", better)
    questions, pictures = (sum(int(tally.totals[column]) for tally in tallies) for column in (1, 3))
    value = float(how([tally.totals for tally in tallies]))
    return estimate(value, how([tally.draws for tally in tallies]), pictures, n=questions, higher_is_better=better)


def _share(totals: list[NDArray[np.float64]], part: str, whole: str) -> NDArray[np.float64]:
    """One column's sum over subtasks divided by another's."""
    import numpy as np

    summed = np.sum(totals, axis=0)
    share: NDArray[np.float64] = summed[..., _COLUMNS.index(part)] / summed[..., _COLUMNS.index(whole)]
    return share


def _accuracy(totals: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return _share(totals, "right", "questions")


def _accuracy_plus(totals: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return _share(totals, "both right", "pictures")


def _yes_ratio(totals: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return _share(totals, "answered yes", "questions")


def _unclear(totals: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return _share(totals, "unclear", "questions")


def _points(totals: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Subtask scores, 200 at most each, summed."""
    import numpy as np

    points: NDArray[np.float64] = np.sum(
        [100 * _accuracy([each]) + 100 * _accuracy_plus([each]) for each in totals], axis=0
    )
    return points
