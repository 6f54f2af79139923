"""Audit of a gate: whom it knows, where it fails, what is behind it, and what it costs."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field

from unlearnbench import Asking, Attack, AttackParams, Gate, attack, gate_of, held
from unlearnbench.metrics.gates import gate_metrics

from .picture import Kind, Strength, changed, changes

if TYPE_CHECKING:
    from unlearnbench import VLM, MetricValue, Run, Sample, Target, Task

STRANGE = ("others", "validation", "held_out", "strangers", "acquaintances")
"""Sets whose people are not to be forgotten; of some the gate was trained on, of others it was not."""

NO_GATE = "the model sees every picture alike, through no gate: nothing is to be audited, and it was asked as it is"

TOKENS = 16
"""Of an answer whose seconds are counted."""

ROUNDS = 3
"""How often they are counted; the middle one is told."""


class GateParams(AttackParams):
    """Which pictures the gate is shown."""

    kinds: tuple[Kind, ...] = Field(get_args(Kind), description="changes of forgotten people's pictures")
    strengths: tuple[Strength, ...] = Field(("medium",), description="how much is changed")
    pictures: int = Field(200, ge=1, description="most pictures of each kind of people, and of each task's scenes")
    timed: int = Field(8, ge=0, description="questions whose seconds are counted, with the gate and without")

    presets = {"tiny": {"pictures": 48}}


@attack("gate")
class GateAudit(Attack):
    """How a gate tells pictures apart, what leaks where it is held open, what is lost where it is held closed.

    The score of every picture is kept: of those that it was trained on, changed ones and other ones of the same people,
    of people that it never saw, of scenes. A model without a gate is asked as it is.
    """

    access = "weights-write"
    Params = GateParams
    params: GateParams

    def ask(self, model: "VLM", target: "Target", run: "Run") -> dict[str, list[dict[str, Any]]]:
        """Held open, all that is asked; held closed, what is to be retained; scores, seconds and sizes."""
        gate, retain = gate_of(model), {"retain": target.utility}
        if gate is None:
            run.notes["gate"] = NO_GATE
            return {"open": target.records(model, {"forget": target.victims} | retain)}
        return {
            "open": target.records(model, {"forget": target.victims} | retain, Asking(gate="open")),
            "closed": target.records(model, retain, Asking(gate="closed")),
            "pictures": [each for pool, own in self._pools(target) for each in scored(model, gate, pool, own)],
            "cost": [*costs(model, gate, target, run, self.params.timed)],
        }

    def _pools(self, target: "Target") -> "Iterator[tuple[str, Mapping[Path, str]]]":
        """Pictures by whose they are, under the name of what they have in common."""
        own = whose(target.victims)
        yield "forget", own
        views = target.other_views(target.victims)
        others = {path: each.cluster for each in target.victims if each.id in views for path in views[each.id].images}
        yield "forget other photo", others
        for change in changes(self.params.kinds, self.params.strengths):
            made = {changed(change, target, path): person for path, person in own.items()}
            yield f"forget {change.name}", made
        for name in STRANGE:
            yield name, whose(getattr(target.sets, name))
        for task, paths in target.scenes().items():
            yield f"scenes of {task}", {path: str(path) for path in paths}

    def measured(self, task: "Task", records: Sequence[Any]) -> "dict[str, MetricValue]":
        """Of pictures, how the gate tells them apart; of costs, each; of answers, as the task has it."""
        if records and "score" in records[0]:
            return gate_metrics(records)
        if records and "cost" in records[0]:
            return _costs(records)
        return super().measured(task, records)
