"""What to change where a stage does not fit: each estimate is made again with one setting changed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ...contracts import Params
from ...models.files.card import ModelCard
from ...training.params import FinetuneParams, TrainParams
from .estimate import Counts, Estimate, Machine, Workload, counts, evaluation, finetune, learns_all, on_frozen

Change = tuple[str, Callable[[], Estimate]]
"""What a user would type, and the stage as it then were."""


def advised(made: Estimate, changes: Iterable[Change]) -> Estimate:
    """The estimate with what to change, if it does not fit: the first change that helps, the mildest first."""
    if made.fits:
        return made
    told = next((told for told, changed in changes if changed().fits), "a larger GPU, or a smaller model")
    return replace(made, advice=told)


def _finetune(
    stage: str, count: Counts, params: FinetuneParams, machine: Machine, work: Workload, samples: int
) -> Estimate:
    def changed(update: dict[str, Any], processes: int = machine.processes) -> Callable[[], Estimate]:
        other, more = params.model_copy(update=update), replace(machine, processes=processes)
        return lambda: finetune(stage, count, other, more, work, samples)

    light = {"gradient_checkpointing": True}
    lightest = light | {"micro_batch_size": 1}
    changes = [
        (f"--set {stage}.gradient_checkpointing=true", changed(light)),
        (f"--set {stage}.micro_batch_size=1", changed(lightest)),
    ]
    if params.full:
        told = "--base lora" if learns_all(params) else f"--set {stage}.full=false"
        changes.append((told, changed(lightest | {"full": False})))
        changes += [(f"--gpus {n}", changed({}, n)) for n in (2, 4, 8) if n > machine.processes]
    return advised(finetune(stage, count, params, machine, work, samples), changes)


def _on_frozen(stage: str, count: Counts, params: TrainParams, machine: Machine, work: Workload) -> Estimate:
    one = params.model_copy(update={"micro_batch_size": 1})
    change = f"--set {stage}.micro_batch_size=1", lambda: on_frozen(stage, count, one, machine, work)
    return advised(on_frozen(stage, count, params, machine, work), [change])


def _evaluation(count: Counts, machine: Machine, work: Workload) -> Estimate:
    few = (
        (f"--set TASK.batch_size={n} for every task", lambda n=n: evaluation(count, machine, work, n)) for n in (4, 1)
    )
    return advised(evaluation(count, machine, work), few)


def stages(
    card: ModelCard, base: FinetuneParams, methods: dict[str, Params], machine: Machine, work: Workload
) -> list[Estimate]:
    """Every stage that a grid of ``methods`` goes through on one model, in order."""
    count = counts(card)
    found = [_finetune("base", count, base, machine, work, work.pairs)]
    for name, params in methods.items():
        if isinstance(params, FinetuneParams):
            samples = work.pairs - work.forget if learns_all(params) else 2 * work.forget
            found.append(_finetune(name, count, params, machine, work, samples))
        elif isinstance(params, TrainParams):
            found.append(_on_frozen(name, count, params, machine, work))
    return [*found, _evaluation(count, machine, work)]
