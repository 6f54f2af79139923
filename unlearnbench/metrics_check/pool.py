"""The pool: a model of each kind with each seed, made and stored as any other, and what each of them answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..contracts import Metric, Task
from ..contracts.attack import Asking, Values
from ..contracts.metric import FORGET
from ..engine.keys import digest
from ..engine.planning import Plan
from ..errors import PluginError, UsageError
from ..registry import metrics
from .kinds import KINDS, Altered, Kind

if TYPE_CHECKING:
    from ..engine.runner import Runner

OUTRIGHT = Asking(reworded=True)
"""As a task itself asks about the forget set: once more in other words, and with likelihoods."""


@dataclass(frozen=True)
class Member:
    """A model of the pool: its kind, the seed that it is trained with, and the plan by which it is made."""

    kind: Kind
    seed: int
    plan: Plan
    altered: Altered

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.kind.name}, seed {self.seed}"


@dataclass(frozen=True)
class Valuations:
    """What a model of the pool answers, as every metric values it, question by question."""

    kind: Kind
    seed: int
    values: Values


def pool(nothing: Plan, ideal: Plan, seeds: Sequence[int]) -> tuple[list[Member], list[Kind]]:
    """The models, kind by kind, and the kinds that the data have nothing for.

    ``nothing`` and ``ideal`` are the plans of the references, whose people all share; ``seeds`` are those of training.
    """
    members, left_out = list[Member](), list[Kind]()
    for kind in KINDS:
        plan = nothing if kind.knows else ideal
        altered = kind.alter(plan.sets)
        if altered is None:
            left_out.append(kind)
            continue
        for seed in seeds:
            cell = plan.cell.model_copy(update={"seed": seed, "base_seed": seed})
            own = replace(plan, cell=cell, sets=altered.sets, altered=_key(kind, altered))
            members.append(Member(kind, seed, own, altered))
    return members, left_out


def _key(kind: Kind, altered: Altered) -> dict[str, Any] | None:
    """What a key says of altered samples: every word of them."""
    if kind.clean:
        return None
    words = [[sample.id, sample.text, sample.answer] for sample in altered.changed]
    return {"kind": kind.name, "samples": digest(words)}


def refuse(task: Task) -> None:
    """Raise `UsageError` for a task that cannot be asked about the forget set alone."""
    if not task.can_be_attacked():
        raise UsageError(
            f"task {task.name!r} cannot be asked about its forget set alone: it defines no sets or no answers"
        )


def asked(member: Member, task: Task, runner: "Runner") -> Valuations:
    """Make the model, unless the store has it, and ask it about the forget set; answers are remembered as in a run."""
    from ..runtime.run import Run

    ready = runner.ready(member.plan)
    run = Run(0, runner.progress, journal=ready.journal)
    victims = task.sets(member.plan.data).forget
    records = task.answers(ready.model, {FORGET: victims}, member.plan.data, run, OUTRIGHT)
    return Valuations(member.kind, member.seed, values_of(task, records))


def measuring(task: Task) -> Task:
    """The same task with every registered metric, where its options can name some."""
    if "metrics" not in type(task.options).model_fields:
        return task
    return type(task)(task.options.model_copy(update={"metrics": tuple(single_metrics())}))


def single_metrics() -> Iterator[str]:
    """Metrics that judge a record by itself: others would find another evaluation here than in a run."""
    for name in metrics.names():
        try:
            kind = metrics.get(name)
        except PluginError:  # whoever asks for it is told
            continue
        if kind.fitted is Metric.fitted:
            yield name


def values_of(task: Task, records: Sequence[Any]) -> Values:
    """The values of single questions of the forget set, of every metric that has any."""
    found = task.by_question(records)
    return {name: of for name, of in found.items() if name.startswith(f"{FORGET}.") and any(of.values())}
