"""Memory and time of each stage before anything is started: counted from the model's configuration, not measured.

Weights are counted on the meta device. Activations follow from what autograd keeps of a decoder block with SwiGLU and
fused attention; time from floating-point operations at a share of the device's peak. What is assumed stands below.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from ..contracts import Params
from ..models.card import ModelCard
from ..models.shapes import config_of, on_meta
from ..training.params import FinetuneParams, LoRAParams, TrainParams

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
    features: int
    """Bytes-independent size of a picture's features before the projector, in numbers."""
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
    """One stage: bytes a process by what they are for, seconds, and whether it fits."""

    stage: str
    parts: dict[str, float]
    seconds: float
    machine: Machine
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

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
    from ..models.families import family

    config = config_of(card)
    family(config.model_type, card.name)  # raises for what nobody can run
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
    visual, features = _visual(config, card)
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
        features=features,
        largest_layer=max(sum(p.numel() for p in layer.parameters()) for layer in decoder.layers),
        linears=linears,
    )


def _visual(config: Any, card: ModelCard) -> tuple[int, int]:
    """Visual tokens of a picture, of a face where size matters, and the numbers that its features are."""
    vision = config.vision_config
    if config.model_type == "mllama":
        tokens = vision.max_num_tiles * ((vision.image_size // vision.patch_size) ** 2 + 1)
        return tokens, tokens * vision.vision_output_dim
    if config.model_type in ("qwen2_5_vl", "qwen3_vl"):
        cell = vision.patch_size * vision.spatial_merge_size
        side = min(FACE, math.isqrt(card.max_pixels))
        tokens = round(side / cell) ** 2
        return tokens, tokens * vision.spatial_merge_size**2 * vision.hidden_size
    size = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
    patches = (size // patch) ** 2
    tokens = getattr(config, "mm_tokens_per_image", None) or getattr(config, "image_seq_length", None) or patches
    return tokens, patches * vision.hidden_size


# ------------------------------------------------------------------------------------------------------- activations
def block_activations(count: Counts, rows: int, size: int, *, frozen: bool) -> float:
    """Bytes that autograd keeps of one block for ``rows`` tokens in its sequence.

    A norm keeps its input and scale, projections their inputs unless they are frozen, attention queries, keys, values
    and output, SwiGLU gate, its activation, up and their product.
    """
    d, f, kv = count.width, count.inner, count.keys
    kept = 2 * d * SINGLE / size + (d + 2 * kv) + d + 3 * f
    kept += 0 if frozen else 2 * d + f
    return rows * kept * size


def step_activations(count: Counts, samples: int, size: int, *, frozen: bool, checkpointing: bool) -> float:
    """Bytes at the end of a forward pass of ``samples``, the logits of their answers with their loss included."""
    rows = samples * count.length
    block = block_activations(count, rows, size, frozen=frozen)
    inputs = rows * count.width * size * count.depth
    blocks: float = inputs + block if checkpointing else count.depth * block
    if count.cross:
        blocks += samples * count.visual * (count.width + 2 * count.keys * count.cross) * size
    logits = samples * ANSWER * count.vocabulary * (size + 3 * SINGLE)
    return blocks + logits


def adapter_size(count: Counts, lora: LoRAParams) -> int:
    """Parameters of an adapter on all linear layers of the blocks."""
    return lora.rank * sum(inside + outside for inside, outside in count.linears)


def picture_cache(count: Counts, pictures: int, size: int) -> float:
    """Bytes of the visual features and tokens that are kept, of ``pictures`` or as many as the cache takes."""
    from ..models.vlm import CACHE_BYTES

    one = (count.features + count.visual * count.width) * size
    return min(pictures * one, max(CACHE_BYTES, one))


# ------------------------------------------------------------------------------------------------------------ stages
@dataclass(frozen=True)
class Work:
    """What a run will go through, by default FIUBench with 40 people to be forgotten.

    Pairs, private pairs of those people, pictures, and pictures of those people.
    """

    pairs: int = 8_000
    forget: int = 480
    pictures: int = 400
    flagged: int = 40


def finetune(stage: str, count: Counts, params: FinetuneParams, machine: Machine, work: Work, samples: int) -> Estimate:
    """A training of the model's own weights (cut up among the processes), or of an adapter (standing in each)."""
    n, size = machine.processes, machine.size
    micro = min(-(-params.batch_size // n), params.micro_batch_size or params.batch_size)
    trained = count.language + count.projector if params.full else adapter_size(count, params.lora)
    cut = n if params.full else 1
    held: float = count.total * size
    if params.full:
        held = count.tower * size + count.projector * SINGLE + count.language * SINGLE / cut
    parts = {
        "process": machine.held,
        "weights": held,
        "gradients": trained * SINGLE / cut,
        "optimiser": 2 * trained * SINGLE / cut,
    }
    if params.full and cut > 1:
        parts["gathered"] = (2 * count.largest_layer + count.embeddings) * (size + SINGLE)
    elif params.full and size == HALF:  # half-precision copies that the backward pass needs
        copies = count.largest_layer + count.embeddings if params.gradient_checkpointing else count.language
        parts["half-precision copies"] = copies * HALF
    parts["activations"] = step_activations(
        count, micro, size, frozen=False, checkpointing=params.gradient_checkpointing
    )
    if not params.full:  # an adapter keeps its own products too
        width = params.lora.rank * len(count.linears) / max(1, count.depth)
        parts["activations"] += (
            micro * count.length * width * size * (1 if params.gradient_checkpointing else count.depth)
        )
    parts["pictures"] = picture_cache(count, work.pictures, size)
    passes = 3 + (1 if params.gradient_checkpointing else 0)
    operations = passes * forward_operations(count) * samples * params.epochs
    return _judged(Estimate(stage, parts, _seconds(operations, machine), machine), params, count, work, samples)


def on_frozen(stage: str, count: Counts, params: TrainParams, machine: Machine, work: Work) -> Estimate:
    """Small networks before a frozen model, about a layer of its width.

    Only samples that they change need activations: those of the pictures to be forgotten.
    """
    n, size = machine.processes, machine.size
    share = work.flagged / work.pictures
    micro = min(-(-params.batch_size // n), params.micro_batch_size or params.batch_size)
    micro = min(micro, math.ceil(micro * share + 3 * math.sqrt(micro * share * (1 - share))))  # all but surely enough
    modules = count.width**2
    edited = micro * count.visual * count.width * size * (count.cross or 1)
    parts = {
        "process": machine.held,
        "weights": count.total * size,
        "gradients": modules * SINGLE,
        "optimiser": 3 * modules * SINGLE,
        "edited tokens": edited,
        "activations": step_activations(count, micro, size, frozen=True, checkpointing=False),
        "pictures": picture_cache(count, work.pictures, size),
    }
    operations = 2 * forward_operations(count) * work.pairs * share * params.epochs
    return _judged(Estimate(stage, parts, _seconds(operations, machine), machine))


def evaluation(count: Counts, machine: Machine, work: Work) -> Estimate:
    """Asking every question and weighing every answer."""
    size = machine.size
    keys = ASKED_AT_ONCE * count.length * 2 * count.keys * count.depth * size
    if count.cross:
        keys += ASKED_AT_ONCE * count.visual * 2 * count.keys * count.cross * size
        keys += ASKED_AT_ONCE * count.visual * count.width * size
    passing = ASKED_AT_ONCE * count.length * (2 * count.inner + 4 * count.width) * size
    logits = ASKED_AT_ONCE * ANSWER * count.vocabulary * 2 * SINGLE
    parts = {
        "process": machine.held,
        "weights": count.total * size,
        "keys and values": keys,
        "activations": passing + logits,
        "pictures": picture_cache(count, work.pictures, size),
    }
    asked = work.pairs * 2 + work.forget * 6
    return _judged(Estimate("evaluation", parts, _seconds(forward_operations(count) * asked, machine), machine))


def forward_operations(count: Counts, answer: float = ANSWER, prompt: float = PROMPT) -> float:
    """Floating-point operations of one sample's way through the language model; the tower's are done once a picture.

    Beside the picture, with ``prompt`` tokens and ``answer`` tokens, for which alone there are logits.
    """
    length = prompt + answer + (0 if count.cross else count.visual)
    attention = 4 * length**2 * count.width * (count.depth - count.cross)
    crossed = count.cross * count.visual * (4 * count.keys * count.width + 4 * length * count.width)
    return 2 * count.layers * length + attention + crossed + 2 * answer * count.vocabulary * count.width


def _seconds(operations: float, machine: Machine) -> float:
    return operations / (PEAK[machine.kind] * UTILISATION) / machine.processes


def _judged(
    made: Estimate,
    params: Params | None = None,
    count: Counts | None = None,
    work: Work | None = None,
    samples: int = 0,
) -> Estimate:
    """The estimate with what to change, if it does not fit: the first change that helps, the mildest first."""
    if made.fits:
        return made
    if isinstance(params, FinetuneParams) and count and work:
        name = made.stage
        changes: list[tuple[str, dict[str, Any]]] = [
            (f"--set {name}.gradient_checkpointing=true", {"gradient_checkpointing": True}),
            (f"--set {name}.micro_batch_size=1", {"gradient_checkpointing": True, "micro_batch_size": 1}),
        ]
        if params.full:
            small = {"full": False, "gradient_checkpointing": True, "micro_batch_size": 1}
            changes.append(("--base lora" if name in ("base", "retrain") else f"--set {name}.full=false", small))
        for told, update in changes:
            changed = params.model_copy(update=update)
            if changed != params and _unjudged(made.stage, count, changed, made.machine, work, samples).fits:
                return _with(made, told)
        for more in (2, 4, 8):
            if params.full and more > made.machine.processes:
                machine = Machine(more, made.machine.memory, made.machine.kind, made.machine.held)
                if _unjudged(made.stage, count, params, machine, work, samples).fits:
                    return _with(made, f"--gpus {more}")
    return _with(made, "a larger GPU, or a smaller model")


def _unjudged(
    stage: str, count: Counts, params: FinetuneParams, machine: Machine, work: Work, samples: int
) -> Estimate:
    roomy = Machine(machine.processes, None, machine.kind, machine.held)
    made = finetune(stage, count, params, roomy, work, samples)
    return Estimate(made.stage, made.parts, made.seconds, machine)


def _with(made: Estimate, advice: str) -> Estimate:
    return Estimate(made.stage, made.parts, made.seconds, made.machine, advice)


def stages(
    card: ModelCard, base: FinetuneParams, methods: dict[str, Params], machine: Machine, work: Work
) -> list[Estimate]:
    """Every stage that a grid of ``methods`` goes through on one model, in order."""
    count = counts(card)
    found = [finetune("base", count, base, machine, work, work.pairs)]
    for name, params in methods.items():
        if isinstance(params, FinetuneParams):
            whole = type(params).model_fields["full"].default is True
            samples = work.pairs - work.forget if whole else 2 * work.forget
            found.append(finetune(name, count, params, machine, work, samples))
        elif isinstance(params, TrainParams):
            found.append(on_frozen(name, count, params, machine, work))
    return [*found, evaluation(count, machine, work)]
