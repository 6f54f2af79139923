"""FIUBench's private-attribute split: what is known of people who asked to be forgotten, and of everybody else.

Data and metrics: Ma et al., arXiv:2411.03554; the split into private and other attributes: arXiv:2510.07567.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from unlearnbench import (
    HubDataset,
    Location,
    Params,
    Query,
    Scored,
    Scorer,
    Split,
    locate,
    task,
)
from unlearnbench.contracts import Summary
from unlearnbench.data.source import unpacked
from unlearnbench.registry import metrics

from ..facts.measures import CONDITIONS, HEADLINES, LEVELS, REPORTED, TRACED
from ..facts.records import WEIGHED
from ..facts.sets import HELD_OUT, VALIDATION, Fact, People
from ..facts.task import FactsTask, texts_of
from .people import Dataset, on_other_pictures, split_of, split_sets
from .published import FORGET
from .reader import read
from .scorers import SCORERS, blindness
from .summary import remarks, summary
from .taxonomy import PRIVATE, QuestionGroup


class FIUBenchOptions(Params):
    """Who is kept apart, and how answers are drawn and scored."""

    protocol: Literal["default", "paper"] = Field(
        "default",
        description="paper: the sets of arXiv:2510.07567, nobody held out or for validation, so that early stopping "
        "looks at the forget set alone; default: the same without those people",
    )
    scorer: Literal["strict", "fiubench"] = Field("strict", description="repaired arithmetic, or the published one")
    private: tuple[QuestionGroup, ...] = Field(
        tuple(sorted(PRIVATE)), description="groups of questions that are forgotten"
    )
    held_out: float = Field(
        HELD_OUT,
        ge=0,
        lt=1,
        description="share of people whom the base learns and no method sees; none by the paper's",
    )
    validation: float = Field(
        VALIDATION, ge=0, lt=1, description="share of people whom methods may look at to stop in time; none likewise"
    )
    metrics: tuple[str, ...] = Field((), description="further metrics, by their names, computed on every set")
    max_new_tokens: int = Field(50, ge=1, description="longest answer")
    batch_size: int | None = Field(
        None, ge=1, description="most questions asked at a time; none: as many as memory is found to hold, up to 128"
    )

    @model_validator(mode="before")
    @classmethod
    def _nobody_held_out(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("protocol") == "paper":
            return {"held_out": 0.0, "validation": 0.0} | values
        return values

    @field_validator("private", "held_out", "validation")
    @classmethod
    def _as_in_the_paper(cls, value: Any, info: ValidationInfo) -> Any:
        paper = PRIVATE if info.field_name == "private" else 0.0
        given = frozenset(value) if isinstance(value, tuple) else value
        if info.data.get("protocol") == "paper" and given != paper:
            raise ValueError(
                "protocol=paper forgets health and criminal records and keeps no one apart: leave this out"
            )
        return value


@dataclass(frozen=True)
class FIUBenchData:
    """A dataset, where it came from, and who is forgotten."""

    location: Location
    dataset: Dataset
    sets: People
    private: frozenset[QuestionGroup] = PRIVATE
    forget: int | str | None = None
    """Who was asked for."""
    notices: tuple[str, ...] = ()
    """What the user should know before anything is computed."""

    @property
    def root(self) -> Path:
        """The folder within which pictures are named."""
        return self.dataset.root

    @property
    def fingerprint(self) -> str:
        """Digest of the files."""
        return self.dataset.fingerprint

    @property
    def split(self) -> Split:
        """Who is forgotten, who is kept apart, and which groups of questions are private."""
        return split_of(self.dataset, self.sets, self.private, self.forget)


@task("fiubench", reference="arXiv:2411.03554")
class FIUBenchTask(FactsTask):
    """Private facts about fictitious people: asked outright, in other words, and weighed by their likelihood."""

    version = "2"
    by_default = True
    # Its `datasets` loader mixes several files up, so the files themselves are fetched.
    hub = HubDataset(("gray311/FIUBench",), ("full.json", "split.json", "SFHQ.zip"))
    headlines = HEADLINES
    metric_sets = tuple(REPORTED)
    reported = REPORTED
    scored = Scored(levels=LEVELS, also_traced=TRACED, conditions=CONDITIONS)
    Options = FIUBenchOptions
    options: FIUBenchOptions

    @property
    def scorer(self) -> Scorer:
        """The scorer that the options name."""
        return SCORERS[self.options.scorer]

    def summary(self, folder: Path) -> Summary:
        """Identities, questions, groups, splits and forget sets."""
        return summary(folder)

    def load(self, source: str, forget: int | str | None, seed: int = 0) -> FIUBenchData:
        """Read a folder in FIUBench's layout and divide it into sets."""
        for name in self.options.metrics:
            metrics.get(name)  # an unknown one is named before anything is computed
        location = locate(source, self.name, self.hub)
        if source == "hub":
            location = unpacked(location, ("full.json", "split.json"), "SFHQ.zip", "SFHQ")
        dataset = read(location.folder)
        private = frozenset(self.options.private)
        sets = split_sets(dataset, forget, private, self.options.held_out, self.options.validation, seed=seed)
        blind = self._blind(sample.answer for sample in sets.all)
        notices = (*remarks(dataset), *_other_people(dataset, forget, sets), *blind)
        return FIUBenchData(location, dataset, sets, private, forget, notices)

    def asked(self, data: FIUBenchData) -> dict[str, tuple[Fact, ...]]:
        """All sets, and the forget set on other pictures; nobody asks about those who are for validation."""
        named = {name: getattr(data.sets, name) for name in (*WEIGHED, "acquaintances")}
        return named | {"other_view": on_other_pictures(data.dataset, data.sets.forget)}

    def other_views(self, data: FIUBenchData, samples: Iterable[Any]) -> dict[str, Query]:
        """The same questions on pictures of the same people that nobody trained on."""
        found = ((sample.id, on_other_pictures(data.dataset, [sample])) for sample in samples)
        return {name: views[0].query for name, views in found if views}

    def texts(self, data: FIUBenchData) -> Iterator[tuple[str, str, str]]:
        """Questions and answers in all their wordings."""
        asked = [("full.json", each) for each in data.sets.in_order]
        known = [("acquaintances.json", each) for each in data.sets.acquaintances]
        return texts_of((f"{data.root / file}: {sample.id}", sample) for file, sample in (*asked, *known))

    def remarks(self, predictions: Sequence[Any]) -> tuple[str, ...]:
        """Whether the sets are told, and whether the scorer cannot see some answers."""
        return (*super().remarks(predictions), *self._blind(each["answer"] for each in predictions))

    def _blind(self, answers: Iterable[str]) -> tuple[str, ...]:
        blind = None if self.scorer.any_script else blindness([*answers])
        return (blind,) if blind else ()


def _other_people(dataset: Dataset, forget: int | str | None, sets: People) -> Iterator[str]:
    """Whether a published name means other people in this folder than in the paper."""
    rows = FORGET.get(forget) if isinstance(forget, str) and dataset.is_fiubench else None
    if rows is not None and {*sets.forgotten} != {dataset.ids[row] for row in rows}:
        yield (
            f"--forget {forget}: this folder's split.json ({dataset.variant}) gives {len(sets.forgotten)} people that "
            f"name; the paper's {forget} are {len(rows)}: --forget {len(rows)}"
        )
