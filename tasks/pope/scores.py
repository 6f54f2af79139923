"""POPE's scores (Li et al. 2023, arXiv:2305.10355): is this object in the picture, over three kinds of absent ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from unlearnbench import MetricValue
from unlearnbench.metrics.statistics import estimate, resampled, undefined
from unlearnbench.metrics.yes_no import STRICT, YesNoScorer, YesOrNo, parse_strict, truth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PopeSplit = Literal["random", "popular", "adversarial"]
SPLITS: tuple[str, ...] = get_args(PopeSplit)
"""How the absent objects that POPE asks for were chosen."""


def parse_pope(text: str) -> bool:
    """POPE's own reading: no where "No", "no" or "not" is a word of the first sentence; else yes, even of nothing."""
    said = text.partition(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"}.intersection(said)


SCORERS = {"official": YesNoScorer("official", "1", parse_pope), "strict": STRICT}


class POPERecord(TypedDict):
    """One answered question; ``image_source`` names the picture."""

    category: PopeSplit
    question_id: str | int
    image_source: str
    question: str
    answer: YesOrNo
    prediction: str


_COLUMNS = ("questions", "right", "rightly yes", "answered yes", "truly yes", "unclear")

_RATIOS: dict[str, tuple[bool | None, str]] = {
    "accuracy": (True, ""),
    "precision": (True, "nothing was answered yes"),
    "recall": (True, "no question has the answer yes"),
    "f1": (True, "no question has the answer yes, and none was answered yes"),
    "yes_ratio": (None, ""),
    "parse_failure_rate": (False, ""),
}
"""The scores, which way is better, and why one can be undefined."""


def pope(
    records: Iterable[POPERecord], scorer: YesNoScorer = SCORERS["official"], *, seed: int
) -> dict[str, MetricValue]:
    """POPE's scores: ``SPLIT.NAME`` of each split, and ``NAME``, their mean over the splits that there are.

    Yes is the positive class of ``precision``, ``recall`` and ``f1``; an answer that is neither yes nor no (strict
    scorer) is a miss where yes was right. ``yes_ratio`` is the share *answered* yes, ``parse_failure_rate`` the share
    without a clear yes or no, whichever the scorer. Intervals resample pictures, which the splits share.
    """
    import numpy as np

    pictures: dict[str, list[list[int]]] = {}
    for record in records:
        said, wanted = scorer.read(record["prediction"]), truth(record["answer"])
        unclear = parse_strict(record["prediction"]) is None
        table = pictures.setdefault(record["image_source"], [[0] * len(_COLUMNS) for _ in SPLITS])
        counts = table[SPLITS.index(record["category"])]
        marks = (True, said is wanted, said is True and wanted, said is True, wanted, unclear)
        for column, mark in enumerate(marks):
            counts[column] += mark
    rows = np.array(sorted(pictures.values()), dtype=np.float64).reshape(-1, len(SPLITS) * len(_COLUMNS))
    totals = rows.sum(axis=0).reshape(len(SPLITS), -1)
    present = [place for place in range(len(SPLITS)) if totals[place, 0]]
    if not present:
        return {name: undefined("no samples", better) for name, (better, _) in _RATIOS.items()}
    draws = resampled(rows, np.random.default_rng(seed)).reshape(-1, len(SPLITS), len(_COLUMNS))
    scores = _scores(totals[present], draws[:, present], len(pictures))
    for place in present:
        of_split = _scores(totals[[place]], draws[:, [place]], len(pictures))
        scores |= {f"{SPLITS[place]}.{name}": value for name, value in of_split.items()}
    return scores


def _scores(totals: NDArray[np.float64], draws: NDArray[np.float64], pictures: int) -> dict[str, MetricValue]:
    """Means over splits of each ratio; ``totals`` [splits, 6], ``draws`` [resamples, splits, 6]."""
    values, drawn = _ratios(totals), _ratios(draws)
    n = int(totals[:, 0].sum())
    scores = {}
    for name, (better, why) in _RATIOS.items():
        value = math.fsum(values[name]) / len(values[name])
        if math.isnan(value):
            scores[name] = undefined(why, better, n=n)
        else:
            scores[name] = estimate(value, drawn[name].mean(axis=-1), pictures, n=n, higher_is_better=better)
    return scores


def _ratios(totals: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Each ratio [...] of totals [..., 6]; NaN where it is undefined."""
    import numpy as np

    questions, right, rightly, yes, truly, unclear = np.moveaxis(totals, -1, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, which is what is meant
        return {
            "accuracy": right / questions,
            "precision": rightly / yes,
            "recall": rightly / truly,
            "f1": 2 * rightly / (yes + truly),
            "yes_ratio": yes / questions,
            "parse_failure_rate": unclear / questions,
        }
