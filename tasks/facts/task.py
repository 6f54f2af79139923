"""A task that asks for facts about people, some of whose are to be forgotten: what it asks, keeps and measures."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from unlearnbench import Evaluation, Location, Record, Scorer, Split, Task, measure_sets
from unlearnbench.contracts import EXAMPLE
from unlearnbench.contracts.metric import record_of
from unlearnbench.metrics.measure import all_of, by_cluster, by_question, further, measure
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.text import ExactMatch, RougeL, ValueRouge

from .guesses import guesses
from .records import Prediction, collect, explain, in_turns
from .sets import Fact, People

if TYPE_CHECKING:
    from unlearnbench import VLM, MetricValue, Run

EXAMPLES = {"forget": 4, "nonprivate": 2, "others": 2, "held_out": 1, "acquaintances": 1}
"""How many samples of each set a leaderboard shows."""


class FactsData(Protocol):
    """What is loaded: the sets, and the folder within which pictures are named."""

    @property
    def sets(self) -> People:
        """The facts, divided."""

    @property
    def root(self) -> Path:
        """The folder of the pictures."""

    @property
    def fingerprint(self) -> str:
        """As of `TaskData`."""

    @property
    def location(self) -> Location:
        """As of `TaskData`."""

    @property
    def split(self) -> Split | None:
        """As of `TaskData`."""


class FactsTask(Task):
    """Asks everything once, the forget set's questions in other words too, and weighs likelihoods.

    A subclass says which metrics are ``reported`` of which of its sets. Its options have ``max_new_tokens`` and
    ``batch_size``. ``retain`` is the whole retain set: the questions about the others and the non-private ones.
    """

    provides_sets = True
    reported: ClassVar[Mapping[str, Sequence[str]]]
    """Metrics by set."""
    Prediction = Prediction
    outputs = (
        "prediction", "paraphrased_predictions", "logprobs", "value_logprobs", "paraphrased_logprobs",
        "perturbed_logprobs", "explanation",
    )  # fmt: skip

    @property
    def scorer(self) -> Scorer:
        """How answers are read."""
        return STRICT

    @abstractmethod
    def asked(self, data: Any) -> dict[str, tuple[Fact, ...]]:
        """Whatever is asked, by the set that its records are of."""

    def sets(self, data: FactsData) -> People:
        """Forget, non-private and other samples."""
        return data.sets

    def evaluate(self, model: "VLM", data: FactsData, run: "Run") -> Evaluation:
        """Ask everything once, the forget set's questions in more wordings, and weigh likelihoods."""
        options: Any = self.options
        records = collect(
            model,
            self.asked(data),
            data.root,
            run,
            what=self.name,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
        )
        explain(model, data.sets.forget, records)
        facts = {} if data.sets.validation else {"early_stopping": data.sets.early_stopping}
        return replace(self.measured(records), facts=facts)

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """Every reported metric, the further ones of the options, and what guesses score."""
        found = measure_sets(self, records, self.reported, self.scorer)
        return Evaluation([*records], found, baselines=self.baselines(records))

    def baselines(self, predictions: Sequence[Any]) -> "dict[str, dict[str, MetricValue]]":
        """What guesses score on the forget set; of answers whose sets are not told, nothing."""
        return {
            name: {
                f"forget.{metric.name}": measure(
                    metric, self._seen(own, "forget"), self.scorer, set_name="forget", seed=0
                )
                for metric in (RougeL(), ValueRouge(), ExactMatch())
            }
            for name, own in guesses([each for each in predictions if "set" in each]).items()
        }

    def views(self, records: Sequence[Any]) -> dict[str, list[Record]]:
        """By set; ``retain`` is the whole retain set. Questions about one person are not independent."""
        parts = {name: (name,) for name in self.metric_sets} | {"retain": ("nonprivate", "others")}
        return {name: self._seen((each for each in records if each["set"] in of), name) for name, of in parts.items()}

    def _seen(self, records: Iterable[Any], name: str) -> list[Record]:
        """Records as metrics read them, as of the set of that name."""
        return [record_of(each, name, each["unique_id"]) for each in records]

    def by_cluster(self, records: Sequence[Any]) -> "dict[str, dict[str, tuple[float, int]]]":
        """Every metric by person."""
        views, found = self.views(records), dict[str, dict[str, tuple[float, int]]]()
        for set_name, own in views.items():
            names = dict.fromkeys((*self.reported[set_name], *further(self)))
            found |= by_cluster(own, names, self.scorer, among=all_of(views))
        return found

    def by_question(self, records: Sequence[Any]) -> "dict[str, dict[str, list[float]]]":
        """By person, the forget set's metrics that make a score or a distance, and those that the options name."""
        views = self.views(records)
        scored = (name.partition(".")[2] for level in self.scored.levels.values() for name in level)
        names = dict.fromkeys((*scored, "truth_odds", *further(self)))
        return by_question(views["forget"], names, self.scorer, among=all_of(views))

    def examples(self, records: Sequence[Any]) -> list[dict[str, Any]]:
        """Samples of each set, of every person another question."""
        chosen = []
        for name, count in EXAMPLES.items():
            of = defaultdict[str, list[Any]](list)
            for record in sorted((each for each in records if each["set"] == name), key=lambda each: each["id"]):
                of[record["unique_id"]].append(record)
            turned = (record for place, own in enumerate(of.values()) for record in own[place:] + own[:place])
            chosen += [*islice(in_turns(turned, lambda record: record["unique_id"]), count)]
        return [{key: record[key] for key in EXAMPLE if key in record} for record in chosen]


def texts_of(facts: Iterable[tuple[str, Fact]]) -> Iterator[tuple[str, str, str]]:
    """Questions and answers of facts in all their wordings, for `Task.texts`: each comes with where it stands."""
    for where, sample in facts:
        question = sample.question
        yield where, "question", question.question
        yield where, "answer", question.answer
        yield from ((where, "paraphrased_question", text) for text in question.paraphrased_questions)
        yield where, "paraphrased_answer", question.paraphrased_answer or ""
        yield from ((where, "perturbed_answer", text) for text in question.perturbed_answers)
