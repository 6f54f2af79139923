"""Metrics over a task's records: means with intervals, set by set, and the same by cluster."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from types import MappingProxyType
from typing import Any

from ..contracts import Task
from ..contracts.metric import Metric, Record
from ..registry import metrics
from .direction import side
from .scorers import STRICT, Scorer
from .statistics import MetricValue, over_questions

Wanted = Mapping[str, Sequence[str]]
"""The names of metrics by the set that they are taken over."""

NONE: Wanted = MappingProxyType({})


def measure(metric: Metric, records: Iterable[Record], scorer: Scorer, *, set_name: str, seed: int) -> MetricValue:
    """The metric's mean over the records of one set, with an interval that resamples clusters.

    Records that lack what the metric requires do not enter it: ``n`` counts the values that do, ``questions`` the
    records that have any, and where there are none the value is None, with the reason.
    """
    own = [each for each in records if each["set"] == set_name]
    samples = [(each["cluster"], metric.values(each, scorer)) for each in own]
    summary = over_questions(samples, seed=seed, higher_is_better=side(metric.direction(set_name)))
    if own and not any(map(metric.applies, own)):
        return replace(summary, reason=f"no {set_name} sample has {' and '.join(metric.requires)}")
    return summary


def measure_sets(task: Task, records: Sequence[Any], wanted: Wanted = NONE, scorer: Scorer = STRICT) -> dict[str, Any]:
    """`MetricValue` of ``SET.METRIC`` for every registered metric ``wanted`` of a set.

    What the task's option ``metrics`` names is wanted of each of its sets.
    """
    views = task.views(records)
    every = all_of(views)
    named = {name: dict.fromkeys((*wanted.get(name, ()), *further(task))) for name in views}
    made = {
        metric: metrics.get(metric)().fitted(every) for metric in {metric for of in named.values() for metric in of}
    }
    return {
        f"{name}.{metric}": measure(made[metric], own, scorer, set_name=name, seed=0)
        for name, own in views.items()
        for metric in named[name]
    }


def by_question(
    records: Iterable[Record], names: Iterable[str], scorer: Scorer = STRICT, *, among: Sequence[Record] = ()
) -> dict[str, dict[str, list[float]]]:
    """Of records of one set: the values of single questions by cluster, of each metric ``SET.METRIC``.

    ``among`` are all records of the evaluation, for metrics that read the others too; without it they are the same.
    """
    records, found = list(records), {}
    for name in names if records else ():
        metric, values = metrics.get(name)().fitted(among or records), defaultdict[str, list[float]](list)
        for record in records:
            values[record["cluster"]] += [v for v in metric.values(record, scorer) if v is not None]
        found[f"{records[0]['set']}.{name}"] = {cluster: each for cluster, each in values.items() if each}
    return found


def by_cluster(
    records: Iterable[Record], names: Iterable[str], scorer: Scorer = STRICT, *, among: Sequence[Record] = ()
) -> dict[str, dict[str, tuple[float, int]]]:
    """Of records of one set: sum and number of the values by cluster, of each metric ``SET.METRIC``."""
    return {
        metric: {cluster: (fsum(each), len(each)) for cluster, each in of.items()}
        for metric, of in by_question(records, names, scorer, among=among).items()
    }


def all_of(views: Mapping[str, Sequence[Record]]) -> list[Record]:
    """The records of all sets, one after the other."""
    return [record for own in views.values() for record in own]


def further(task: Task) -> tuple[str, ...]:
    """The metrics that a task's option ``metrics`` names."""
    return tuple(getattr(task.options, "metrics", ()))


def further_versions(task: Task) -> dict[str, Any]:
    """What those metrics are, for a task's ``protocol``; raises `UsageError` for a name that nobody registered."""
    known = {name: {"version": metrics.get(name).version, "code": metrics.code(name)} for name in further(task)}
    return {"metrics": known} if known else {}
