"""Memory and time of each stage before anything is started: counted from the model's configuration, not measured.

Weights are counted on the meta device (`counts`). Activations follow from what autograd keeps of a decoder block with
SwiGLU and fused attention; time from operations, and from how often blocks are started (`times`). What is assumed
stands below.
"""

import math
from dataclasses import dataclass, replace

from ...contracts.footprint import ANSWER, PROMPT, Counts, Workload
from ...training.params import WORTHWHILE
from .times import Effort

GIB = 2**30
HALF, SINGLE = 2, 4
ASKED_AT_ONCE = 16
CONTEXT = 1.0 * GIB
"""What CUDA and its libraries hold besides torch's own memory: assumed."""
REWORDED, WEIGHED = 3, 5
"""Questions in other words about each that is to be forgotten, and answers to each question whose likelihood is wanted
(its own, one in other words, three wrong ones): as the embedded data have them."""
LONGEST = 1.5
"""Times as long as most answers the longest of a batch is, until which it goes on: assumed."""
SPARE = 0.05
"""The part of a GPU that is left free, for fragmentation: assumed."""


@dataclass(frozen=True)
class Machine:
    """The processes of a run and what each has: ``memory`` in bytes, None for a CPU's, which is not checked."""

    processes: int
    memory: float | None
    kind: str = "H100"
    held: float = CONTEXT
    """Bytes in use before any model is there."""
    host: float | None = None
    """Bytes of the memory of the CPU beside GPUs; None where it is not checked."""
    gpus: int = 0
    """GPUs that are here, used or not; 0 where they are pretended."""

    @property
    def size(self) -> int:
        """Bytes of a number that the model computes with."""
        return SINGLE if self.kind == "cpu" else HALF


@dataclass(frozen=True)
class Estimate:
    """One stage: bytes a process by what they are for (none, where that is not known), seconds, whether it fits."""

    stage: str
    parts: dict[str, float]
    seconds: float
    machine: Machine
    advice: str = ""
    beside: float = 0.0
    """Bytes of the CPU's memory that all processes need beside that of their GPUs."""
    at_most: bool = False
    """Whether it may be over sooner, as its own rule stops it."""
    measured: bool = False
    """Whether the seconds were measured rather than counted."""

    @property
    def known(self) -> bool:
        """Whether there is anything to count from."""
        return bool(self.parts)

    @property
    def total(self) -> float:
        """Bytes in all, of one process."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether one process' memory is enough, and that beside the GPUs."""
        machine = self.machine
        enough = machine.memory is None or self.total <= machine.memory * (1 - SPARE)
        return enough and (machine.host is None or self.beside <= machine.host * (1 - SPARE))


# ------------------------------------------------------------------------------------------------------- activations
def block_activations(count: Counts, rows: int, size: int, *, frozen: bool) -> float:
    """Bytes that autograd keeps of one block for ``rows`` tokens in its sequence.

    A norm keeps its input and scale, projections their inputs unless they are frozen, attention queries, output, and a
    key and a value for every query (`transformers` repeats shared ones under a mask), SwiGLU gate, its activation, up
    and their product.
    """
    d, f = count.width, count.inner
    kept = 2 * d * SINGLE / size + 3 * d + d + 3 * f
    kept += 0 if frozen else 2 * d + f
    return rows * kept * size


def step_activations(
    count: Counts, samples: int, size: int, *, frozen: bool, checkpointing: bool, pictures: int | None = None
) -> float:
    """Bytes at the end of a forward pass of ``samples``, the logits of their answers with their loss included.

    ``pictures`` is how many are read, if not one for each sample.
    """
    read = samples if pictures is None else pictures
    rows = samples * count.length - (0 if count.cross else (samples - read) * count.visual)
    block = block_activations(count, rows, size, frozen=frozen)
    inputs = rows * count.width * size * count.depth
    blocks: float = inputs + block if checkpointing else count.depth * block
    if count.cross:
        at_once = 1 if checkpointing else count.cross
        blocks += read * count.visual * count.width * (1 + 2 * at_once) * size
    logits = samples * ANSWER * count.vocabulary * (size + 3 * SINGLE)
    return blocks + logits


def picture_cache(count: Counts, pictures: int, machine: Machine) -> float:
    """Bytes of visual features and tokens that are kept in memory; files hold the rest."""
    from ...models.pictures.cache import CACHE_BYTES, CACHE_SHARE

    one = (count.features + count.streams * count.visual * count.width) * machine.size
    free = math.inf if machine.memory is None else machine.memory - machine.held - count.total * machine.size
    return min(pictures * one, max(min(CACHE_BYTES, CACHE_SHARE * free), one))


# ------------------------------------------------------------------------------------------------------------ asking
def evaluation(
    count: Counts, machine: Machine, work: Workload, at_once: int = ASKED_AT_ONCE, beside: int = 0
) -> Estimate:
    """Asking every question and weighing every answer, ``at_once`` samples at a time, so many models ``beside`` it."""
    size = machine.size
    keys = at_once * _cached(count, size)
    if count.cross:
        keys += at_once * count.visual * count.width * size
    passing = at_once * count.length * (2 * count.inner + 4 * count.width) * size
    logits = at_once * ANSWER * count.vocabulary * 2 * SINGLE
    parts = {
        "process": machine.held,
        "weights": (1 + beside) * count.total * size,
        "keys and values": keys,
        "activations": passing + logits,
        "pictures": picture_cache(count, work.pictures, machine),
    }
    together = asked_together(count, machine, sum(parts[name] for name in ("keys and values", "activations")) / at_once)
    taken = answering(count, machine, replace(work, pairs=work.pairs + REWORDED * work.forget), together)
    taken += weighing(count, machine, replace(work, pairs=WEIGHED * work.pairs), together)
    return Estimate("evaluation", parts, taken + seeing(count, machine, work.pictures), machine)


def asked_together(count: Counts, machine: Machine, each: float) -> int:
    """How many questions a run would ask at a time, each of which takes so many bytes."""
    from ...models.asking.batch_size import FEW, MANY, SHARE

    size, free = FEW, math.inf
    if machine.memory is not None:
        free = machine.memory - machine.held - count.total * machine.size
    while 2 * size <= min(MANY, SHARE * free / each):
        size *= 2
    return size


def by_heart(count: Counts, machine: Machine, work: Workload) -> Estimate:
    """Looking whether a base that was made elsewhere has memorised what is to be forgotten, `ASKED_AT_ONCE` answers.

    Its weights come to the CPU's memory first, beside those whose place they take.
    """
    made = evaluation(count, machine, replace(work, pictures=work.flagged))
    theirs, cpu = float(count.total * machine.size), machine.kind == "cpu"
    loading = machine.held + 2 * theirs if cpu else 0.0
    taken = seeing(count, machine, work.flagged)
    learned = replace(work, pairs=work.forget, pictures=work.flagged)
    taken += weighing(count, machine, learned, ASKED_AT_ONCE)
    return Estimate(
        "base",
        made.parts | {"loading": max(0.0, loading - made.total)},
        taken,
        machine,
        beside=0.0 if cpu else machine.processes * theirs,
    )


def encoding_operations(count: Counts, pictures: int) -> float:
    """Floating-point operations of the vision tower, which sees every picture once."""
    return pictures * (2.0 * count.tower * count.patches + 2 * count.projector * count.visual)


def forward_operations(count: Counts, answer: float = ANSWER, prompt: float = PROMPT, *, questions: float = 1) -> float:
    """Floating-point operations of one sample's way through the language model; the tower's are done once a picture.

    Beside the picture, with ``prompt`` tokens and ``answer`` tokens, for which alone there are logits. Of so many
    ``questions`` that are read as one sequence with their picture.
    """
    text, visual = prompt + answer, count.visual / questions
    length = text + (0 if count.cross else visual)
    attention = 4 * questions * length**2 * count.width * (count.depth - count.cross)
    crossed = 4 * count.cross * count.width * (count.keys * visual + length * count.visual)
    return 2 * count.layers * length + attention + crossed + 2 * answer * count.vocabulary * count.width


def asked_operations(count: Counts, work: Workload, sharing: float) -> float:
    """The same of a question that is asked, so many ``sharing`` the beginning with their picture."""
    text, visual, inside = work.prompt + work.answer, count.visual, 0 if count.cross else count.visual
    attention = 4 * count.width * (count.depth - count.cross) * (text * (text + inside) + inside**2 / sharing)
    crossed = 4 * count.cross * count.width * (count.keys * visual / sharing + text * visual)
    logits = 2 * work.answer * count.vocabulary * count.width
    return 2 * count.layers * (text + inside / sharing) + attention + crossed + logits


def questions_read(count: Counts, questions: float) -> float:
    """How many of so many questions about a picture are read as one sequence: all, or one where little is spared."""
    spared = 1 - forward_operations(count, 0, questions=questions) / forward_operations(count, 0)
    return questions if spared >= WORTHWHILE else 1


# -------------------------------------------------------------------------------------------------------------- time
def seeing(count: Counts, machine: Machine, pictures: int) -> float:
    """Seconds until every picture has been through the vision tower."""
    made = Effort(encoding_operations(count, pictures), patches=pictures * count.patches)
    return made.seconds(machine.kind) / machine.processes


def answering(count: Counts, machine: Machine, work: Workload, together: int, longest: float | None = None) -> float:
    """Seconds of answering all questions, so many ``together``: a pass for each token of the ``longest`` answer."""
    return _asked(count, machine, work, together, LONGEST * work.answer if longest is None else longest)


def weighing(count: Counts, machine: Machine, work: Workload, together: int) -> float:
    """Seconds of finding the likelihoods of all answers, so many ``together``."""
    return _asked(count, machine, work, together, 0)


def _asked(count: Counts, machine: Machine, work: Workload, together: int, one_by_one: float) -> float:
    """Batches read beginnings, with the pictures, and then questions and answers; a picture's questions share it."""
    sharing = max(1.0, min(together, work.pairs / work.pictures)) if work.pictures else 1.0
    batches = math.ceil(work.pairs / together)
    made = Effort(
        operations=work.pairs * asked_operations(count, work, sharing),
        passes=2 * batches,
        tokens=one_by_one * batches,
        depth=count.depth,
        weights=count.language * machine.size,
        cached=min(together, work.pairs) * _cached(count, machine.size),
    )
    return made.seconds(machine.kind) / machine.processes


def _cached(count: Counts, size: int) -> float:
    """Bytes of the keys and values of one question."""
    return 2 * count.keys * (count.length * count.depth + count.visual * count.cross) * size
