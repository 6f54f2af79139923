"""A task that asks for facts about people, some of whose are to be forgotten: what it asks, keeps and measures."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_args

from unlearnbench import Asking, Evaluation, Location, Record, Scorer, Split, Task, further_versions, measure_sets
from unlearnbench.contracts import EXAMPLE
from unlearnbench.contracts.metric import record_of
from unlearnbench.errors import RecordError
from unlearnbench.metrics.measure import all_of, by_cluster, by_question, further, measure
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.statistics import over_questions
from unlearnbench.metrics.text import ExactMatch, RougeL, ValueRouge
from unlearnbench.registry import metrics

from .guesses import guesses
from .records import Prediction, SetName, collect, explain, in_turns
from .sets import Fact, People

if TYPE_CHECKING:
    from unlearnbench import VLM, MetricValue, Run

EXAMPLES = {"forget": 4, "nonprivate": 2, "others": 2, "held_out": 1, "acquaintances": 1}
"""How many samples of each set a leaderboard shows."""

SETS_UNTOLD = (
    "predictions say not of which set they are, so what is forgotten and what is kept are one number: give each a set, "
    f"one of {', '.join(get_args(SetName))}"
)


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

    @property
    def protocol(self) -> dict[str, Any]:
        """The scorer and the metrics as they are now; under ``metrics`` those that were asked for besides."""
        own = sorted({name for names in self.reported.values() for name in names})
        versions = {name: metrics.get(name).version for name in own}
        return {"scorer": self.scorer.label, "reported": versions} | further_versions(self)

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

    def answers(
        self, model: "VLM", asked: Mapping[str, Sequence[Any]], data: FactsData, run: "Run", how: Asking
    ) -> list[dict[str, Any]]:
        """Records of some facts, as an attack asks them."""
        options: Any = self.options
        made = collect(
            model,
            asked,
            data.root,
            run,
            what=self.name,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
            how=how,
        )
        return [{**record} for record in made]

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

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """Every set's metrics, as far as predictions hold what these read; or what text tells of all of them alike.

        The latter where none says its set: then it is not known either which way is better. Raises `RecordError` for
        one without a set among others that have one.
        """
        if told := [each for each in predictions if "set" in each]:
            if len(told) < len(predictions):
                place = next(place for place, each in enumerate(predictions) if "set" not in each)
                raise RecordError(f"it has no set, and {len(told)} others have: give it one too", place)
            return self._by_set(predictions)
        records, found = self._seen(predictions, ""), {}
        for metric in (RougeL(), ExactMatch()):
            values = [(each["cluster"], metric.values(each, self.scorer)) for each in records]
            found[metric.name] = over_questions(values, seed=0, higher_is_better=None)
        return found

    def _by_set(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """The metrics that any prediction of a set has the fields for."""
        views = self.views(predictions)
        wanted = {
            name: [metric for metric in self.reported[name] if any(map(metrics.get(metric)().applies, own))]
            for name, own in views.items()
        }
        return measure_sets(self, predictions, wanted, self.scorer)

    def remarks(self, predictions: Sequence[Any]) -> tuple[str, ...]:
        """Whether the sets are told."""
        return () if any("set" in each for each in predictions) else (SETS_UNTOLD,)

    def views(self, records: Sequence[Any]) -> dict[str, list[Record]]:
        """By set; ``retain`` is the whole retain set. Questions about one person are not independent."""
        parts = {name: (name,) for name in self.metric_sets} | {"retain": ("nonprivate", "others", "retain")}
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
        scored = (*(name for level in self.scored.levels.values() for name in level), *self.scored.also_traced)
        names = dict.fromkeys((*(name.partition(".")[2] for name in scored), "truth_odds", *further(self)))
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
