"""What evaluates: a task's data, its questions, and what it found."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..errors import PluginError, UsageError
from .metric import Record, record_of
from .params import Params
from .scored import Scored

if TYPE_CHECKING:
    from ..contracts.sample import Sets
    from ..data.hub import HubDataset
    from ..data.source import Location
    from ..metrics.statistics import MetricValue
    from ..models.contract.vlm import VLM
    from ..results.row import Split
    from ..runtime.run import Run


@dataclass(frozen=True)
class Headline:
    """A column of tables: ``metric`` is its full name, ``group`` and ``label`` are what stands above the numbers."""

    group: str
    metric: str
    label: str


class TaskData(Protocol):
    """What the engine must know of what `Task.load` returns."""

    @property
    def fingerprint(self) -> str:
        """A digest of the content: equal data, equal fingerprint."""

    @property
    def location(self) -> "Location":
        """Where the data came from."""

    @property
    def split(self) -> "Split | None":
        """How the data are divided, made by `unlearnbench.Split.made`; None where they are not.

        What a user should know of the data before anything is computed may stand in ``notices``, lines of text.
        """


@dataclass(frozen=True)
class Evaluation:
    """What a task found: one JSON-able record a sample, raw output included, and metrics computed from them alone."""

    records: list[dict[str, Any]]
    metrics: dict[str, "MetricValue"]
    facts: dict[str, Any] = field(default_factory=dict)
    """What a reader of the scores must know: how many questions were asked of how many, say."""
    baselines: dict[str, dict[str, "MetricValue"]] = field(default_factory=dict)
    """The same metrics of what needs no model, saying always yes for instance, by its name."""


@dataclass(frozen=True)
class SummaryTable:
    """A table of counts: columns after the ``left`` first ones are of numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True)
class Summary:
    """What is in a folder of data: JSON-able ``counts``, and the same for readers, with ``warnings`` of a line each."""

    counts: dict[str, Any]
    tables: tuple[SummaryTable, ...] = ()
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


EXAMPLE = ("set", "id", "image", "question", "answer", "prediction")
"""What a leaderboard shows of a sample: ``image`` is the picture's path within the data's folder."""


class Task(ABC):
    """Something that models are evaluated on: its data, its questions and its metrics.

    Subclasses nest a class ``Options`` and are named by ``@task`` or by the class attribute ``name``, which is then
    also the name of their entry point in the group ``unlearnbench.tasks``.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Goes into the key of every evaluation: raise it when the task asks or scores otherwise than before."""
    reference: ClassVar[str] = ""
    hub: ClassVar["HubDataset | None"] = None
    """The dataset on the hub, for `unlearnbench.data.source.locate`; without one, `--data` must name a folder."""
    by_default: ClassVar[bool] = False
    """Whether ``run`` evaluates on it where the command names no task."""
    provides_sets: ClassVar[bool] = False
    """Whether the task says what is to be forgotten, so that methods can train on it."""
    metric_sets: ClassVar[tuple[str, ...]] = ("all",)
    """Over which sets registered metrics are taken: a score ``SET.METRIC`` of one of these is that metric's mean."""
    Options: ClassVar[type[Params]] = Params
    headlines: ClassVar[tuple[Headline, ...]] = ()
    """The columns of tables, in order; without any, a table shows every metric."""
    details: ClassVar[tuple[Headline, ...]] = ()
    """The columns of the task's own table in a report, which also shows its baselines; none, no such table."""
    scored: ClassVar[Scored] = Scored()
    """What of its metrics makes a method's score."""
    Prediction: ClassVar[Any] = None
    """A TypedDict: what a line of a file of predictions holds that `score` takes; None if it takes none."""

    outputs: ClassVar[tuple[str, ...]] = ("prediction",)
    """What of a record comes from the model. All else must be the same for every model that is compared, and lists
    here as long."""

    options: Params
    """An instance of ``Options``: a subclass annotates it as such, so that its use is checked."""

    def __init_subclass__(cls, **named: Any) -> None:
        """Refuse what earlier versions asked for: it would fail when it is called."""
        super().__init_subclass__(**named)
        if callable(load := vars(cls).get("load")):
            try:
                signature(load).bind(cls, "embedded", None, 0)
            except TypeError:
                raise PluginError(
                    f"task {cls.__name__}: load takes the seed that people may be drawn from: load(self, source, "
                    "forget, seed=0)"
                ) from None

    def __init__(self, options: Params) -> None:
        self.options = options

    @property
    def protocol(self) -> dict[str, Any]:
        """What the options stand for, where that could change: a scorer's version, the digest of a prompt.

        Goes into the row and into its key.
        """
        return {}

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder that holds several tasks' data holds this one's."""
        return (folder / cls.name).is_dir()

    def dataset(self, source: str) -> "HubDataset | None":
        """The dataset that would be fetched from the hub for `load` of that ``source``; None where it would not."""
        return self.hub if source == "hub" else None

    def summary(self, folder: Path) -> Summary:
        """What is in a folder in the task's layout, as its options read it, for ``unlearnbench data summary``.

        Raises `DataError` for data that are missing or damaged.
        """
        raise UsageError(f"task {self.name!r} does not describe a folder of data: it defines no summary")

    @abstractmethod
    def load(self, source: str, forget: int | str | None, seed: int = 0) -> TaskData:
        """The data from ``source``: "embedded", "hub" or a folder in the dataset's own layout.

        ``forget`` is how many identities to forget, or a split's name; None leaves that to the task. Who they are, and
        who else is kept apart, may be drawn from ``seed``, the cell's own; what the base learns, and in what order, may
        not, since cells of all seeds share it. A task that provides no sets is loaded once, with seed 0. Raises
        `DataError` for data that are missing or damaged, `UsageError` for a ``forget`` that they cannot fulfil.
        """

    def sets(self, data: Any) -> "Sets":
        """The forget, non-private and other samples of what `load` returned, if the task ``provides_sets``."""
        raise UsageError(f"task {self.name!r} has no forget set; add one that has: unlearnbench list tasks")

    def texts(self, data: Any) -> Iterable[tuple[str, str, str]]:
        """All that is put before a model: where it stands in what `load` returned, the field's name, and the text.

        `plan` refuses those that hold a token which the model takes for something other than text.
        """
        return ()

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """Metrics of predictions made anywhere, records of the kind ``Prediction``, for ``unlearnbench score``.

        Raises `RecordError` for one that is at fault.
        """
        raise UsageError(f"task {self.name!r} does not score files of predictions")

    def remarks(self, predictions: Sequence[Any]) -> tuple[str, ...]:
        """What to know of the scores of these predictions, each in a line."""
        return ()

    def baselines(self, predictions: Sequence[Any]) -> "dict[str, dict[str, MetricValue]]":
        """Metrics, under their full names, of what needs no model to answer the same questions."""
        return {}

    def nested(self, scores: "dict[str, MetricValue]") -> dict[str, Any]:
        """What ``unlearnbench score --json`` prints of what `score` returned."""
        return {name: value.value for name, value in scores.items()}

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """What `evaluate` finds, from its records alone, so that anybody can check a row without the model.

        Each record has an ``id`` of its own, a string.

        Raises `RecordError` or what a damaged record makes of itself, and `UsageError` where a task offers no check.
        """
        raise UsageError(f"task {self.name!r} cannot check records: define measured(records), as the built-in tasks do")

    def views(self, records: Sequence[Any]) -> Mapping[str, Sequence[Record]]:
        """The records as metrics read them, by the set that a metric is taken over: one entry for each ``metric_sets``.

        By default "all" are all records, any other set those whose ``set`` it is; a record without a ``cluster`` is
        independent of all others.
        """
        if any("id" not in each for each in records):
            raise PluginError(f"task {self.name!r}: a record has no id; give each a string of its own")
        return {
            name: [
                record_of(each, name, each.get("cluster", each["id"]))
                for each in records
                if name in ("all", each.get("set"))
            ]
            for name in self.metric_sets
        }

    def by_cluster(self, records: Sequence[Any]) -> "dict[str, dict[str, tuple[float, int]]]":
        """Of metrics that are means: sum and number of the values by what is independent (a person), by metric.

        A leaderboard resamples these clusters to tell by how much utility could have been lost by chance.
        """
        return {}

    def by_question(self, records: Sequence[Any]) -> "dict[str, dict[str, list[float]]]":
        """Of the metrics that a score's levels are made of: the values of single questions by what is independent.

        They are compared with those of the references one by one, so a leaderboard can rank by such metrics alone.
        """
        return {}

    def examples(self, records: Sequence[Any]) -> list[dict[str, Any]]:
        """A few records for readers to look at, the same samples whatever the model: only `EXAMPLE`'s keys."""
        return []

    @abstractmethod
    def evaluate(self, model: "VLM", data: Any, run: "Run") -> Evaluation:
        """Ask ``model`` everything in ``data``, which `load` returned."""
