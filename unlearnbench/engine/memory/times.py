"""How long computing takes on a device: operations at the rate that is reached, and what each block costs at least.

A pass over few tokens does not compute all the time: Python starts the kernels of each block one by one, and on a GPU
that takes longer than they do. So time is operations, and beside them blocks that are started, or the reading of
weights where that takes longer. The figures are those of `benchmarks/results`; `python -m benchmarks.runs.plan_times`
sets what follows from them beside what was measured, and a test holds every piece to a factor of two. Who has newer
files changes `GPU` and `CPU` here, and nothing else.
"""

from dataclasses import dataclass

PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "cpu": 2.4e11}
"""Dense bfloat16 operations a second that makers state; of a CPU what a product in float32 reaches on two cores
(``floors`` of cpu.json)."""

BANDWIDTH = {"H200": 4.8e12, "H100": 3.35e12, "A100": 2.0e12, "L40S": 0.86e12, "4090": 1.0e12, "cpu": 5.4e10}
"""Bytes of memory a second that makers state; of a CPU what a copy reaches (``floors`` of cpu.json)."""


@dataclass(frozen=True)
class Speed:
    """What a kind of device was seen to take; seconds unless said otherwise."""

    share: float
    """The part of the peak that passes over many tokens reach."""
    block: float
    """Starting a block of the language model, once; a backward pass is two."""
    token: float
    """The same of a block for one further token of all answers of a batch."""
    patch: float
    """A patch of a picture: reading and resizing that, and what the vision tower takes beside its operations."""
    step: float
    """A step of an optimiser: a batch's way to the model, and the update beside its bytes."""


GPU = Speed(share=0.4, block=0.9e-3, token=0.9e-3, patch=3.5e-5, step=0.015)
"""An H200 (h200.json): shares by "CAGUL step" and "ga step" of Qwen2.5-VL-7B, which computes most; blocks by "CAGUL
step" and "answer likelihoods" of Llama-3.2-11B-Vision, which computes least; tokens by "generation", patches by
"vision encoding"; a step by what "ga step" takes beside that. Of other GPUs it is assumed: such times are Python's."""

CPU = Speed(share=0.3, block=0.15e-3, token=0.15e-3, patch=2.5e-5, step=3e-3)
"""Two cores (cpu.json, speed-cpu.json), by the same of the tiny models; a step by "cagul", most of whose batches need
no pass of the language model."""

ADAPTED = 3
"""Times as many kernels as a block itself has one with an adapter on all its linear layers: "ga step" of
Llama-3.2-11B-Vision in h200.json against "CAGUL step"."""

COPIES = 3
"""Times that keys and values are gone through for each new token: they are copied beside its own, and attended to."""

TOUCHED = 32
"""Bytes that AdamW in float32 reads and writes of each number: weight, gradient and two moments."""


@dataclass(frozen=True)
class Effort:
    """What one process does: floating-point ``operations``, ``patches`` that are seen, ``steps`` of an optimiser.

    ``passes`` is how often all blocks of the language model are started, ``tokens`` how often for one further token
    of answers; each time its ``weights``, in bytes, are read, and for a token what is ``cached`` of those before.
    ``updated`` numbers change in all steps together.
    """

    operations: float
    passes: float = 0.0
    tokens: float = 0.0
    depth: int = 0
    weights: float = 0.0
    cached: float = 0.0
    patches: float = 0.0
    steps: float = 0.0
    updated: float = 0.0

    def seconds(self, kind: str) -> float:
        """How long it takes on a device of a kind in `PEAK`."""
        speed = CPU if kind == "cpu" else GPU
        starting = self.depth * (self.passes * speed.block + self.tokens * speed.token)
        read = (self.passes + self.tokens) * self.weights + self.tokens * COPIES * self.cached
        beside = self.patches * speed.patch + self.steps * speed.step + self.updated * TOUCHED / BANDWIDTH[kind]
        return self.operations / (PEAK[kind] * speed.share) + max(starting, read / BANDWIDTH[kind]) + beside
