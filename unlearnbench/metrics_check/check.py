"""From what the pool answers to the result: figures of every metric and of two that know nothing."""

from collections.abc import Sequence

import numpy as np

from ..engine.planning import Plan
from ..engine.rows import base_of, data_info, model_info, plain_params
from ..errors import UsageError
from ..results.row import utc_now
from ..runtime.provenance import package_version
from .figures import Valued, figures
from .kinds import Kind
from .pool import Member, Valuations
from .result import CheckedTask, KindEntry, LeftOut, MetricEntry, MetricsCheck
from .stored import FromRows

CONSTANT, RANDOM = NULLS = "null.constant", "null.random"
"""Metrics that know nothing: always 1/2, and a number drawn for each answer."""


def check(
    plan: Plan,
    members: Sequence[Member],
    left_out: Sequence[Kind],
    told: Sequence[Valuations],
    stored: FromRows,
) -> MetricsCheck:
    """The result; ``plan`` is one of the references', ``stored`` what rows tell besides."""
    names = dict.fromkeys(name for each in told for name in each.values)
    entries, unmeasured = list[MetricEntry](), list[LeftOut]()
    for name in names:
        try:
            found = figures(name, valued(name, told))
        except ValueError as error:
            unmeasured.append(LeftOut(name=name, why=str(error)))
        else:
            entries.append(MetricEntry.of(name, found, stored.robustness.get(name, {})))
    if not entries:
        raise UsageError(
            f"task {plan.task.name!r} has no metric of its forget set question by question: nothing to check"
        )
    return MetricsCheck(
        task=CheckedTask(name=plan.task.name, version=plan.task.version, options=plain_params(plan.task.options)),
        data=data_info(plan.data_source, plan.data),
        split=plan.unlearning.split,
        model=model_info(plan),
        base=base_of(plan)["params"],
        seeds=tuple(dict.fromkeys(each.seed for each in members)),
        questions=len(plan.sets.forget),
        people=len(plan.sets.forgotten),
        kinds=tuple({each.kind.name: _kind(each) for each in members}.values()),
        left_out=tuple(
            LeftOut(name=kind.name, why=f"the data have no {kind.lacks}, or of too few questions") for kind in left_out
        ),
        metrics=tuple(entries),
        unmeasured=tuple(unmeasured),
        nulls=tuple(MetricEntry.of(name, figures(name, null(name, told)), {}) for name in NULLS),
        rankings=stored.rankings,
        unlearnbench=package_version(),
        made_at=utc_now(),
    )


def _kind(member: Member) -> KindEntry:
    kind, altered = member.kind, member.altered
    return KindEntry(name=kind.name, knows=kind.knows, about=kind.about, altered=len(altered.changed), of=altered.of)


def valued(metric: str, told: Sequence[Valuations]) -> list[Valued]:
    """The values of one metric, model by model; raises ValueError where one has none, or of other questions."""
    found = [
        Valued(each.kind.name, each.kind.knows, each.kind.clean, each.seed, each.values.get(metric, {}))
        for each in told
    ]
    sizes = [{name: len(of) for name, of in each.values.items()} for each in found]
    if any(size != sizes[0] for size in sizes):
        raise ValueError("it has values of other questions from model to model")
    return found


def null(name: str, told: Sequence[Valuations]) -> list[Valued]:
    """The values of a metric that knows nothing, as many of each person as a real one has."""
    like = next(iter(told[0].values.values()))
    rng = np.random.default_rng(0)
    return [
        Valued(
            each.kind.name,
            each.kind.knows,
            each.kind.clean,
            each.seed,
            {person: [0.5] * len(of) if name == CONSTANT else [*rng.random(len(of))] for person, of in like.items()},
        )
        for each in told
    ]
