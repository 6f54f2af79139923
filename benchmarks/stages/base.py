"""Peak memory and seconds a step of the base stage as `run` would choose it here, beside what it counts.

``python -m benchmarks.stages.base [--models NAME..] [--out FILE.json]``. On a GPU: the shapes of Qwen2.5-VL-7B and
Llama-3.2-11B-Vision with random weights and pictures of 1024 pixels, some minutes for both (compiling 8-bit optimisers
is most of it). On a CPU: the embedded models, to see that it runs.
"""

from typing import Any

from benchmarks.gpu import LARGE, StepTimes, build
from benchmarks.stages.measure import machine, report
from unlearnbench.config import RunConfig, cells
from unlearnbench.contracts.sample import Sets
from unlearnbench.engine.memory.advice import of_base
from unlearnbench.engine.memory.choice import choose, workload
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.planning.parameters import parameters
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.memory import PeakMemory
from unlearnbench.runtime.run import Run
from unlearnbench.training.base import train_base
from unlearnbench.training.params import kind_of

EPOCHS = 2
"""Of some hundred samples, in batches of 32: six steps, the first of which warms up and compiles."""


def measured(name: str, device: str, sets: Sets) -> dict[str, Any]:
    """One model's base stage: what was chosen, counted and found."""
    card = card_for(name)
    here = machine(name, device)
    config, lines = choose(RunConfig(methods=("finetune",), models=(name,), device=device), {name: here})
    _, params = parameters(cells(config)[0], card, config)
    told = of_base(params, counts(card), here, workload(card)).made({})
    short = params.model_copy(update={"epochs": EPOCHS, "enough_loss": 0.0})
    clock, run = StepTimes(device), Run(0)
    run.progress = clock
    with PeakMemory(device) as memory:
        edit = train_base(build(name, device), sets.in_order, short, run)
    return {
        "kind": kind_of(params.model_dump()),
        "said": lines,
        "counted_bytes": round(told.total),
        "peak_memory_bytes": memory.peak,
        "peak_over_counted": round(memory.peak / told.total, 3),
        "seconds_a_step": round(clock.step, 3),
        "batch_size": short.batch_size,
        "micro_batch_size": run.notes["training"]["micro_batch_size"],
        "trained": edit.trainable_parameters,
    }


def main() -> None:
    """Measure what there is a device for."""
    report(__doc__, measured, {"cuda": [*LARGE], "cpu": [*LARGE.values()]})


if __name__ == "__main__":
    main()
