"""What to change where a stage does not fit: each estimate is made again with one setting changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...contracts import Method, Params
from ...contracts.footprint import Counts, Footprint, Workload
from ...models.files.card import ModelCard
from .counts import counts
from .estimate import Estimate, Machine, evaluation
from .training import training

Remedy = tuple[str, Callable[[], Estimate]]
"""What a user would type, and the stage as it then were."""

UNKNOWN = "not known: define footprint"


def stages(
    card: ModelCard,
    base: Params,
    methods: Mapping[str, tuple[type[Method], Params]],
    machine: Machine,
    work: Workload,
) -> list[Estimate]:
    """Every stage that a grid of ``methods`` goes through on one model, in order; nothing for one that trains nothing.

    A method that does not say what it needs has an estimate without parts, and `UNKNOWN` as its advice.
    """
    count = counts(card)
    found = [_training("base", base, lambda params: params.footprint(work), count, machine, work)]
    for name, (method, chosen) in methods.items():
        found.append(_training(name, chosen, _footprint_of(method, count, work), count, machine, work))
    return [*(each for each in found if each is not None), _evaluation(count, machine, work)]


def _footprint_of(method: type[Method], count: Counts, work: Workload) -> Callable[[Params], Footprint | None]:
    return lambda params: method(params).footprint(count, work)


def advised(made: Estimate, changes: Iterable[Remedy]) -> Estimate:
    """The estimate with what to change, if it does not fit: the first change that helps, the mildest first."""
    if made.fits:
        return made
    told = next((told for told, changed in changes if changed().fits), "a larger GPU, or a smaller model")
    return replace(made, advice=told)


def _training(
    stage: str,
    params: Params,
    footprint: Callable[[Params], Footprint | None],
    count: Counts,
    machine: Machine,
    work: Workload,
) -> Estimate | None:
    """The estimate of a stage that trains, with advice; None where nothing is trained."""
    own = footprint(params)
    if own is None:
        return Estimate(stage, {}, 0.0, machine, UNKNOWN)
    if not own.samples:
        return None

    def changed(update: dict[str, Any], processes: int = machine.processes) -> Callable[[], Estimate]:
        def made() -> Estimate:
            other = footprint(params.model_copy(update=update)) or own
            return training(stage, count, other, replace(machine, processes=processes), work)

        return made

    return advised(changed({})(), _changes(stage, own, params, changed, machine.processes))


def _changes(
    stage: str, own: Footprint, params: Params, changed: Callable[..., Callable[[], Estimate]], processes: int
) -> list[Remedy]:
    """What may help, the mildest first: each with those before it. Only parameters that the method has are changed."""
    lighter: dict[str, Any] = {}
    changes: list[Remedy] = []
    for name, value in {"gradient_checkpointing": True, "micro_batch_size": 1}.items():
        if name in type(params).model_fields:
            lighter = lighter | {name: value}
            changes.append((f"--set {stage}.{name}={str(value).lower()}", changed(lighter)))
    if own.full and "full" in type(params).model_fields:
        told = own.instead or f"--set {stage}.full=false"
        changes.append((told, changed(lighter | {"full": False})))
    if own.full:
        changes += [(f"--gpus {n}", changed({}, n)) for n in (2, 4, 8) if n > processes]
    return changes


def _evaluation(count: Counts, machine: Machine, work: Workload) -> Estimate:
    few = (
        (f"--set TASK.batch_size={n} for every task", lambda n=n: evaluation(count, machine, work, n)) for n in (4, 1)
    )
    return advised(evaluation(count, machine, work), few)
