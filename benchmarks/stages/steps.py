"""A step of the base and of an adapter, questions packed and each by itself, beside the floor of what each computes.

``python -m benchmarks.stages.steps [--models NAME..] [--out FILE.json]``. On a GPU: the shapes of Qwen2.5-VL-7B and
Llama-3.2-11B-Vision with random weights and pictures of 1024 pixels, meant to end within 3 minutes on 80 GB. On a CPU:
the embedded models, to see that it runs, and gradients are asserted to be equal. A step is 16 questions about two
pictures under checkpointing, forwards and backwards, as it is in bfloat16 with 8-bit states; the optimiser's update is
measured by itself, of the adapter: our choice of AdamW against torch's.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import LARGE, build, rates_of
from benchmarks.speed.measure import Clock
from benchmarks.stages.measure import report
from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Asked, Sample, Sets
from unlearnbench.runtime.memory import PeakMemory
from unlearnbench.training.adaptation import LowRank, Trainee, adapted
from unlearnbench.training.loop.optimisers import optimiser_of
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import BaseParams

PICTURES, QUESTIONS, REPEATS = 2, 8, 3
KINDS: dict[str, dict[str, Any]] = {"base": {"full": True, "optimiser": "adamw-8bit"}, "lora": {"full": False}}
PRECISION = 1e-4
"""How long the difference of both ways' gradients may be in float32, as a part of the gradient's own norm."""


def measured(name: str, device: str, sets: Sets) -> dict[str, Any]:
    """One model's steps and updates."""
    model, samples = build(name, device), lessons(sets)
    rate, _ = rates_of(device, torch.cuda.get_device_name() if device == "cuda" else "cpu")
    found: dict[str, Any] = {}
    for kind, settings in KINDS.items():
        settings = settings | {"gradient_checkpointing": True, "lora.dropout": 0}
        with adapted(model, resolve(BaseParams, "base", "large", settings), 0) as trainee:
            found[kind] = steps(trainee, samples, rate)
            if kind == "lora":
                found["update"] = updates(trainee)
        if isinstance(trainee, LowRank):
            trainee.peft.unload()
    return found


def lessons(sets: Sets) -> list[Sample]:
    """Questions about each of some people, all on the person's first picture."""
    known: dict[str, list[Sample]] = {}
    for sample in sets.in_order:
        known.setdefault(sample.cluster, []).append(sample)
    return [
        replace(sample, query=Asked(sample.text, own[0].images))
        for own in [*known.values()][:PICTURES]
        for sample in own[:QUESTIONS]
    ]


def steps(trainee: Trainee, samples: Sequence[Sample], rate: float) -> dict[str, Any]:
    """Both ways in turns after one that is counted; raises AssertionError where gradients in float32 differ."""
    device, lines, gradients = trainee.model.device, dict[str, dict[str, Any]](), dict[str, list[Tensor]]()
    norms = dict[str, float]()
    for turn in range(REPEATS + 1):
        for way, packed in {"plain": False, "packed": True}.items():
            with PeakMemory(device.type) as memory, Clock(device, counting=turn == 0) as clock:
                step(trainee, samples, packed=packed)
            found = [parameter.grad for parameter in trainee.parameters if parameter.grad is not None]
            norms[way] = norm(found)
            if turn == REPEATS and trainee.model.dtype == torch.float32:  # real shapes have no room for both
                gradients[way] = found
            del found
            if turn == 0:
                lines[way] = {"tflop": round(clock.operations / 1e12, 5), "peak_memory_bytes": memory.peak, "all": []}
                lines[way]["floor_seconds"] = round(clock.operations / rate, 5)
            else:
                lines[way]["all"].append(clock.seconds)
    for line in lines.values():
        line["seconds"] = round(statistics.median(line.pop("all")), 5)
        line["times_floor"] = round(line["seconds"] / line["floor_seconds"], 2)
    times = lines["plain"]["seconds"] / lines["packed"]["seconds"]
    facts: dict[str, Any] = {
        "times_as_fast": round(times, 2),
        "gradient_norms_differ_by": abs(norms["packed"] / norms["plain"] - 1),
    }
    if gradients:
        apart = norm([one - other for one, other in zip(*gradients.values(), strict=True)]) / norms["plain"]
        assert apart < PRECISION, f"gradients differ by {apart:.1e} of their norm"
        facts["gradients_differ_by"] = apart
    return lines | facts


def step(trainee: Trainee, samples: Sequence[Sample], *, packed: bool) -> None:
    """Gradients of all that is trained."""
    for parameter in trainee.parameters:
        parameter.grad = None
    batch = trainee.model.prepare(samples, [sample.answer for sample in samples])
    said = trainee.model.answer_log_probabilities(batch, trainee.look(batch), packed=packed)
    answer_nll(said).mean().backward()  # type: ignore[no-untyped-call]


def norm(tensors: Sequence[Tensor]) -> float:
    """Of all together."""
    return float(torch.stack([tensor.float().norm() for tensor in tensors]).norm())


def updates(trainee: Trainee) -> dict[str, Any]:
    """What AdamW takes to change all that is trained by the gradients that are there: seconds, and bytes beside it."""
    device, trained = trainee.model.device, [p for p in trainee.parameters if p.grad is not None]
    groups = [{"params": trained, "lr": 1e-4}]
    ways: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "torch's choice": lambda: torch.optim.AdamW(groups, weight_decay=0.01),
        "unlearnbench": lambda: optimiser_of("adamw", groups, 0.01),
    }
    found: dict[str, Any] = {"numbers": sum(parameter.numel() for parameter in trained)}
    for way, made in ways.items():
        optimiser, taken = made(), []
        optimiser.step()  # its states are made
        held = torch.cuda.memory_allocated() if device.type == "cuda" else 0
        with PeakMemory(device.type) as memory:
            for _ in range(REPEATS):
                with Clock(device) as clock:
                    optimiser.step()
                taken.append(clock.seconds)
        found[way] = {"seconds": round(statistics.median(taken), 5)}
        if held:
            found[way]["beside_bytes"] = memory.peak - held
    return found


def main() -> None:
    """Measure what there is a device for."""
    report(__doc__, measured, {"cuda": [*LARGE], "cpu": [*LARGE.values()]})


if __name__ == "__main__":
    main()
