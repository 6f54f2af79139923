"""Questions and answers from tables of your own: any columns, any number of questions and pictures a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from unlearnbench import HubDataset, Location, MetricOptions, Scored, Split, task
from unlearnbench.contracts import Summary
from unlearnbench.data.source import whole_dataset
from unlearnbench.registry import metrics

from ..facts.measures import CONDITIONS, HEADLINES, LEVELS, NEEDED, REPORTED, TRACED
from ..facts.records import WEIGHED
from ..facts.sets import HELD_OUT, VALIDATION, Fact, People
from ..facts.task import FactsTask, texts_of
from .division import divide, remarks
from .layout import FILE, Columns, Tables, located, on_hub
from .reader import Questions, read
from .summary import summary

SETS = ("forget", "nonprivate", "retain", "held_out")


class QAOptions(MetricOptions):
    """What columns are called, what is private, who is kept apart, and how much is asked."""

    columns: Columns = Field(Columns(), description="what the tables call their columns")
    private: tuple[str, ...] = Field(
        (), description="groups of questions that are forgotten; none: those marked by a column, or all"
    )
    subset: str | None = Field(None, description="which of a hub dataset's subsets, where it has several")
    split: str | None = Field(None, description="which of a hub dataset's splits, likewise")
    held_out: float = Field(HELD_OUT, ge=0, lt=1, description="share of people whom the base learns and no method sees")
    validation: float = Field(
        VALIDATION, ge=0, lt=1, description="share of people whom methods may look at to stop in time"
    )
    max_new_tokens: int = Field(50, ge=1, description="longest answer")
    batch_size: int | None = Field(
        None, ge=1, description="most questions asked at a time; none: as many as memory is found to hold, up to 128"
    )


@dataclass(frozen=True)
class QAData:
    """Questions, where they came from, and who is forgotten."""

    location: Location
    questions: Questions
    sets: People
    split: Split
    notices: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder within which pictures are named."""
        return self.questions.root

    @property
    def fingerprint(self) -> str:
        """Digest of questions, answers and pictures, whatever the tables look like."""
        return self.questions.fingerprint


@task("qa")
class QATask(FactsTask):
    """Questions and answers from tables of your own: CSV, JSON Lines, Parquet or a dataset of the hub."""

    metric_sets = SETS
    reported: ClassVar = {name: REPORTED[name] for name in SETS}
    headlines = tuple(each for each in HEADLINES if each.metric.partition(".")[0] in SETS)
    scored = Scored(
        levels=LEVELS,
        also_traced=TRACED,
        conditions={name: by for name, by in CONDITIONS.items() if name.partition(".")[0] in SETS},
        if_any=NEEDED,
    )
    Options = QAOptions
    options: QAOptions

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """A folder of several tasks' data has this one's where there is a map."""
        return (folder / FILE).is_file()

    def dataset(self, source: str) -> HubDataset | None:
        """The whole dataset that an id names."""
        return whole_dataset(source) if on_hub(source) else None

    def summary(self, folder: Path) -> Summary:
        """Tables, people, questions, groups, pictures, and columns that are not read."""
        return summary(self._located(str(folder)))

    def load(self, source: str, forget: int | str | None, seed: int = 0) -> QAData:
        """Read the tables and divide their questions into sets."""
        for name in self.options.metrics:
            metrics.get(name)  # an unknown one is named before anything is computed
        options = self.options
        found = self._located(source)
        questions = read(found)
        private = frozenset(options.private)
        division = divide(questions, forget, private, options.held_out, options.validation, seed)
        notices = (*questions.notices, *remarks(questions, division.sets))
        return QAData(found.location, questions, division.sets, division.split, notices)

    def _located(self, source: str) -> Tables:
        return located(source, self.options.columns, self.options.subset, self.options.split)

    def asked(self, data: QAData) -> dict[str, tuple[Fact, ...]]:
        """All sets but those for validation."""
        return {name: getattr(data.sets, name) for name in WEIGHED}

    def texts(self, data: QAData) -> Iterator[tuple[str, str, str]]:
        """Questions and answers in all their wordings."""
        return texts_of((fact.where, fact) for fact in data.questions.facts)
