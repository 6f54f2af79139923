"""What a model comes to and a training needs: from these ``plan --memory`` counts bytes and seconds beforehand."""

from dataclasses import dataclass

PROMPT, ANSWER = 60, 30
"""Tokens of a prompt beside the picture, and of its answer: assumed, about what FIUBench's texts have."""


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
    streams: int
    """How many times as many numbers as ``visual`` x ``width`` a picture's tokens are."""
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
class Workload:
    """What a run will go through, by default FIUBench with 40 people to be forgotten.

    Pairs of question and answer, those to be forgotten among them, pictures, and pictures of what is to be forgotten;
    tokens of a prompt beside its picture, and of an answer.
    """

    pairs: int = 8_000
    forget: int = 480
    pictures: int = 400
    flagged: int = 40
    prompt: int = PROMPT
    answer: int = ANSWER


@dataclass(frozen=True)
class Footprint:
    """What one training holds and goes through. `Method.footprint` returns it; without ``samples`` nothing is trained.

    ``samples`` go through the language model in all, epochs included; fewer, if a rule ``stops`` it. A step takes
    ``batch_size`` items, ``micro_batch_size`` of them at a time (all, if None), each of which is ``beside`` samples:
    two for a pair. Where only a ``share`` of the items needs a pass with gradients, the others are left out. Up to
    ``questions_per_picture`` samples that share their pictures stand together.

    What is trained is one of these: all weights of language model and projector (``full``, cut up among processes); an
    adapter of some ``rank``, with ``projector`` all of the projector's weights beside it; ``subset`` many of the
    model's own weights; or ``modules`` weights of networks that edit visual tokens before a frozen model.
    ``optimiser`` says how AdamW holds them (``optimiser`` of `unlearnbench.TrainParams`), ``reference``
    whether the model's own weights are kept as they were before, beside those that are trained.
    ``instead`` is what to type to train an adapter in place of all weights, where that is not ``full=false``.
    """

    samples: float = 0.0
    stops: bool = False
    batch_size: int = 1
    micro_batch_size: int | None = None
    beside: int = 1
    questions_per_picture: int = 1
    share: float = 1.0
    full: bool = False
    rank: int = 0
    projector: bool = False
    subset: int = 0
    modules: int = 0
    gradient_checkpointing: bool = False
    optimiser: str = "adamw"
    reference: bool = False
    instead: str = ""


NOTHING = Footprint()
"""That of a method that trains nothing."""
