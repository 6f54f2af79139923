"""What `mme` and `pope` share: yes/no questions about pictures, asked and kept with their raw answers."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from unlearnbench import Evaluation, Params, Task
from unlearnbench.data.source import Location, locate
from unlearnbench.data.yes_no import YesNoQuestion, YesNoSet

if TYPE_CHECKING:
    from unlearnbench.metrics.statistics import MetricValue
    from unlearnbench.metrics.yes_no import YesNoRecord
    from unlearnbench.models.vlm import VLM
    from unlearnbench.training.run import Run


class YesNoOptions(Params):
    """How answers are drawn."""

    max_new_tokens: int = Field(5, ge=1, description="longest answer")
    batch_size: int = Field(16, ge=1, description="questions asked at a time")

    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"batch_size": 100}}


@dataclass(frozen=True)
class YesNoData:
    """Questions and where they came from."""

    location: Location
    asked: YesNoSet
    split: None = None

    @property
    def fingerprint(self) -> str:
        """Digest of the files."""
        return self.asked.fingerprint


class YesNoTask(Task):
    """Asks every distinct question about a picture once and scores the answers."""

    Options = YesNoOptions
    on_hub = False
    options: YesNoOptions

    @staticmethod
    @abstractmethod
    def read(folder: Path) -> YesNoSet:
        """The questions in a folder."""

    @staticmethod
    @abstractmethod
    def score(records: "list[YesNoRecord]", *, seed: int) -> "dict[str, MetricValue]":
        """Metrics of the answers, by their names without the task's."""

    def load(self, source: str, forget: int | str | None) -> YesNoData:
        """Read the task's folder."""
        location = locate(source, self.name)
        return YesNoData(location, self.read(location.folder))

    def evaluate(self, model: "VLM", data: YesNoData, run: "Run") -> Evaluation:
        """Ask and score."""
        from unlearnbench.models.asking import answers
        from unlearnbench.models.vlm import Asked

        queries = {_key(question): Asked(question.image, question.question) for question in data.asked.questions}
        said = answers(
            model,
            list(queries.values()),
            run,
            max_new_tokens=self.options.max_new_tokens,
            batch_size=self.options.batch_size,
            what=f"{self.name}: asking",
        )
        spoken = dict(zip(queries, said, strict=True))
        records: list[YesNoRecord] = [
            {
                "id": question.id,
                "kind": question.kind,
                "image": question.image.name,
                "answer": question.answer,
                "prediction": spoken[_key(question)],
            }
            for question in data.asked.questions
        ]
        scores = {f"{self.name}.{name}": value for name, value in self.score(records, seed=0).items()}
        return Evaluation([dict(record) for record in records], scores)


def _key(question: YesNoQuestion) -> tuple[Path, str]:
    return question.image, question.question
