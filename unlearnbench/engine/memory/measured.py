"""What stages took on a machine of the same kind, as rows of a results folder tell: that is worth more than a count."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from pydantic import ValidationError

from ...config import BASE, RunConfig, attacked_tasks
from ...contracts import Params
from ...contracts.footprint import Counts, Footprint, Workload
from ...results.row import Row
from ...training.params import kind_of
from .advice import Trains
from .estimate import Estimate, Machine


class Measured:
    """The rows that tell of one model on a machine, and what of their stages a grid's would take."""

    def __init__(self, rows: Iterable[Row], model: str, machine: Machine, count: Counts, work: Workload) -> None:
        self._rows = [row for row in rows if row.status == "ok" and _is_of(row, model, machine)]
        self._count, self._work = count, work

    def told(
        self, made: Sequence[Estimate], config: RunConfig, base: Params, methods: Mapping[str, tuple[Trains, Params]]
    ) -> list[Estimate]:
        """The estimates with their seconds as measured, where they were."""
        found = {"evaluation": self._asking(config.tasks, None, exact=config.exact)}
        if config.attacks:
            on = attacked_tasks(config)
            found |= {f"evaluation under {name}": self._asking(on, name, exact=config.exact) for name in config.attacks}
        found[BASE] = self._base(base)
        found |= {name: self._trained(name, *each) for name, each in methods.items()}
        return [
            replace(each, seconds=took, measured=True) if (took := found.get(each.stage)) is not None else each
            for each in made
        ]

    def _asking(self, tasks: Sequence[str], attack: str | None, *, exact: bool) -> float | None:
        """Of one cell on each of the tasks, asked as plainly; None where one of them never was."""
        seconds = dict[str, list[float]]()
        for row in (each for each in self._rows if each.environment.exact == exact):
            if (row.attack.name if row.attack else None) == attack and row.cost and row.cost.eval_seconds:
                seconds.setdefault(row.task.name, []).append(row.cost.eval_seconds)
        return sum(median(seconds[name]) for name in tasks) if seconds.keys() >= {*tasks} else None

    def _base(self, params: Params) -> float | None:
        """Of the base, from those of its kind."""
        kind = kind_of(params.model_dump())
        costs = [
            (row.base.get("params"), cost.get("train_seconds"))
            for row in self._rows
            if row.base and "elsewhere" not in row.base and isinstance(cost := row.base.get("cost"), Mapping)
        ]

        def footprint(own: Params) -> Footprint | None:
            return own.footprint(self._work) if kind_of(own.model_dump()) == kind else None

        return self._scaled(costs, params, footprint)

    def _trained(self, name: str, kind: Trains, params: Params) -> float | None:
        """Of a method, or of an attack that changes the model."""
        about = [
            (row.attack or row.method, row.cost)
            for row in self._rows
            if row.cost and (row.attack or row.method).name == name
        ]
        costs = [(each.params, cost.train_seconds) for each, cost in about]
        return self._scaled(costs, params, lambda own: kind(own).footprint(self._count, self._work))

    def _scaled(
        self,
        costs: Iterable[tuple[Any, Any]],
        params: Params,
        footprint: Callable[[Params], Footprint | None],
    ) -> float | None:
        """The median of what was taken, each in proportion to the samples that its own parameters, and these, need.

        Of a base a row holds what somebody wrote there: whatever is no parameters and no seconds tells nothing.
        """
        wanted, taken = footprint(params), list[float]()
        if not (wanted and wanted.samples):
            return None
        for own, seconds in costs:
            try:
                needed = footprint(type(params).model_validate(own))
            except ValidationError:  # of a version with other parameters
                continue
            if isinstance(seconds, int | float) and 0 < seconds < math.inf and needed and needed.samples:
                taken.append(seconds * wanted.samples / needed.samples)
        return median(taken) if taken else None


def _is_of(row: Row, model: str, machine: Machine) -> bool:
    """Whether a row is of this model, on as many devices of the machine's kind."""
    where = row.environment
    return row.model.name == model and machine.kind in where.device and where.processes == machine.processes
