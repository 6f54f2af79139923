"""Yes/no answers, read and scored as MME (arXiv:2306.13394) and POPE (arXiv:2305.10355) do in their own scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from ..errors import DataError
from .statistics import MetricValue, estimate, resampled, summarise, undefined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COGNITION = frozenset({"commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"})
"""The kinds of MME question that are about cognition; all others are about perception."""


class YesNoRecord(TypedDict):
    """One answered question. ``kind`` is MME's category or POPE's split; ``image`` names the picture."""

    id: str
    kind: str
    image: str
    answer: bool
    prediction: str


def parse_mme(text: str) -> bool | None:
    """MME's own reading: yes, else no, within the first four characters; None, which counts as wrong, otherwise."""
    head = text.lower()[:4]
    if "yes" in head:
        return True
    return False if "no" in head else None


def parse_pope(text: str) -> bool:
    """POPE's own reading: no where "No", "no" or "not" is a word of the first sentence; else yes, even of nothing."""
    words = text.partition(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"}.intersection(words)


def mme(records: Iterable[YesNoRecord], *, seed: int) -> dict[str, MetricValue]:
    """MME's scores: accuracy, accuracy_plus, perception and cognition.

    ``accuracy`` is over questions, ``accuracy_plus`` over pictures (right where all questions about one are, within a
    kind); ``perception`` and ``cognition`` sum 100 accuracy + 100 accuracy_plus over their kinds: 200 a kind at most.
    Raises DataError where a picture lacks the second question of its pair.
    """
    pictures = _pictures(records)
    asked = [(right, f"{kind}/{image}") for (kind, image), answers in pictures.items() for right in answers]
    whole = [(all(answers), f"{kind}/{image}") for (kind, image), answers in pictures.items()]
    return {
        "accuracy": _share(asked, seed),
        "accuracy_plus": _share(whole, seed),
        "perception": _mme_score(pictures, lambda kind: kind not in COGNITION, "perception", seed),
        "cognition": _mme_score(pictures, lambda kind: kind in COGNITION, "cognition", seed),
    }


def pope(records: Iterable[YesNoRecord], *, seed: int) -> dict[str, MetricValue]:
    """POPE's accuracy, F1 of yes, and yes_ratio: the share *answered* yes.

    ``accuracy``, ``f1`` and ``yes_ratio`` are over all questions together; ``SPLIT.accuracy`` and so on over one split.
    """
    splits: defaultdict[str, list[YesNoRecord]] = defaultdict(list)
    for record in records:
        splits[record["kind"]].append(record)
    scores = _pope_scores([record for split in splits.values() for record in split], seed)
    for name in sorted(splits):
        scores |= {f"{name}.{metric}": value for metric, value in _pope_scores(splits[name], seed).items()}
    return scores


Pictures = dict[tuple[str, str], list[bool]]
"""(kind, image) -> whether each question about the picture was answered rightly."""


def _pictures(records: Iterable[YesNoRecord]) -> Pictures:
    pictures: Pictures = {}
    for record in records:
        right = parse_mme(record["prediction"]) is record["answer"]
        pictures.setdefault((record["kind"], record["image"]), []).append(right)
    for (kind, image), answers in pictures.items():
        if len(answers) < 2:
            raise DataError(f"MME picture {image!r} of kind {kind!r} has one question: give both of its pair")
    return pictures


def _share(marks: Sequence[tuple[bool, str]], seed: int, *, higher_is_better: bool | None = True) -> MetricValue:
    values, images = [float(mark) for mark, _ in marks], [image for _, image in marks]
    return summarise(values, clusters=images, seed=seed, higher_is_better=higher_is_better)


def _mme_score(pictures: Pictures, belongs: Callable[[str], bool], name: str, seed: int) -> MetricValue:
    import numpy as np

    kinds: defaultdict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for (kind, _), answers in pictures.items():
        if belongs(kind):
            kinds[kind].append((sum(answers), len(answers), all(answers), 1))
    if not kinds:
        return undefined(f"no {name} questions", higher_is_better=True)
    tables = [np.array(sorted(kinds[kind]), dtype=np.float64) for kind in sorted(kinds)]
    rng = np.random.default_rng(seed)
    value = sum(float(_kind_score(table.sum(axis=0))) for table in tables)
    draws = np.sum([_kind_score(resampled(table, rng)) for table in tables], axis=0)
    n = sum(int(table[:, 1].sum()) for table in tables)
    return estimate(value, draws, sum(map(len, tables)), n=n, higher_is_better=True)


def _kind_score(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score [...], out of 200, of totals [..., 4]: right answers, questions, pictures all right, pictures."""
    import numpy as np

    right, questions, whole, pictures = np.moveaxis(totals, -1, 0)
    return np.asarray(100 * right / questions + 100 * whole / pictures)


def _pope_scores(records: Sequence[YesNoRecord], seed: int) -> dict[str, MetricValue]:
    said = [(parse_pope(record["prediction"]), record["answer"], record["image"]) for record in records]
    return {
        "accuracy": _share([(yes is truth, image) for yes, truth, image in said], seed),
        "f1": _f1(said, seed),
        "yes_ratio": _share([(yes, image) for yes, _, image in said], seed, higher_is_better=None),
    }


def _f1(said: Sequence[tuple[bool, bool, str]], seed: int) -> MetricValue:
    """F1 of yes, 2 TP / (2 TP + FP + FN); of (answered, truth, image)."""
    import numpy as np

    images: dict[str, list[int]] = {}
    for yes, truth, image in said:
        row = images.setdefault(image, [0, 0])
        row[0] += 2 * (yes and truth)
        row[1] += yes + truth
    table = np.array(sorted(images.values()), dtype=np.float64).reshape(-1, 2)
    twice_right, either = table.sum(axis=0)
    if not either:
        reason = "no question has the answer yes, and none was answered yes" if said else "no samples"
        return undefined(reason, higher_is_better=True, n=len(said))
    totals = resampled(table, np.random.default_rng(seed))
    draws = np.divide(totals[:, 0], totals[:, 1], out=np.full(len(totals), np.nan), where=totals[:, 1] > 0)
    return estimate(float(twice_right / either), draws, len(table), n=len(said), higher_is_better=True)
