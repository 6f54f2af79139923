"""What a metric is: values of single records, and a direction on each set. Any task's records will do.

A task says how its records look to a metric, and over which sets metrics are taken (`Task.views`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NotRequired, cast

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from ..errors import PluginError

if TYPE_CHECKING:
    from ..metrics.scorers import Scorer

Direction = Literal["higher", "lower", "retrained"]
"""More is better, less is, or the value of a model that was retrained without the forget set."""

FORGET: Final = "forget"
"""The set of what is to be forgotten: to know less of it than a retrained model is no merit."""

FORGOTTEN: Final = frozenset({FORGET, "other_view"})
"""That set, and its questions on pictures that nobody trained on: on both, to know less is the way to go."""


class Record(TypedDict):
    """One evaluated sample as metrics read it, whatever the task; a task may add keys of its own.

    Log-probabilities are natural logarithms, one an answer token, the end token included.
    """

    id: str
    set: str
    """The set over which the metric is taken."""
    cluster: str
    """What the sample is not independent of, a person for instance: intervals resample clusters."""
    question: NotRequired[str]
    answer: NotRequired[str]
    """The true answer."""
    prediction: NotRequired[str]
    keywords: NotRequired[list[str]]
    """What of the answer must be said."""
    paraphrased_predictions: NotRequired[list[str]]
    """What the model says when the question is put in other words."""
    logprobs: NotRequired[list[float]]
    """Those of the true answer."""
    value_logprobs: NotRequired[list[float] | None]
    """Those of its tokens that hold a keyword: of the fact, without the sentence around it."""
    paraphrased_logprobs: NotRequired[list[float] | None]
    """Those of the true answer in other words."""
    perturbed_logprobs: NotRequired[list[list[float]]]
    """Those of false answers."""
    option_logprobs: NotRequired[list[list[float]]]
    """Those of the answers that a multiple-choice question offers, in its order."""
    right_option: NotRequired[int]
    """The place of the true one among them, from 0."""


def record_of(stored: Mapping[str, Any], set_name: str, cluster: object) -> Record:
    """What a task keeps of a sample as metrics read it, as of that set and cluster."""
    return cast("Record", {"id": "", **stored, "set": set_name, "cluster": str(cluster)})


class Metric(ABC):
    """A number between 0 and 1 about one sample, and which way is better.

    A metric of knowledge should rise on every set but the forget set; one that measures something else says so in
    ``direction``. Subclasses are named by ``@metric`` or by the class attribute ``name``, which is then also the name
    of their entry point in the group ``unlearnbench.metrics``.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Raise it when the metric computes something else than before: rows of the old one are then not taken for it."""
    reference: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    """Keys of a record without which, or with nothing in which (None, an empty list), the metric is undefined."""

    def __init_subclass__(cls, **named: Any) -> None:
        """Refuse what earlier versions asked for: it would be left unread."""
        super().__init_subclass__(**named)
        if "higher_is_better" in vars(cls):
            raise PluginError(
                f"metric {cls.__name__}: higher_is_better(set_name) is now direction(set_name); return 'higher', "
                "'lower', 'retrained' (best near the retrained model) or None"
            )

    def direction(self, set_name: str) -> Direction | None:
        """Which values are best on a set, such as "forget" or "retain"; None where none are.

        On the forget set "lower" is the way from the base to the retrained model, and best is what is nearest to that.
        """
        return "lower" if set_name in FORGOTTEN else "higher"

    def fitted(self, records: "Sequence[Record]") -> "Metric":
        """The metric for an evaluation that consists of these records, of all sets; by default it judges each alone.

        One that compares a record with the others returns a metric that has read them: what is the same for every
        model, such as questions and answers, and never what the model made of them.
        """
        return self

    def applies(self, record: Record) -> bool:
        """Whether a record has all that the metric requires."""
        return all(record.get(key) not in (None, [], ()) for key in self.requires)

    def values(self, record: Record, scorer: "Scorer") -> list[float | None]:
        """The values of one record, at least one; None where the metric is undefined."""
        if not self.applies(record):
            return [None]
        try:
            found = self.evaluate(record, scorer)
        except KeyError as error:
            raise PluginError(
                f"metric {self.name!r} reads record[{error}], which a record of the set {record['set']!r} lacks; name "
                "it in the metric's requires, which leaves such records out"
            ) from error
        return _numbers(self.name, found)

    @abstractmethod
    def evaluate(self, record: Record, scorer: "Scorer") -> list[float | None]:
        """The values of a record that has all that the metric requires; ``scorer`` says how the task reads text."""


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
