"""Peak memory and seconds of two attacks that change a model, `relearn` and `quantise`, beside what `run` counts.

``python -m benchmarks.stages.attacks [--models NAME..] [--out FILE.json]``. On a GPU: the shape of Qwen2.5-VL-7B with
random weights and pictures of 1024 pixels, meant to end within 4 minutes. On a CPU: an embedded model, to see that it
runs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import BATCH, LARGE, NEW_TOKENS, StepTimes, build
from benchmarks.stages.measure import machine, report
from unlearnbench.attacks.quantise.rounding import Quantised, codes_changed
from unlearnbench.attacks.relearn import Relearn, RelearnParams
from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Sets
from unlearnbench.engine.memory.advice import asking, of_method
from unlearnbench.engine.memory.choice import workload
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import Estimate
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.models.contract.edits import Adapter, Trained
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.memory import PeakMemory
from unlearnbench.runtime.run import Run

STEPS = 6
"""Of each of relearn's two trainings, the first of which warms up."""

BITS = 4


def measured(name: str, device: str, sets: Sets) -> dict[str, Any]:
    """Both attacks on one model: what was counted and found."""
    card = card_for(name)
    count, here, work = counts(card), machine(name, device), workload(card)
    params = resolve(RelearnParams, "relearn", card.scale, {"aux": "strangers", "steps": (0, STEPS)})
    model = build(name, device)
    with tempfile.TemporaryDirectory() as folder:
        told = of_method("relearn", Relearn, params, count, here, work).made({})
        found = {"relearn": _relearn(model, params, sets, Path(folder), device, told)}
        told = asking(count, here, work, "quantise", beside=1)
        found["quantise"] = _quantise(model, lambda: build(name, device), sets, Path(folder), device, told)
    return found


def _relearn(
    model: VLM, params: RelearnParams, sets: Sets, folder: Path, device: str, told: Estimate
) -> dict[str, Any]:
    """Both trainings, and how long it takes to put on what came of one, and to take it off again."""
    clock, run = StepTimes(device), Run(0)
    run.progress = clock
    with PeakMemory(device) as memory:
        edit = [*Relearn(params).change(model, sets, run).values()][1]
    assert isinstance(edit, Adapter)
    edit.save(folder)
    edit.peft.unload()
    stored = Trained.load(folder, model)
    return {
        **_beside(told, memory.peak),
        "seconds_a_step": round(clock.step, 3),
        "batch_size": params.batch_size,
        "trained": edit.trainable_parameters,
        "seconds_to_put_on": _seconds(device, lambda: stored.apply(model)),
        "seconds_to_take_off": _seconds(device, lambda: stored.take_off(model)),
    }


def _quantise(
    model: VLM, another: Callable[[], VLM], sets: Sets, folder: Path, device: str, told: Estimate
) -> dict[str, Any]:
    """Rounding with the adapter in ``folder``, then as a cell goes: questions with the base beside, and its codes."""
    group = 128 if device == "cuda" else 32
    Trained.load(folder, model).apply(model)
    with PeakMemory(device) as memory:
        rounding = _seconds(device, lambda: Quantised(BITS, group).apply(model))
        base, some = another(), list(sets.all)[: 4 * BATCH]
        asked = [Ask((each.id, "said"), each, NEW_TOKENS) for each in some]
        weighed = [Weigh((each.id, "weighed"), each, each.answer) for each in some]
        questions = _seconds(device, lambda: (ask(model, asked, Run(0)), ask(model, weighed, Run(0))))
        codes = _seconds(device, lambda: codes_changed(model, base, BITS, group))
    return {
        **_beside(told, memory.peak),
        "seconds_to_round": rounding,
        "seconds_of_questions": questions,
        "questions": len(some),
        "seconds_of_codes": codes,
    }


def _beside(told: Estimate, peak: int) -> dict[str, Any]:
    """What was counted beside what was found."""
    over = round(peak / told.total, 3)
    return {"counted_bytes": round(told.total), "peak_memory_bytes": peak, "peak_over_counted": over}


def _seconds(device: str, work: Callable[[], Any]) -> float:
    """What it takes, once."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return round(time.perf_counter() - start, 3)


def main() -> None:
    """Measure what there is a device for."""
    large, tiny = next(iter(LARGE.items()))
    report(__doc__, measured, {"cuda": [large], "cpu": [tiny]})


if __name__ == "__main__":
    main()
