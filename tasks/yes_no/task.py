"""What `mme` and `pope` share: yes/no questions about pictures, asked once each and kept with their raw answers."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from unlearnbench import (
    Ask,
    Asked,
    Evaluation,
    Location,
    MetricOptions,
    Record,
    Sample,
    Task,
    ask,
    further_versions,
    locate,
    measure_sets,
)
from unlearnbench.contracts.metric import record_of
from unlearnbench.data.parquet import parquet_files
from unlearnbench.metrics.yes_no import CONSTANTS, YesNoScorer

from .reader import YesNoQuestion, YesNoSet

if TYPE_CHECKING:
    from unlearnbench import VLM, MetricValue, Run


class YesNoOptions(MetricOptions):
    """How questions are put and answers are read."""

    scorer: Literal["official", "strict"] = Field(
        "official", description="as the benchmark's own script, or: only a clear yes or no counts"
    )
    prompt: str = Field("official", description="how the question is worded")
    limit: int | None = Field(None, ge=1, description="ask about this many questions alone; the row says so")
    limit_seed: int = Field(0, description="which ones those are")
    max_new_tokens: int = Field(16, ge=1, description="longest answer")
    batch_size: int | None = Field(
        None, ge=1, description="most questions asked at a time; none: as many as memory is found to hold, up to 128"
    )

    scorers: ClassVar[Mapping[str, YesNoScorer]] = {}
    prompts: ClassVar[Mapping[str, str]] = {}
    """Prompts by name; ``{question}`` is the question, ``{bare}`` the same without MME's request for yes or no."""


@dataclass(frozen=True)
class YesNoData:
    """Questions and where they came from; ``whole`` counts them before any limit."""

    location: Location
    asked: YesNoSet
    whole: int
    split: None = None

    @property
    def fingerprint(self) -> str:
        """Digest of all the questions and pictures; a limit is told by the options."""
        return self.asked.fingerprint

    @property
    def notices(self) -> tuple[str, ...]:
        """Which files were left out."""
        left = [path.relative_to(self.asked.root).as_posix() for path in self.asked.left_out]
        if not left:
            return ()
        some = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        return (f"{self.location.id}: left out, as no questions with a picture: {len(left)} of its files ({some})",)


class YesNoTask(Task):
    """Asks every distinct question about a picture once and scores the answers."""

    options: YesNoOptions
    picture: ClassVar[str]
    """The key of a record that names its picture."""

    @staticmethod
    @abstractmethod
    def root(folder: Path) -> Path | None:
        """Where within a folder the benchmark is."""

    @staticmethod
    @abstractmethod
    def read(folder: Path) -> YesNoSet:
        """The questions in a folder."""

    @staticmethod
    @abstractmethod
    def limited(questions: Sequence[YesNoQuestion], limit: int, seed: int) -> list[YesNoQuestion]:
        """Some of the questions, such that the scores still make sense."""

    @staticmethod
    @abstractmethod
    def record(question: YesNoQuestion) -> dict[str, Any]:
        """A line of predictions without the prediction."""

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether ``folder`` holds the benchmark beside others; tables in the folder itself may be of any of them."""
        root = cls.root(folder)
        return root is not None and not (root == folder and parquet_files(folder))

    @property
    def scorer(self) -> YesNoScorer:
        """The scorer that the options name."""
        return self.options.scorers[self.options.scorer]

    @property
    def protocol(self) -> dict[str, Any]:
        """How answers are asked for and read."""
        template = self.options.prompts[self.options.prompt]
        sha256 = hashlib.sha256(template.encode()).hexdigest()
        about = {"scorer": self.scorer.label, "prompt": {"name": self.options.prompt, "sha256": sha256}}
        return about | further_versions(self)

    def load(self, source: str, forget: int | str | None, seed: int = 0) -> YesNoData:
        """Read the task's folder."""
        location = locate(source, self.name, self.hub)
        asked = self.read(location.folder)
        whole = len(asked.questions)
        if self.options.limit is not None and self.options.limit < whole:
            some = self.limited(asked.questions, self.options.limit, self.options.limit_seed)
            asked = replace(asked, questions=tuple(some))
        return YesNoData(location, asked, whole)

    def texts(self, data: YesNoData) -> Iterator[tuple[str, str, str]]:
        """The questions."""
        return ((each.where, "question", each.question) for each in data.asked.questions)

    def samples(self, data: YesNoData) -> tuple[Sample, ...]:
        """Each distinct question about a picture once, in the order of the data, answered Yes or No."""
        found = dict[tuple[Path, str], Sample]()
        for each in data.asked.questions:
            picture = each.image.name
            query = Asked(self.prompt(each.question), (each.image,))
            name = f"{self.name}/{picture}/{each.question}"
            found.setdefault(_key(each), Sample(name, picture, query, "Yes" if each.answer else "No", (each.category,)))
        return tuple(found.values())

    def pictures(self, data: YesNoData) -> Iterator[Path]:
        """Each once."""
        return iter(dict.fromkeys(each.image for each in data.asked.questions))

    def evaluate(self, model: "VLM", data: YesNoData, run: "Run") -> Evaluation:
        """Ask and score."""
        questions = data.asked.questions
        queries = {_key(each): Asked(self.prompt(each.question), (each.image,)) for each in questions}
        requests = [Ask(key, query, self.options.max_new_tokens) for key, query in queries.items()]
        what = f"{self.name}: asking"
        said = ask(model, requests, run, batch_size=self.options.batch_size, let_go=True, what=what)
        records = [self.record(each) | {"prediction": said[_key(each)]} for each in questions]
        limited = len(questions) < data.whole
        facts = {"questions": len(questions), "of": data.whole, "asked": len(requests), "limited": limited}
        return replace(self.measured(records), facts=facts)

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """Scores, and those of saying the same to every question."""
        scores = {f"{self.name}.{name}": value for name, value in self.score(records).items()}
        return Evaluation([*records], scores | measure_sets(self, records), baselines=self.baselines(records))

    def views(self, records: Sequence[Any]) -> dict[str, list[Record]]:
        """All of them; questions about one picture are not independent."""
        return {"all": [record_of(each, "all", each[self.picture]) for each in records]}

    def prompt(self, question: str) -> str:
        """The question as the model is asked it."""
        bare = question.removesuffix("Please answer yes or no.").rstrip()
        return self.options.prompts[self.options.prompt].format(question=question, bare=bare)

    def baselines(self, predictions: Sequence[Mapping[str, Any]]) -> "dict[str, dict[str, MetricValue]]":
        """The scores of saying the same to every question."""
        scores = {
            name: self.score([{**record, "prediction": text} for record in predictions])
            for name, text in CONSTANTS.items()
        }
        return {name: {f"{self.name}.{each}": value for each, value in of.items()} for name, of in scores.items()}


def _key(question: YesNoQuestion) -> tuple[Path, str]:
    return question.image, question.question
