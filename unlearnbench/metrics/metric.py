"""What a metric is: values of single samples, a direction on each set, and the mean of the values over a set."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar, NotRequired

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from ..errors import PluginError
from .direction import FORGET as FORGET
from .direction import Direction, side
from .scorers import Scorer
from .statistics import MetricValue, over_questions


class Prediction(TypedDict):
    """A model's answer to one question: all that the text metrics read."""

    unique_id: str
    question: str
    answer: str
    keywords: list[str]
    prediction: str


class Record(Prediction):
    """One evaluated sample. Log-probabilities are natural logarithms, one an answer token, the end token included."""

    set: str
    id: str
    group: str
    image: NotRequired[str]
    """The picture's path within the data's folder."""
    paraphrased_predictions: list[str]
    logprobs: list[float]
    paraphrased_logprobs: list[float] | None
    perturbed_logprobs: list[list[float]]
    explanation: NotRequired[dict[str, Any]]
    """What an edit of visual tokens did to the picture; of a few samples, and for pictures of it alone."""


class Metric(ABC):
    """A number between 0 and 1 about one sample, and which way is better.

    A metric of knowledge should rise on every set but the forget set; one that measures something else says so in
    ``direction``.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Raise it when the metric computes something else than before: rows of the old one are then not taken for it."""
    reference: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    """Optional keys of a record; where one is missing or empty the metric is undefined."""

    def __init_subclass__(cls, **named: Any) -> None:
        """Refuse what earlier versions asked for: it would be left unread."""
        super().__init_subclass__(**named)
        if "higher_is_better" in vars(cls):
            raise PluginError(
                f"metric {cls.__name__}: higher_is_better(set_name) is now direction(set_name); return 'higher', "
                "'lower', 'retrained' (best near the retrained model) or None"
            )

    def direction(self, set_name: str) -> Direction | None:
        """Which values are best on the set "forget", "nonprivate" or "retain"; None where none are.

        On the forget set "lower" is the way from the base to the retrained model, and best is what is nearest to that.
        """
        return "lower" if set_name == FORGET else "higher"

    def values(self, record: Record, scorer: Scorer) -> list[float | None]:
        """The values of one record, at least one; None where the metric is undefined."""
        if not all(record.get(key) for key in self.requires):
            return [None]
        return _numbers(self.name, self.evaluate(record, scorer))

    @abstractmethod
    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """The values of a record that has all that the metric requires."""


def _numbers(metric: str, found: Any) -> list[float | None]:
    """What a metric's ``evaluate`` returned, as floats; raises `PluginError` for what is no list of numbers."""
    try:
        if isinstance(found, (list, tuple)):
            return [None if value is None else float(value) for value in found]
    except (TypeError, ValueError, RuntimeError):  # the last of a tensor of several numbers
        pass
    raise PluginError(
        f"metric {metric!r}: its evaluate returned {found!r:.60}; return a list of numbers, None where it is undefined"
    )


def measure(metric: Metric, records: Iterable[Record], scorer: Scorer, *, set_name: str, seed: int) -> MetricValue:
    """The metric's mean over the records of one set, with an interval that resamples identities.

    Records that lack what the metric requires do not enter it: ``n`` counts the values that do, ``questions`` the
    records that have any, and where there are none the value is None, with the reason.
    """
    samples = [(each["unique_id"], metric.values(each, scorer)) for each in records if each["set"] == set_name]
    summary = over_questions(samples, seed=seed, higher_is_better=side(metric.direction(set_name)))
    if samples and summary.n == 0 and metric.requires:
        return replace(summary, reason=f"no {set_name} sample has {' and '.join(metric.requires)}")
    return summary
