"""POPE: is this object in the picture? Random, popular and adversarial negatives (Li et al. 2023, arXiv:2305.10355)."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from unlearnbench import Headline, HubDataset, task

from ..yes_no.reader import YesNoQuestion
from ..yes_no.task import YesNoOptions, YesNoTask
from .reader import pope_root, read_pope
from .scores import SCORERS, SPLITS, POPERecord, pope

if TYPE_CHECKING:
    from unlearnbench import MetricValue


class POPEOptions(YesNoOptions):
    """How POPE's questions are put and answers are read."""

    prompt: Literal["official", "lmms-eval", "yes-no"] = Field(
        "official", description="how the question is worded; see docs/metrics.md"
    )

    scorers: ClassVar = SCORERS
    prompts: ClassVar = {
        "official": "{question}",
        "lmms-eval": "{question}\nAnswer the question using a single word or phrase.",
        "yes-no": "{question} Please answer yes or no.",
    }


@task("pope", reference="arXiv:2305.10355")
class POPETask(YesNoTask):
    """Object hallucination by yes/no questions: whether unlearning makes the model see things."""

    version = "2"
    by_default = True
    Options = POPEOptions
    Prediction = POPERecord
    picture = "image_source"
    headlines = (Headline("General", "pope.accuracy", "POPE"),)
    details = tuple(
        Headline("POPE", f"pope.{name}", label)
        for name, label in (
            ("accuracy", "Acc"),
            ("precision", "Prec."),
            ("recall", "Recall"),
            ("f1", "F1"),
            *((f"{split}.f1", f"F1 {split[:4]}.") for split in SPLITS),
            ("yes_ratio", "Yes"),
            ("parse_failure_rate", "Unclear"),
        )
    )
    hub = HubDataset(
        ("lmms-lab-encoder/POPE", "lmms-lab/POPE"),
        ("data/test-*.parquet",),
        "4db1276663dfa5eb8ad16a52d24c31a09e470896",
    )
    root = staticmethod(pope_root)
    read = staticmethod(read_pope)

    @staticmethod
    def limited(questions: Sequence[YesNoQuestion], limit: int, seed: int) -> list[YesNoQuestion]:
        """A sixth of ``limit`` (one at least) of each split's questions with the answer yes, and of those with no.

        The questions with the answer yes are the same in every split, and so are those that are drawn.
        """
        chosen, share = set[tuple[str, str]](), max(1, limit // 6)
        for split in SPLITS:
            for answer in (True, False):
                some = [each for each in questions if each.category == split and each.answer is answer]
                some.sort(key=lambda each: (each.image.name, each.question))
                some = random.Random(f"{seed} {answer}").sample(some, min(share, len(some)))
                chosen |= {(each.category, each.question_id) for each in some}
        return [each for each in questions if (each.category, each.question_id) in chosen]

    @staticmethod
    def record(question: YesNoQuestion) -> dict[str, Any]:
        """A line of predictions without the prediction."""
        return {
            "id": f"{question.category}/{question.question_id}",
            "category": question.category,
            "question_id": question.question_id,
            "image_source": question.image.stem,
            "question": question.question,
            "answer": "yes" if question.answer else "no",
        }

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """The scores of a file of answers."""
        return pope(predictions, self.scorer, seed=0)

    def nested(self, scores: "dict[str, MetricValue]") -> dict[str, Any]:
        """Scores with those of each split under ``splits``."""
        whole = {name: value.value for name, value in scores.items() if "." not in name}
        splits: dict[str, dict[str, float | None]] = {}
        for name, value in scores.items():
            split, dot, metric = name.partition(".")
            if dot:
                splits.setdefault(split, {})[metric] = value.value
        return whole | {"splits": splits}
