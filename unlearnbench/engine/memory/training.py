"""Memory and time of a training, counted from the footprint that its method or its parameters give."""

import math

from ...contracts.footprint import Counts, Footprint, Workload
from .estimate import (
    HALF,
    SINGLE,
    Estimate,
    Machine,
    forward_operations,
    picture_cache,
    questions_read,
    seeing,
    step_activations,
)
from .times import ADAPTED, Effort

WIDE, EIGHT_BIT, OFFLOADED = "adamw", "adamw-8bit", "adamw-offload"
LIGHT = {EIGHT_BIT: "8bit", OFFLOADED: "offload"}
"""The optimisers that need less, by what `unlearnbench.training.params.BASES` calls a base that is trained so."""
STATES = {WIDE: 2.0 * SINGLE, EIGHT_BIT: 2 * (1 + SINGLE / 256), OFFLOADED: 0.0}
"""Bytes of the two moments of each number that is trained; of 8-bit ones there is a scale for 256."""


def training(stage: str, count: Counts, footprint: Footprint, machine: Machine, work: Workload) -> Estimate:
    """One training: of the model's own weights, of an adapter, or of networks before a frozen model."""
    parts = _held(count, footprint, machine) | {"pictures": picture_cache(count, work.pictures, machine)}
    passing = _copies(count, footprint, machine) | _activations(count, footprint, machine)
    parts |= passing | {"update": max(0.0, _update(count, footprint, machine) - sum(passing.values()))}
    if _is_cut_up(footprint, machine):  # whole weights come first, and embeddings are widened in one piece
        loading = machine.held + count.total * machine.size
        loading += (count.language / machine.processes + count.embeddings) * SINGLE
        parts["loading"] = max(0.0, loading - sum(parts.values()))
    taken = seeing(count, machine, work.pictures) + _effort(count, footprint, machine, work).seconds(machine.kind)
    return Estimate(stage, parts, taken, machine, beside=_beside(count, footprint, machine), at_most=footprint.stops)


def _effort(count: Counts, footprint: Footprint, machine: Machine, work: Workload) -> Effort:
    """What one process does: its share of each batch, in as many parts as it is read in.

    A backward pass has the operations of a forward one, twice that where all weights are trained, and starts twice as
    many kernels; under checkpointing the forward pass is done again. A reference is one of each item's samples, which
    goes through the model as it was too.
    """
    again = int(footprint.gradient_checkpointing)
    samples = footprint.samples / machine.processes
    items, batch = footprint.samples / footprint.beside / (footprint.share or 1), footprint.batch_size
    at_once = _part(footprint, machine.processes)
    parts = items / batch * math.ceil(batch / machine.processes / at_once) * footprint.beside
    parts *= 1 - (1 - footprint.share) ** at_once  # of some nothing needs a pass
    referred = 1 / footprint.beside if footprint.reference else 0.0
    questions = questions_read(count, footprint.questions_per_picture)
    own = _trained(count, footprint) if footprint.rank or footprint.subset else 0
    forward = forward_operations(count, work.answer, work.prompt, questions=questions)
    each = (3 if footprint.full else 2) + again + referred + 3 * own / count.layers
    steps = items / batch
    return Effort(
        operations=each * forward * samples,
        passes=parts * ((3 + again) * (ADAPTED if footprint.rank else 1) + referred),
        depth=count.depth,
        weights=count.language * machine.size,
        steps=steps,
        updated=steps * _trained(count, footprint) / (machine.processes if _is_cut_up(footprint, machine) else 1),
    )


def adapter_size(count: Counts, rank: int, *, projector: bool = False) -> int:
    """Parameters of an adapter on all linear layers of the blocks, and of a ``projector`` trained beside it."""
    beside = count.projector if projector else 0
    return rank * sum(inside + outside for inside, outside in count.linears) + beside


def _trained(count: Counts, footprint: Footprint) -> int:
    """How many numbers the optimiser changes."""
    if footprint.full:
        return count.language + count.projector
    adapter = adapter_size(count, footprint.rank, projector=footprint.projector)
    return adapter + footprint.subset + footprint.modules


def _is_cut_up(footprint: Footprint, machine: Machine) -> bool:
    """Whether each process has a part of the weights, which only AdamW in float32 changes."""
    return footprint.full and footprint.optimiser == WIDE and machine.processes > 1


def _beside(count: Counts, footprint: Footprint, machine: Machine) -> float:
    """Bytes of the CPU's memory that all processes need of it: float32 weights, two moments, a gradient at a time."""
    if footprint.optimiser != OFFLOADED or machine.kind == "cpu":
        return 0.0
    return machine.processes * SINGLE * (3 * _trained(count, footprint) + count.embeddings)


def _held(count: Counts, footprint: Footprint, machine: Machine) -> dict[str, float]:
    """What stays from step to step. Weights in float32 are cut up among the processes, anything else stands in each."""
    size, trained = machine.size, _trained(count, footprint)
    own = SINGLE if footprint.optimiser == WIDE else size  # bytes of each number of the model's own that is trained
    cut = machine.processes if _is_cut_up(footprint, machine) else 1
    weights = float(count.total * size)
    if footprint.full:
        weights = count.tower * size + count.projector * own + count.language * own / cut
    elif footprint.subset:
        weights += footprint.subset * (own - size)
    elif not footprint.modules:
        weights += trained * SINGLE
    states = STATES[footprint.optimiser]
    if footprint.optimiser == OFFLOADED and machine.kind == "cpu":
        states = 3 * SINGLE
    if footprint.modules:  # networks beside the model are counted with their optimiser
        states += SINGLE
    kept = {"reference": trained * own / cut} if footprint.reference and (footprint.full or footprint.subset) else {}
    return kept | {
        "process": machine.held,
        "weights": weights,
        "gradients": trained * (own if footprint.full or footprint.subset else SINGLE) / cut,
        "optimiser": states * trained / cut,
    }


def _copies(count: Counts, footprint: Footprint, machine: Machine) -> dict[str, float]:
    """What stands beside all weights while a step needs it."""
    if not footprint.full or footprint.optimiser != WIDE:
        return {}
    if machine.processes > 1:
        return {"gathered": (2 * count.largest_layer + count.embeddings) * (machine.size + SINGLE)}
    if machine.size != HALF:
        return {}
    # Half-precision copies that the backward pass needs.
    copies = count.largest_layer + count.embeddings if footprint.gradient_checkpointing else count.language
    return {"half-precision copies": copies * HALF}


def _update(count: Counts, footprint: Footprint, machine: Machine) -> float:
    """What stands beside all weights and states while the optimiser changes them; what a step's passes took is free.

    On GPUs torchao has both moments in float32 of a tensor at a time; the kernel of AdamW in float32 holds nothing.
    """
    if machine.kind == "cpu" or footprint.optimiser != EIGHT_BIT:
        return 0.0
    largest = max([count.vocabulary * count.width, *(inside * outside for inside, outside in count.linears)])
    return 2.0 * SINGLE * largest


def _activations(count: Counts, footprint: Footprint, machine: Machine) -> dict[str, float]:
    """What the backward pass needs of the forward one."""
    size, checkpointing = machine.size, footprint.gradient_checkpointing
    samples = _at_once(footprint, machine.processes) * footprint.beside
    pictures = _pictures(count, samples, footprint)
    frozen = bool(footprint.modules)
    parts = {}
    if frozen:
        parts["edited tokens"] = float(samples * count.visual * count.width * size * (count.cross or 1))
    activations = step_activations(count, samples, size, frozen=frozen, checkpointing=checkpointing, pictures=pictures)
    if footprint.rank:  # an adapter keeps its own products too
        width = footprint.rank * len(count.linears) / max(1, count.depth)
        rows = samples * count.length - (0 if count.cross else (samples - pictures) * count.visual)
        activations += rows * width * size * (1 if checkpointing else count.depth)
    return parts | {"activations": activations}


def _pictures(count: Counts, samples: int, footprint: Footprint) -> int:
    """Of how many pictures so many samples are, where their questions are read together: one more may be begun."""
    questions = questions_read(count, footprint.questions_per_picture)
    return min(samples, math.ceil(samples / questions) + footprint.beside) if questions > 1 else samples


def _at_once(footprint: Footprint, processes: int) -> int:
    """Items whose activations are held together: all but surely no more than this, where only a share needs them."""
    micro, share = _part(footprint, processes), footprint.share
    return min(micro, math.ceil(micro * share + 3 * math.sqrt(micro * share * (1 - share))))


def _part(footprint: Footprint, processes: int) -> int:
    """Items of a batch that a process reads together."""
    return min(math.ceil(footprint.batch_size / processes), footprint.micro_batch_size or footprint.batch_size)
