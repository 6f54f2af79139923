"""MME: pairs of yes/no questions on one picture, one of each answer (Fu et al. 2023, arXiv:2306.13394)."""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from unlearnbench import Headline, HubDataset, task

from ..yes_no.reader import YesNoQuestion
from ..yes_no.task import YesNoOptions, YesNoTask
from .reader import mme_root, read_mme
from .scores import SCORERS, SUBTASKS, MMERecord, mme

if TYPE_CHECKING:
    from unlearnbench import MetricValue


class MMEOptions(YesNoOptions):
    """How MME's questions are put and answers are read."""

    prompt: Literal["official", "lmms-eval", "short", "fiubench"] = Field(
        "official", description="how the question is worded; see docs/metrics.md"
    )

    scorers: ClassVar = SCORERS
    prompts: ClassVar = {
        "official": "{question}",
        "lmms-eval": "{bare}\nAnswer the question using a single word or phrase.",
        "short": "{question}\nAnswer the question using a single word or phrase.",
        "fiubench": (
            "For the following questions, please answer yes or no directly and do not include any other information:"
            "\n\n{question}"
        ),
    }


@task("mme", reference="arXiv:2306.13394")
class MMETask(YesNoTask):
    """Perception and cognition by yes/no questions: what unlearning does to the model's other skills."""

    version = "2"
    by_default = True
    Options = MMEOptions
    Prediction = MMERecord
    picture = "question_id"
    headlines = (Headline("General", "mme.accuracy", "MME"),)
    details = tuple(
        Headline("MME", f"mme.{name}", label)
        for name, label in (
            ("accuracy", "Acc"),
            ("accuracy_plus", "Acc+"),
            ("perception", "Perc."),
            ("cognition", "Cogn."),
            ("total", "Total"),
            ("total_without_celebrity", "w/o celeb."),
            ("yes_ratio", "Yes"),
            ("parse_failure_rate", "Unclear"),
        )
    )
    hub = HubDataset(
        ("lmms-lab-encoder/MME", "lmms-lab/MME"),
        ("data/test-*.parquet",),
        "d6c9023f017b564f7b3ccccf5348166bce8fdbcd",
    )
    root = staticmethod(mme_root)
    read = staticmethod(read_mme)

    @staticmethod
    def limited(questions: Sequence[YesNoQuestion], limit: int, seed: int) -> list[YesNoQuestion]:
        """Pairs about ``limit // 2`` pictures (one at least), drawn evenly from the subtasks."""
        pictures: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for each in questions:
            pictures[each.category][each.question_id] = None
        drawn = {name: random.Random(f"{seed} {name}").sample(sorted(ids), len(ids)) for name, ids in pictures.items()}
        chosen = set[str]()
        for turn in range(max(map(len, drawn.values()))):
            for name in SUBTASKS:
                if len(chosen) < max(1, limit // 2) and turn < len(drawn.get(name, ())):
                    chosen.add(drawn[name][turn])
        return [each for each in questions if each.question_id in chosen]

    @staticmethod
    def record(question: YesNoQuestion) -> dict[str, Any]:
        """A line of predictions without the prediction."""
        return {
            "id": f"{question.question_id}/{'yes' if question.answer else 'no'}",
            "category": question.category,
            "question_id": question.question_id,
            "question": question.question,
            "answer": "Yes" if question.answer else "No",
        }

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """The scores of a file of answers."""
        return mme(predictions, self.scorer, seed=0)

    def nested(self, scores: "dict[str, MetricValue]") -> dict[str, Any]:
        """Scores with the points of subtasks, 200 at most, under ``subtasks``."""
        whole = {name: value.value for name, value in scores.items() if "." not in name}
        points = {name: scores[f"{name}.score"].value for name in SUBTASKS if f"{name}.score" in scores}
        return whole | {"subtasks": points}
