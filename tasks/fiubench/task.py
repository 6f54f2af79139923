"""FIUBench's private-attribute split: what is known of people who asked to be forgotten, and of everybody else.

Data and metrics: Ma et al., arXiv:2411.03554; the split into private and other attributes: arXiv:2510.07567.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from unlearnbench import (
    Evaluation,
    Headline,
    HubDataset,
    Location,
    Params,
    Record,
    Scored,
    Scorer,
    Split,
    Task,
    further_versions,
    locate,
    measure_sets,
    task,
)
from unlearnbench.contracts import EXAMPLE, Summary
from unlearnbench.contracts.metric import record_of
from unlearnbench.data.source import unpacked
from unlearnbench.metrics.measure import all_of, by_cluster, by_question, further, measure
from unlearnbench.metrics.statistics import over_questions
from unlearnbench.metrics.text import ExactMatch, RougeL, ValueRouge
from unlearnbench.registry import metrics

from .guesses import guesses
from .people import HELD_OUT, VALIDATION, Dataset, People, split_of, split_sets
from .published import FORGET
from .reader import read
from .records import Prediction, collect, explain, in_turns
from .scorers import SCORERS, blindness
from .summary import remarks, summary
from .taxonomy import PRIVATE, QuestionGroup

if TYPE_CHECKING:
    from unlearnbench import VLM, MetricValue, Run

T = TypeVar("T")

REPORTED = {
    "forget": (
        "value_rouge", "rouge_l", "exact_match", "ape", "probability", "value_probability", "truth_preference",
        "truth_choice", "min_k", "truth_ratio", "truth_odds", "refusal_rate", "fluency",
    ),
    "other_view": ("value_rouge", "rouge_l", "exact_match", "probability", "value_probability", "refusal_rate"),
    "nonprivate": ("value_rouge", "rouge_l", "exact_match", "refusal_rate"),
    "retain": ("value_rouge", "rouge_l", "exact_match", "truth_ratio", "refusal_rate", "fluency"),
    "held_out": ("value_rouge", "rouge_l", "exact_match", "truth_ratio", "refusal_rate"),
    "acquaintances": ("value_rouge", "rouge_l", "exact_match", "refusal_rate"),
}  # fmt: skip
"""Metrics by set. ``other_view`` is the forget set on pictures that nobody trained on; ``retain`` is the whole retain
set: the questions about the others and the non-private ones. Nobody trains on people held out or on acquaintances."""


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
    def fingerprint(self) -> str:
        """Digest of the files."""
        return self.dataset.fingerprint

    @property
    def split(self) -> Split:
        """Who is forgotten, who is kept apart, and which groups of questions are private."""
        return split_of(self.dataset, self.sets, self.private, self.forget)


@task("fiubench", reference="arXiv:2411.03554")
class FIUBenchTask(Task):
    """Private facts about fictitious people: asked outright, in other words, and weighed by their likelihood."""

    version = "2"
    by_default = True
    provides_sets = True
    # Its `datasets` loader mixes several files up, so the files themselves are fetched.
    hub = HubDataset(("gray311/FIUBench",), ("full.json", "split.json", "SFHQ.zip"))
    headlines = (
        Headline("Forget", "forget.rouge_l", "ROUGE-L"),
        Headline("Forget", "forget.value_rouge", "Value"),
        Headline("Forget", "forget.exact_match", "EM"),
        Headline("Forget", "forget.ape", "APE"),
        Headline("Forget", "forget.min_k", "Min-K"),
        Headline("Forget", "forget.probability", "Prob"),
        Headline("Forget", "forget.refusal_rate", "Refused"),
        Headline("Forget", "forget.fluency", "Fluent"),
        Headline("Other view", "other_view.exact_match", "EM"),
        Headline("Non-private", "nonprivate.rouge_l", "ROUGE-L"),
        Headline("Retain", "retain.rouge_l", "ROUGE-L"),
        Headline("Retain", "retain.exact_match", "EM"),
        Headline("Retain", "retain.truth_ratio", "Truth"),
        Headline("Held-out", "held_out.exact_match", "EM"),
        Headline("Held-out", "held_out.refusal_rate", "Refused"),
        Headline("Acquaintances", "acquaintances.exact_match", "EM"),
        Headline("Acquaintances", "acquaintances.refusal_rate", "Refused"),
    )
    metric_sets = tuple(REPORTED)
    scored = Scored(
        levels={
            "text": ("forget.value_rouge", "forget.exact_match", "forget.ape"),
            "logits": (
                "forget.probability",
                "forget.value_probability",
                "forget.truth_preference",
                "forget.truth_choice",
            ),
        },
        conditions={
            f"{name}.{metric}": 0.05
            for name in ("nonprivate", "retain", "held_out", "acquaintances")
            for metric in ("exact_match", "refusal_rate")
        }
        | {"forget.fluency": 0.1, "retain.fluency": 0.1},
    )
    Options = FIUBenchOptions
    Prediction = Prediction
    outputs = (
        "prediction", "paraphrased_predictions", "logprobs", "value_logprobs", "paraphrased_logprobs",
        "perturbed_logprobs", "explanation",
    )  # fmt: skip

    options: FIUBenchOptions

    @property
    def scorer(self) -> Scorer:
        """The scorer that the options name."""
        return SCORERS[self.options.scorer]

    @property
    def protocol(self) -> dict[str, Any]:
        """The scorer and the metrics as they are now; under ``metrics`` those that were asked for besides."""
        own = sorted({name for names in REPORTED.values() for name in names})
        reported = {name: metrics.get(name).version for name in own}
        return {"scorer": self.scorer.label, "reported": reported} | further_versions(self)

    @classmethod
    def summary(cls, folder: Path) -> Summary:
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
        blind = self.remarks([{"answer": sample.answer} for sample in sets.all])
        notices = (*remarks(dataset), *_other_people(dataset, forget, sets), *blind)
        return FIUBenchData(location, dataset, sets, private, forget, notices)

    def sets(self, data: FIUBenchData) -> People:
        """Forget, non-private and other samples."""
        return data.sets

    def texts(self, data: FIUBenchData) -> Iterator[tuple[str, str, str]]:
        """Questions and answers in all their wordings."""
        asked = [("full.json", each) for each in data.sets.in_order]
        for file, sample in (*asked, *(("acquaintances.json", each) for each in data.sets.acquaintances)):
            question, where = sample.question, f"{data.dataset.root / file}: {sample.id}"
            yield where, "question", question.question
            yield where, "answer", question.answer
            yield from ((where, "paraphrased_question", text) for text in question.paraphrased_questions)
            yield where, "paraphrased_answer", question.paraphrased_answer or ""
            yield from ((where, "perturbed_answer", text) for text in question.perturbed_answers)

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """What text alone tells; which set the questions are of is not known, so neither is which way is better."""
        records, found = self._seen(predictions, ""), {}
        for metric in (RougeL(), ExactMatch()):
            values = [(each["cluster"], metric.values(each, self.scorer)) for each in records]
            found[metric.name] = over_questions(values, seed=0, higher_is_better=None)
        return found

    def remarks(self, predictions: Sequence[Any]) -> tuple[str, ...]:
        """Whether the scorer cannot see some answers."""
        blind = None if self.scorer.any_script else blindness([each["answer"] for each in predictions])
        return (blind,) if blind else ()

    def evaluate(self, model: "VLM", data: FIUBenchData, run: "Run") -> Evaluation:
        """Ask everything once, the forget set's questions in three more wordings, and weigh likelihoods."""
        length, size = self.options.max_new_tokens, self.options.batch_size
        records = collect(model, data.dataset, data.sets, run, max_new_tokens=length, batch_size=size)
        explain(model, data.sets, records)
        facts = {} if data.sets.validation else {"early_stopping": data.sets.early_stopping}
        return replace(self.measured(records), facts=facts)

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """Every reported metric, the further ones of the options, and what guesses score."""
        found = measure_sets(self, records, REPORTED, self.scorer)
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
            names = dict.fromkeys((*REPORTED[set_name], *further(self)))
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


def _other_people(dataset: Dataset, forget: int | str | None, sets: People) -> Iterator[str]:
    """Whether a published name means other people in this folder than in the paper."""
    rows = FORGET.get(forget) if isinstance(forget, str) and dataset.is_fiubench else None
    if rows is not None and {*sets.forgotten} != {dataset.ids[row] for row in rows}:
        yield (
            f"--forget {forget}: this folder's split.json ({dataset.variant}) gives {len(sets.forgotten)} people that "
            f"name; the paper's {forget} are {len(rows)}: --forget {len(rows)}"
        )


EXAMPLES = {"forget": 4, "nonprivate": 2, "others": 2, "held_out": 1, "acquaintances": 1}
"""How many samples of each set a leaderboard shows."""
