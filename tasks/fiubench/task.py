"""FIUBench's private-attribute split: what is known of people who asked to be forgotten, and of everybody else.

Data and metrics: Ma et al., arXiv:2411.03554; the split into private and other attributes: arXiv:2510.07567.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from math import fsum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from unlearnbench import Evaluation, Headline, Params, Split, Task, task
from unlearnbench.contracts import EXAMPLE
from unlearnbench.contracts.sample import Asked
from unlearnbench.data.hub import HubDataset
from unlearnbench.data.source import Location, locate, unpacked
from unlearnbench.metrics.metric import Prediction, Record, measure
from unlearnbench.metrics.scorers import get_scorer
from unlearnbench.metrics.statistics import over_questions
from unlearnbench.metrics.text import ExactMatch, RougeL
from unlearnbench.metrics.words import blindness
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.registry import metrics

from .people import HELD_OUT, Dataset, Fact, People, split_of, split_sets
from .published import FORGET
from .reader import read
from .summary import PROTOCOLS, remarks
from .taxonomy import PRIVATE, Group

if TYPE_CHECKING:
    from unlearnbench import Metric
    from unlearnbench.metrics.statistics import MetricValue
    from unlearnbench.models.contract.vlm import VLM
    from unlearnbench.runtime.run import Run

T = TypeVar("T")

REPORTED = {
    "forget": ("rouge_l", "exact_match", "ape", "min_k", "truth_ratio", "refusal_rate"),
    "nonprivate": ("rouge_l", "exact_match", "refusal_rate"),
    "retain": ("rouge_l", "exact_match", "truth_ratio", "refusal_rate"),
}
"""Metrics by set. ``retain`` is the whole retain set: everybody else's questions and the non-private ones."""


class FIUBenchOptions(Params):
    """Who is held out, and how answers are drawn and scored."""

    protocol: Literal["default", "paper"] = Field(
        "default",
        description="paper: the sets of arXiv:2510.07567, nobody held out, so that early stopping looks at the forget "
        "set alone; default: the same without the people held out, whom early stopping looks at too",
    )
    scorer: Literal["strict", "fiubench"] = Field("strict", description="repaired arithmetic, or the published one")
    private: tuple[Group, ...] = Field(tuple(sorted(PRIVATE)), description="groups of questions that are forgotten")
    held_out: float = Field(
        HELD_OUT, ge=0, lt=1, description="share of people whom methods may use to stop in time; none under the paper's"
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
            return {"held_out": PROTOCOLS["paper"]} | values
        return values

    @field_validator("private", "held_out")
    @classmethod
    def _as_in_the_paper(cls, value: Any, info: ValidationInfo) -> Any:
        paper = {"private": PRIVATE, "held_out": PROTOCOLS["paper"]}[info.field_name or ""]
        given = frozenset(value) if isinstance(value, tuple) else value
        if info.data.get("protocol") == "paper" and given != paper:
            raise ValueError("protocol=paper forgets health and criminal records and holds nobody out: leave this out")
        return value


@dataclass(frozen=True)
class FIUBenchData:
    """A dataset, where it came from, and who is forgotten."""

    location: Location
    dataset: Dataset
    sets: People
    private: frozenset[Group] = PRIVATE
    notices: tuple[str, ...] = ()
    """What the user should know before anything is computed."""

    @property
    def fingerprint(self) -> str:
        """Digest of the files."""
        return self.dataset.fingerprint

    def path_of(self, sample: Fact) -> str:
        """A sample's picture, within the dataset's folder."""
        return sample.image.relative_to(self.dataset.root).as_posix()

    @property
    def split(self) -> Split:
        """Who is forgotten, who is held out, and which groups of questions are private."""
        return split_of(self.dataset, self.sets, self.private)


@task("fiubench", reference="arXiv:2411.03554")
class FIUBenchTask(Task):
    """Private facts about fictitious people: asked outright, in other words, and weighed by their likelihood."""

    provides_sets = True
    # Its `datasets` loader mixes several files up, so the files themselves are fetched.
    hub = HubDataset(("gray311/FIUBench",), ("full.json", "split.json", "SFHQ.zip"))
    headlines = (
        Headline("Forget", "forget.rouge_l", "ROUGE-L"),
        Headline("Forget", "forget.exact_match", "EM"),
        Headline("Forget", "forget.ape", "APE"),
        Headline("Forget", "forget.min_k", "Min-K"),
        Headline("Forget", "forget.refusal_rate", "Refused"),
        Headline("Non-private", "nonprivate.rouge_l", "ROUGE-L"),
        Headline("Retain", "retain.rouge_l", "ROUGE-L"),
        Headline("Retain", "retain.exact_match", "EM"),
        Headline("Retain", "retain.truth_ratio", "Truth"),
    )
    Options = FIUBenchOptions
    Prediction = Prediction
    outputs = (
        "prediction", "paraphrased_predictions", "logprobs", "paraphrased_logprobs", "perturbed_logprobs",
        "explanation",
    )  # fmt: skip

    options: FIUBenchOptions

    @classmethod
    def metric_of(cls, name: str) -> "type[Metric] | None":
        """Of SET.METRIC, the metric."""
        known = name.partition(".")[2]
        return metrics.get(known) if known in metrics else None

    @property
    def protocol(self) -> dict[str, Any]:
        """The scorer and the metrics as they are now; under ``metrics`` those that were asked for besides."""
        own = sorted({name for names in REPORTED.values() for name in names})
        about = {"scorer": get_scorer(self.options.scorer).label}
        about["reported"] = {name: metrics.get(name).version for name in own}
        known = {
            name: {"version": metrics.get(name).version, "code": metrics.code(name)} for name in self.options.metrics
        }
        return about | ({"metrics": known} if known else {})

    def load(self, source: str, forget: int | str | None) -> FIUBenchData:
        """Read a folder in FIUBench's layout and divide it into sets."""
        for name in self.options.metrics:
            metrics.get(name)  # an unknown one is named before anything is computed
        location = locate(source, self.name, self.hub)
        if source == "hub":
            location = unpacked(location, ("full.json", "split.json"), "SFHQ.zip", "SFHQ")
        dataset = read(location.folder)
        private = frozenset(self.options.private)
        sets = split_sets(dataset, forget, private, self.options.held_out)
        blind = self.remarks([{"answer": sample.answer} for sample in sets.all])
        notices = (*remarks(dataset), *_other_people(dataset, forget, sets), *blind)
        return FIUBenchData(location, dataset, sets, private, notices)

    def sets(self, data: FIUBenchData) -> People:
        """Forget, non-private and other samples."""
        return data.sets

    def texts(self, data: FIUBenchData) -> Iterator[tuple[str, str, str]]:
        """Questions and answers in all their wordings."""
        for sample in data.sets.in_order:
            question, where = sample.question, f"{data.dataset.root / 'full.json'}: {sample.id}"
            yield where, "question", question.question
            yield where, "answer", question.answer
            yield from ((where, "paraphrased_question", text) for text in question.paraphrased_questions)
            yield where, "paraphrased_answer", question.paraphrased_answer or ""
            yield from ((where, "perturbed_answer", text) for text in question.perturbed_answers)

    def score(self, predictions: Sequence[Any]) -> "dict[str, MetricValue]":
        """What text alone tells; which set the questions are of is not known, so neither is which way is better."""
        scorer, found = get_scorer(self.options.scorer), {}
        for metric in (RougeL(), ExactMatch()):
            values = [(each["unique_id"], metric.values(each, scorer)) for each in predictions]
            found[metric.name] = over_questions(values, seed=0, higher_is_better=None)
        return found

    def remarks(self, predictions: Sequence[Any]) -> tuple[str, ...]:
        """Whether the scorer cannot see some answers."""
        said = (
            None if get_scorer(self.options.scorer).any_script else blindness([each["answer"] for each in predictions])
        )
        return (said,) if said else ()

    def evaluate(self, model: "VLM", data: FIUBenchData, run: "Run") -> Evaluation:
        """Ask everything once, the forget set's questions in three more wordings, and weigh likelihoods."""
        records = collect(model, data, self.options, run)
        explain(model, data, records)
        facts = {} if data.sets.held_out else {"early_stopping": data.sets.early_stopping}
        return replace(self.measured(records), facts=facts)

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """Every reported metric, and the further ones of the options."""
        found = evaluated(records, self.options.scorer, self.options.metrics)
        return Evaluation([dict(record) for record in records], found)

    def by_cluster(self, records: Sequence[Any]) -> "dict[str, dict[str, tuple[float, int]]]":
        """Metrics of the forget set by person."""
        scorer = get_scorer(self.options.scorer)
        forget = [record for record in records if record["set"] == "forget"]
        found: dict[str, dict[str, tuple[float, int]]] = {}
        for name in dict.fromkeys((*REPORTED["forget"], *self.options.metrics)):
            metric, values = metrics.get(name)(), defaultdict[str, list[float]](list)
            for record in forget:
                values[record["unique_id"]] += [v for v in metric.values(record, scorer) if v is not None]
            found[f"forget.{name}"] = {person: (fsum(each), len(each)) for person, each in values.items() if each}
        return found

    def examples(self, records: Sequence[Any]) -> list[dict[str, Any]]:
        """Samples of each set, of every person another question."""
        chosen = []
        for name, count in EXAMPLES.items():
            of = defaultdict[str, list[Any]](list)
            for record in sorted((each for each in records if each["set"] == name), key=lambda each: each["id"]):
                of[record["unique_id"]].append(record)
            turned = (record for place, own in enumerate(of.values()) for record in own[place:] + own[:place])
            chosen += [*islice(_in_turns(turned, lambda record: record["unique_id"]), count)]
        return [{key: record[key] for key in EXAMPLE if key in record} for record in chosen]


def _other_people(dataset: Dataset, forget: int | str | None, sets: People) -> Iterator[str]:
    """Whether a published name means other people in this folder than in the paper."""
    rows = FORGET.get(forget) if isinstance(forget, str) and dataset.is_fiubench else None
    if rows is not None and {*sets.forgotten} != {dataset.ids[row] for row in rows}:
        yield (
            f"--forget {forget}: this folder's split.json ({dataset.variant}) gives {len(sets.forgotten)} people that "
            f"name; the paper's {forget} are {len(rows)}: --forget {len(rows)}"
        )


def evaluated(records: Iterable[Record], scorer_name: str, further: Sequence[str] = ()) -> dict[str, "MetricValue"]:
    """Every reported metric and those ``further`` ones, computed from the stored records alone."""
    scorer, records = get_scorer(scorer_name), list(records)
    views = {
        "forget": [record for record in records if record["set"] == "forget"],
        "nonprivate": [record for record in records if record["set"] == "nonprivate"],
        "retain": [record | {"set": "retain"} for record in records if record["set"] != "forget"],
    }
    return {
        f"{name}.{metric}": measure(metrics.get(metric)(), views[name], scorer, set_name=name, seed=0)
        for name, wanted in REPORTED.items()
        for metric in dict.fromkeys((*wanted, *further))
    }


def collect(model: "VLM", data: FIUBenchData, options: FIUBenchOptions, run: "Run") -> list[Record]:
    """One record a sample: answers and log-probabilities."""
    sets = data.sets
    named = [("forget", s) for s in sets.forget] + [("nonprivate", s) for s in sets.nonprivate]
    named += [("others", s) for s in sets.others]
    size, samples = options.batch_size, [sample for _, sample in named]
    asked = [Ask((s.id, 0), s, options.max_new_tokens) for s in samples]
    asked += [request for s in sets.forget for request in _reworded(s, options.max_new_tokens)]
    said = ask(model, asked, run, batch_size=size, what="fiubench: asking")
    weights = [request for sample in samples for request in _weighed(sample)]
    weighed = ask(model, weights, run, batch_size=size, what="fiubench: likelihoods")
    records: list[Record] = []
    for name, sample in named:
        question = sample.question
        reworded = question.paraphrased_questions if name == "forget" else ()
        records.append(
            {
                "set": name,
                "id": sample.id,
                "unique_id": sample.cluster,
                "group": str(question.group),
                "image": data.path_of(sample),
                "question": question.question,
                "answer": question.answer,
                "keywords": list(question.keywords),
                "prediction": said[sample.id, 0],
                "paraphrased_predictions": [said[sample.id, place] for place, _ in enumerate(reworded, start=1)],
                "logprobs": weighed[sample.id, "answer", 0],
                "paraphrased_logprobs": weighed.get((sample.id, "paraphrased", 0)),
                "perturbed_logprobs": [
                    weighed[sample.id, "perturbed", place] for place, _ in enumerate(question.perturbed_answers)
                ],
            }
        )
    return records


def _reworded(sample: Fact, max_new_tokens: int) -> Iterator[Ask[tuple[str, int]]]:
    """A sample asked in other words, which are numbered from 1."""
    for place, text in enumerate(sample.question.paraphrased_questions, start=1):
        yield Ask((sample.id, place), Asked(text, sample.images), max_new_tokens)


def _weighed(sample: Fact) -> Iterator[Weigh[tuple[str, str, int]]]:
    """The answers whose likelihood is wanted: true, paraphrased if there is one, perturbed."""
    question = sample.question
    yield Weigh((sample.id, "answer", 0), sample, question.answer)
    if question.paraphrased_answer:
        yield Weigh((sample.id, "paraphrased", 0), sample, question.paraphrased_answer)
    for place, text in enumerate(question.perturbed_answers):
        yield Weigh((sample.id, "perturbed", place), sample, text)


EXAMPLES = {"forget": 4, "nonprivate": 2, "others": 2}
"""How many samples of each set a leaderboard shows."""

EXPLAINED = 8
"""How many forget samples carry what the method did to their picture."""


def explain(model: "VLM", data: FIUBenchData, records: list[Record]) -> None:
    """Add to a few forget records, one person after the other, what an edit of visual tokens did to the picture."""
    turns = _in_turns(data.sets.forget, lambda sample: sample.cluster)
    chosen = {sample.id: sample for sample in islice(turns, EXPLAINED)}
    said = model.explain(model.prepare(list(chosen.values())))
    if said is None:
        return
    facts = dict(zip(chosen, said, strict=True))
    for record in records:
        if record["id"] in facts and record["set"] == "forget":
            record["explanation"] = {"image": record["image"], **facts[record["id"]]}


def _in_turns(items: Iterable[T], whose: Callable[[T], str]) -> Iterator[T]:
    """The first item of everybody, then everybody's second, and so on."""
    of: defaultdict[str, list[T]] = defaultdict(list)
    for item in items:
        of[whose(item)].append(item)
    yield from (item for turn in zip_longest(*of.values()) for item in turn if item is not None)
