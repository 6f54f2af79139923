"""Checks of a task: what it loads and divides, asks and scores, with what stands in for a model."""

import copy
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..contracts import EXAMPLE, Evaluation, Headline, Params, Summary, Task
from ..contracts.sample import LEARNED, Sample, Sets, clusters
from ..engine.handed import checked_data, checked_evaluation
from ..engine.keys import canonical
from ..errors import PluginError, UnlearnbenchError, UsageError
from ..metrics.direction import metric_of, side
from ..metrics.measure import measure
from ..metrics.scorers import STRICT
from ..metrics.statistics import MetricValue
from ..metrics.text import RefusalRate
from ..registry import tasks
from ..runtime.run import Run
from .expect import CheckError, expect, refused
from .voice import Voice


@dataclass(frozen=True)
class TaskCase:
    """A task, where its data are and what is forgotten of them; what is loaded and found is so once."""

    task: Task
    source: str
    forget: int | str | None
    model: Any

    def load(self, seed: int = 0) -> Any:
        """The data, read anew."""
        return checked_data(self.task, self.task.load(self.source, self.forget, seed))

    @cached_property
    def data(self) -> Any:
        """The data."""
        return self.load()

    def evaluate(self, model: Any) -> Evaluation:
        """What the task finds, as the engine takes it."""
        return checked_evaluation(self.task, self.task.evaluate(model, self.data, Run()))

    @cached_property
    def voice(self) -> Any:
        """What is asked."""
        return self.model or Voice(0)

    @cached_property
    def found(self) -> Evaluation:
        """What the task finds of it."""
        return self.evaluate(self.voice)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its records, as they come back from a file."""
        read: list[dict[str, Any]] = json.loads(json.dumps(self.found.records))
        return read


def check_task(
    task: str | type[Task] | Task,
    source: str | Path = "embedded",
    *,
    forget: int | str | None = None,
    model: Any = None,
) -> None:
    """Check a task, by its name or class with default options or as it is, on the data in ``source``.

    What it loads must be the same each time, its sets must not overlap, its records must be all that its scores rest
    on, and what is wrong must be told in one line. ``model`` is asked; without one, something that stands in for it
    and knows no more than `unlearnbench.ask` needs. Raises `CheckError` for the first that fails.
    """
    made = tasks.get(task) if isinstance(task, str) else task
    made = made(made.Options()) if isinstance(made, type) else made
    case = TaskCase(made, str(source), forget, model)
    for check in CHECKS:
        try:
            check(case)
        except (CheckError, PluginError) as error:
            raise CheckError(f"task {made.name}: {error}") from None


# --------------------------------------------------------------------------------------------------------- the class
def _contract(case: TaskCase) -> None:
    kind = type(case.task)
    expect(kind.name in tasks and tasks.get(kind.name) is kind, f'register it with @task("{kind.name}")')
    expect(issubclass(kind.Options, Params), "its Options should be a subclass of unlearnbench.Params")
    options = case.task.options
    again = kind.Options.model_validate(json.loads(options.model_dump_json()))
    expect(again == options, "its options should be what they were once they were written as JSON")
    expect(canonical(case.task.protocol) == canonical(case.task.protocol), "its protocol should be the same each time")
    expect(all(isinstance(each, Headline) for each in (*kind.headlines, *kind.details)), "headlines are Headline")
    expect(kind.metric_sets and len({*kind.metric_sets}) == len(kind.metric_sets), "metric_sets should name each once")


def _loads(case: TaskCase) -> None:
    one, other, seeded = case.data, case.load(), case.load(seed=1)
    expect(isinstance(one.fingerprint, str) and one.fingerprint, "the data's fingerprint should be a digest, a string")
    expect(one.fingerprint == other.fingerprint, "the same data should have the same fingerprint each time")
    expect(one.fingerprint == seeded.fingerprint, "the data's fingerprint should not depend on the seed")
    expect(one.split == other.split, "the same people should be forgotten each time")
    notices = getattr(one, "notices", ())
    expect(all(isinstance(each, str) and "\n" not in each for each in notices), "notices should be lines of text")
    for parts in case.task.texts(one):
        expect(len(parts) == 3 and all(isinstance(each, str) for each in parts), "texts should be (where, field, text)")


def _refuses(case: TaskCase) -> None:
    with TemporaryDirectory() as empty:
        with refused(UnlearnbenchError, "load, of a folder without its data", empty):
            case.task.load(empty, case.forget, 0)
        nowhere = str(Path(empty) / "nowhere")
        with refused(UnlearnbenchError, "load, of a folder that is not there", nowhere):
            case.task.load(nowhere, case.forget, 0)
    if case.task.provides_sets:
        with refused(UsageError, "load, of a split that is not there", "no-such-split"):
            case.task.load(case.source, "no-such-split", 0)
    else:
        with refused(UsageError, "sets, of a task without a forget set", case.task.name):
            case.task.sets(case.data)


def _describes(case: TaskCase) -> None:
    if type(case.task).summary is not Task.summary:
        found = case.task.summary(case.data.location.folder)
        expect(isinstance(found, Summary), "its summary should be an unlearnbench.Summary")
        json.dumps(found.counts)
        expect(all(len(row) == len(of.columns) for of in found.tables for row in of.rows), "rows should fit columns")


# ---------------------------------------------------------------------------------------------------------- the sets
def _sets(case: TaskCase) -> None:
    if not case.task.provides_sets:
        return
    sets = case.task.sets(case.data)
    expect(isinstance(sets, Sets), "its sets should be unlearnbench.Sets")
    expect(sets.forget, "there should be something to forget")
    groups: list[Sequence[Sample]] = [
        *(getattr(sets, name) for name in (*LEARNED, "strangers", "acquaintances")),
        *sets.further.values(),
    ]
    every = [sample for samples in groups for sample in samples]
    name, times = Counter(sample.id for sample in every).most_common(1)[0]
    expect(times == 1, f"a sample should be in one set, under an id of its own; {name!r} is there {times} times")
    expect(all(sample.answer for sample in every), "every sample should have an answer to be learned")
    for sample in every:
        expect(all(image.is_file() for image in sample.images), f"pictures of {sample.id!r} should be files")
    forgotten = {sample.cluster for sample in sets.forget}
    expect(forgotten <= {*sets.forgotten}, "forgotten should name every cluster of the forget set")
    for name in ("others", *APART):
        shared = forgotten & {*clusters(getattr(sets, name))}
        expect(not shared, f"clusters of the forget set should be in no other set but nonprivate: {sorted(shared)[:3]}")
    for name in APART:
        elsewhere = (sample for each in ("others", *APART) if each != name for sample in getattr(sets, each))
        shared = {*clusters(getattr(sets, name))} & {*clusters(elsewhere)}
        expect(not shared, f"clusters of {name} should be in no other set: {sorted(shared)[:3]}")
    expect(sets == case.task.sets(case.data), "its sets should be the same each time")
    learned = case.task.sets(case.load(seed=1)).in_order
    expect(learned == sets.in_order, "what the base learns, and its order, should not depend on the seed")


APART = ("validation", "held_out", "strangers", "acquaintances")
"""Sets of clusters on whom no method trains."""


# ------------------------------------------------------------------------------------------------------- the records
def _asks(case: TaskCase) -> None:
    before = case.data.fingerprint
    sets = copy.deepcopy(case.task.sets(case.data)) if case.task.provides_sets else None
    once, again = case.found, case.evaluate(case.voice)
    expect(once.records, "it should keep a record of every sample")
    expect(once.records == again.records, "asked twice, it should keep the same records")
    expect(once.metrics == again.metrics, "asked twice, it should find the same scores")
    unchanged = case.data.fingerprint == before and (sets is None or case.task.sets(case.data) == sets)
    expect(unchanged, "evaluate should leave the data as they are")
    for query in getattr(case.voice, "asked", ()):
        expect(
            query.text and all(image.is_file() for image in query.images), f"{query.text!r}: pictures should be files"
        )
    named = {each.metric for each in (*case.task.headlines, *case.task.details)} - {*once.metrics}
    expect(not named, f"headlines should be among its scores; {sorted(named)[:3]} are not")


def _outputs(case: TaskCase) -> None:
    if case.model is not None:
        return
    other = case.evaluate(Voice(1)).records
    lists = [[{k: v for k, v in each.items() if k not in case.task.outputs} for each in of] for of in
             (case.found.records, other)]  # fmt: skip
    expect(lists[0] == lists[1], "outputs should name all of a record that comes from the model")
    expect(case.found.records != other, "what two models say should make a difference to its records")


def _measures(case: TaskCase) -> None:
    task, records = case.task, case.records
    if type(task).measured is Task.measured:
        return
    kept, found = copy.deepcopy(records), task.measured(records)
    expect(records == kept, "measured should leave records as they are")
    expect(found.metrics == case.found.metrics, "measured(records) should find what evaluate found")
    shuffled = random.Random(0).sample(records, len(records))
    expect(task.measured(shuffled).metrics == found.metrics, "the order of records should not matter to its scores")
    for name, value in found.metrics.items():
        if (metric := metric_of(type(task), name)) and value.value is not None:
            better = side(metric().direction(name.partition(".")[0]))
            expect(value.higher_is_better is better, f"{name}: better should be what its metric says")


def _views(case: TaskCase) -> None:
    views = case.task.views(case.records)
    expect([*views] == [*case.task.metric_sets], "views should have an entry for each of metric_sets, in their order")
    expect(any(views.values()), f"records should say of which set they are: none is of {', '.join(views)}")
    for name, records in views.items():
        alright = all(each["set"] == name and isinstance(each["cluster"], str) for each in records)
        expect(alright, f"views: records of {name} should say so, and name their cluster (record_of does both)")
        measure(RefusalRate(), records, STRICT, set_name=name, seed=0)


def _by_cluster(case: TaskCase) -> None:
    scores = case.found.metrics
    for name, of in case.task.by_cluster(case.records).items():
        expect(name in scores, f"by_cluster: {name} should be among its scores")
        total, count = sum(each for each, _ in of.values()), sum(each for _, each in of.values())
        value = scores[name].value
        same = scores[name].n == count and (value is None or abs(value - total / count) < 1e-9)
        expect(same, f"by_cluster: the sums of {name} should make up its mean")


def _examples(case: TaskCase) -> None:
    found = case.task.examples(case.records)
    expect(all({*each} <= {*EXAMPLE} for each in found), f"examples should have no keys but {', '.join(EXAMPLE)}")
    ids = {each["id"] for each in case.records}
    expect(all(each.get("id") in ids for each in found), "examples should be of its records")


def _scores(case: TaskCase) -> None:
    if case.task.Prediction is None:
        return
    try:
        read = [TypeAdapter(case.task.Prediction).validate_python(each) for each in case.records]
    except ValidationError as error:
        raise CheckError(f"its records should be predictions that score takes: {error.errors()[0]['msg']}") from None
    found = case.task.score(read)
    expect(all(isinstance(each, MetricValue) for each in found.values()), "score should return MetricValue by name")
    expect(all(isinstance(each, str) for each in case.task.remarks(read)), "remarks should be lines of text")
    json.dumps(case.task.nested(found))


CHECKS = (
    _contract, _loads, _refuses, _describes, _sets, _asks, _outputs, _measures, _views, _by_cluster, _examples, _scores,
)  # fmt: skip
"""In the order in which a task comes about."""
