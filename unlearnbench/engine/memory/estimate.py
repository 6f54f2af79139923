"""Memory and time of each stage before anything is started: counted from the model's configuration, not measured.

Weights are counted on the meta device. Activations follow from what autograd keeps of a decoder block with SwiGLU and
fused attention; time from floating-point operations at a share of the device's peak. What is assumed stands below.
"""

import math
from dataclasses import dataclass
from typing import Any

from ...contracts.footprint import Workload
from ...models.files.card import ModelCard
from ...models.files.known import check_family
from ...models.files.shapes import config_of, on_meta

GIB = 2**30
HALF, SINGLE = 2, 4
PROMPT, ANSWER = 60, 30
"""Tokens of a FIUBench prompt beside the picture, and of its answer: assumed, about what its text has."""
ASKED_AT_ONCE = 16
FACE = 1024
"""Pixels of a FIUBench picture's side."""
CONTEXT = 1.0 * GIB
"""What CUDA and its libraries hold besides torch's own memory: assumed."""
SPARE = 0.05
"""The part of a GPU that is left free, for fragmentation: assumed."""
UTILISATION = 0.4
"""The part of a device's peak that training reaches: assumed, and the weakest of these figures."""
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "cpu": 5e10}
"""Dense bfloat16 operations a second that makers state; a CPU's is assumed for two cores in float32."""


@dataclass(frozen=True)
class Counts:
    """What a configuration says: parameters by part, and the widths that activations follow."""

    tower: int
    projector: int
    layers: int
    embeddings: int
    depth: int
    cross: int
    width: int
    inner: int
    keys: int
    vocabulary: int
    visual: int
    patches: int
    """Tokens in the vision tower."""
    features: int
    """Numbers that a picture's features before the projector are."""
    largest_layer: int
    linears: tuple[tuple[int, int], ...]
    """Shapes of the linear layers of the language model's blocks."""

    @property
    def language(self) -> int:
        """Parameters of the language model with its head."""
        return self.layers + self.embeddings

    @property
    def total(self) -> int:
        """All parameters."""
        return self.tower + self.projector + self.language

    @property
    def length(self) -> int:
        """Tokens in the language model's sequence, visual ones too unless they are read by cross-attention."""
        return PROMPT + ANSWER + (0 if self.cross else self.visual)


@dataclass(frozen=True)
class Machine:
    """The processes of a run and what each has: ``memory`` in bytes, None for a CPU's, which is not checked."""

    processes: int
    memory: float | None
    kind: str = "H100"
    held: float = CONTEXT
    """Bytes in use before any model is there."""

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
        """Whether one process' memory is enough."""
        memory = self.machine.memory
        return memory is None or self.total <= memory * (1 - SPARE)


def counts(card: ModelCard) -> Counts:
    """Count a model on the meta device."""
    config = config_of(card)
    check_family(config.model_type, card.name)
    model = on_meta(config)
    decoder, text = model.get_decoder(), config.get_text_config()
    layers = sum(p.numel() for p in decoder.layers.parameters())
    head = model.get_output_embeddings()
    language = {id(p): p.numel() for part in (decoder, head) for p in part.parameters()}
    projector_module = next(
        module
        for name, module in model.named_modules()
        if name.endswith(("merger", "multi_modal_projector", "connector"))
    )
    projector = sum(p.numel() for p in projector_module.parameters())
    total = sum(p.numel() for p in model.parameters())
    visual, patches, features = _visual(config, card)
    linears = tuple(
        (module.in_features, module.out_features)
        for module in decoder.layers.modules()
        if type(module).__name__ == "Linear"
    )
    heads = text.num_attention_heads
    return Counts(
        tower=total - projector - sum(language.values()),
        projector=projector,
        layers=layers,
        embeddings=sum(language.values()) - layers,
        depth=text.num_hidden_layers,
        cross=len(getattr(text, "cross_attention_layers", None) or ()),
        width=text.hidden_size,
        inner=text.intermediate_size,
        keys=text.hidden_size // heads * text.num_key_value_heads,
        vocabulary=text.vocab_size,
        visual=visual,
        patches=patches,
        features=features,
        largest_layer=max(sum(p.numel() for p in layer.parameters()) for layer in decoder.layers),
        linears=linears,
    )


def _visual(config: Any, card: ModelCard) -> tuple[int, int, int]:
    """Of a picture (a face, where size matters): visual tokens, the tower's tokens, numbers that its features are."""
    vision = config.vision_config
    if config.model_type == "mllama":
        tokens = vision.max_num_tiles * ((vision.image_size // vision.patch_size) ** 2 + 1)
        return tokens, tokens, tokens * vision.vision_output_dim
    if config.model_type in ("qwen2_5_vl", "qwen3_vl"):
        cell = vision.patch_size * vision.spatial_merge_size
        side = min(FACE, math.isqrt(card.max_pixels))
        tokens = round(side / cell) ** 2
        patches = tokens * vision.spatial_merge_size**2
        return tokens, patches, patches * vision.hidden_size
    size = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
    patches = (size // patch) ** 2
    tokens = getattr(config, "mm_tokens_per_image", None) or getattr(config, "image_seq_length", None) or patches
    return tokens, patches, patches * vision.hidden_size


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


def step_activations(count: Counts, samples: int, size: int, *, frozen: bool, checkpointing: bool) -> float:
    """Bytes at the end of a forward pass of ``samples``, the logits of their answers with their loss included."""
    rows = samples * count.length
    block = block_activations(count, rows, size, frozen=frozen)
    inputs = rows * count.width * size * count.depth
    blocks: float = inputs + block if checkpointing else count.depth * block
    if count.cross:
        at_once = 1 if checkpointing else count.cross
        blocks += samples * count.visual * count.width * (1 + 2 * at_once) * size
    logits = samples * ANSWER * count.vocabulary * (size + 3 * SINGLE)
    return blocks + logits


def picture_cache(count: Counts, pictures: int, machine: Machine) -> float:
    """Bytes of visual features and tokens that are kept in memory; files hold the rest."""
    from ...models.pictures.cache import CACHE_BYTES, CACHE_SHARE

    one = (count.features + count.visual * count.width) * machine.size
    free = math.inf if machine.memory is None else machine.memory - machine.held - count.total * machine.size
    return min(pictures * one, max(min(CACHE_BYTES, CACHE_SHARE * free), one))


# ------------------------------------------------------------------------------------------------------------ asking
def evaluation(count: Counts, machine: Machine, work: Workload, at_once: int = ASKED_AT_ONCE) -> Estimate:
    """Asking every question and weighing every answer, ``at_once`` samples at a time."""
    size = machine.size
    keys = at_once * count.length * 2 * count.keys * count.depth * size
    if count.cross:
        keys += at_once * count.visual * 2 * count.keys * count.cross * size
        keys += at_once * count.visual * count.width * size
    passing = at_once * count.length * (2 * count.inner + 4 * count.width) * size
    logits = at_once * ANSWER * count.vocabulary * 2 * SINGLE
    parts = {
        "process": machine.held,
        "weights": count.total * size,
        "keys and values": keys,
        "activations": passing + logits,
        "pictures": picture_cache(count, work.pictures, machine),
    }
    asked = work.pairs * 2 + work.forget * 6
    operations = forward_operations(count) * asked + encoding_operations(count, work.pictures)
    return Estimate("evaluation", parts, seconds(operations, machine), machine)


def encoding_operations(count: Counts, pictures: int) -> float:
    """Floating-point operations of the vision tower, which sees every picture once."""
    return pictures * (2.0 * count.tower * count.patches + 2 * count.projector * count.visual)


def forward_operations(count: Counts, answer: float = ANSWER, prompt: float = PROMPT) -> float:
    """Floating-point operations of one sample's way through the language model; the tower's are done once a picture.

    Beside the picture, with ``prompt`` tokens and ``answer`` tokens, for which alone there are logits.
    """
    length = prompt + answer + (0 if count.cross else count.visual)
    attention = 4 * length**2 * count.width * (count.depth - count.cross)
    crossed = count.cross * count.visual * (4 * count.keys * count.width + 4 * length * count.width)
    return 2 * count.layers * length + attention + crossed + 2 * answer * count.vocabulary * count.width


def seconds(operations: float, machine: Machine) -> float:
    """How long that many floating-point operations take, shared by the processes."""
    return operations / (PEAK[machine.kind] * UTILISATION) / machine.processes
