"""Hyperparameters that trainings share, apart from their code so that planning imports no torch."""

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ..contracts import Params
from ..contracts.footprint import NOTHING, Footprint, Workload


def _not_empty(refusals: tuple[str, ...]) -> tuple[str, ...]:
    if not refusals or not all(text.strip() for text in refusals):
        raise ValueError("give at least one refusal, none of them empty")
    return refusals


Refusals = Annotated[tuple[str, ...], AfterValidator(_not_empty)]
"""A parameter that holds refusals: at least one, none of them empty."""


Optimiser = Literal["adamw", "adamw-8bit", "adamw-offload"]
"""How AdamW holds what it trains, and its states."""

Schedule = Literal["cosine", "constant"]
"""How the learning rate goes on after its warm-up."""

WORTHWHILE = 0.25
"""The share of a batch's work from which on it is packed: with less a step is hardly faster, says
`benchmarks.speed.packing`, and the last digits of what is trained stay as they were."""

DIVERGED = 1e3
"""Nats per token beyond which a training counts as diverged: no softmax is that sure of anything by learning."""


class TrainParams(Params):
    """AdamW with linear warm-up, and cosine decay unless ``schedule`` says otherwise."""

    epochs: int = Field(10, ge=0, description="passes over the training samples")
    batch_size: int = Field(4, ge=1, description="samples a step")
    micro_batch_size: int | None = Field(
        None, ge=1, description="samples at a time, gradients accumulated; none: the batch, halved when memory runs out"
    )
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    warmup_ratio: float = Field(0.03, ge=0, le=1, description="share of the steps over which the rate rises")
    schedule: Schedule = Field(
        "cosine",
        description="how the rate goes on after its rise: cosine, down to nothing at the end; or constant",
        exclude_if=lambda kind: kind == "cosine",  # it came later, and where it is not set nothing else has changed
    )
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    optimiser: Optimiser = Field(
        "adamw",
        description="adamw, weights and states in float32; adamw-8bit, weights in the model's own precision and states "
        "of 8 bits (torchao); adamw-offload, float32 weights and states in the CPU's memory",
        exclude_if=lambda kind: kind == "adamw",  # it came later, and where it is not set nothing else has changed
    )


class LoRAParams(Params):
    """A low-rank adapter (Hu et al. 2021, arXiv:2106.09685) on linear layers of the language model, never of the tower.

    Rank, alpha and dropout are those of FIUBench's unlearning baselines, which also train the projector in full: that
    is ``projector="full"`` here.
    """

    rank: int = Field(default=128, ge=1, description="rank of the adapter")
    alpha: float = Field(default=256.0, gt=0, description="the adapter counts alpha / rank times")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="dropout before the adapter")
    targets: tuple[str, ...] = Field(
        default=(), description="last parts of the adapted layers' names, such as q_proj; none: every linear layer"
    )
    projector: bool | Literal["full"] = Field(
        default=False,
        description="adapt the projector's linear layers too; or full: train all of its weights beside the adapter",
    )


class FinetuneParams(TrainParams):
    """Training of the model's own weights, or of an adapter on them."""

    full: bool = Field(False, description="train all of language model and projector instead of an adapter")
    lora: LoRAParams = Field(LoRAParams(), description="the adapter")
    weights: tuple[str, ...] = Field(
        (),
        description="train these weights and no others, whatever full says: parts (language, projector, vision), "
        "blocks (language.3), or patterns on names (*.down_proj.weight); none: as full says",
        exclude_if=operator.not_,  # it came later, and where it is not set nothing else has changed
    )
    gradient_checkpointing: bool = Field(False, description="compute activations twice to hold fewer of them")
    questions_per_picture: int = Field(
        1,
        ge=1,
        description="up to so many questions about a picture follow each other, so that a batch has fewer pictures, "
        "each of which is read once; 1: in any order",
        exclude_if=lambda number: number == 1,  # it came later, and where it is not set nothing else has changed
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {"large": {"gradient_checkpointing": True}}

    def footprint(self, work: Workload) -> Footprint | None:
        """An epoch is one pass over the forget set, with a sample to keep beside each to forget."""
        return self.trained(self.epochs * 2 * work.forget, beside=2)

    def trained(self, samples: float, *, beside: int = 1, instead: str = "", stops: bool = False) -> Footprint | None:
        """The footprint of training on so many samples at most, ``beside`` each other in an item of a batch.

        None where single ``weights`` are named: how many they are only a model tells.
        """
        if self.weights:
            return None
        return Footprint(
            samples=samples,
            stops=stops,
            batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            beside=beside,
            # Beside each other stand questions about other pictures.
            questions_per_picture=max(1, self.questions_per_picture // beside),
            full=self.full,
            rank=0 if self.full else self.lora.rank,
            projector=self.lora.projector == "full",
            gradient_checkpointing=self.gradient_checkpointing,
            optimiser=self.optimiser,
            instead=instead,
        )


class BaseParams(FinetuneParams):
    """Finetuning of language model and projector on all pairs; the tower stays frozen unless ``weights`` name it.

    Epochs, rate and weight decay are those of FIUBench's first stage, batch size, order and warm-up ours
    (docs/methods.md); tiny models need a higher rate and more epochs. With ``full=false`` an adapter is trained and
    merged into the weights, which fits where a full finetune does not.
    """

    epochs: int = Field(10, ge=1, description="most passes over all pairs")
    batch_size: int = Field(32, ge=1, description="samples a step")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay")
    full: bool = Field(True, description="train all of language model and projector instead of an adapter")
    enough_loss: float = Field(0.0, ge=0, description="stop once an epoch's mean loss per token is below this")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "large": {"questions_per_picture": 8},
        "tiny": {"epochs": 60, "learning_rate": 5e-4, "enough_loss": 0.03},
    }

    def footprint(self, work: Workload) -> Footprint | None:
        """Every pair once an epoch."""
        return self.memorising(work.pairs)

    def memorising(self, pairs: int) -> Footprint | None:
        """The footprint of learning so many pairs by heart."""
        return self.trained(self.epochs * pairs, instead="--base lora", stops=self.enough_loss > 0)

    @property
    def kind(self) -> str:
        """The name of its kind, as `kind_of` has it."""
        return kind_of({"full": self.full, "optimiser": self.optimiser, "weights": self.weights})


BASES: dict[str, dict[str, Any]] = {
    "full": {"full": True},
    "8bit": {"full": True, "optimiser": "adamw-8bit"},
    "offload": {"full": True, "optimiser": "adamw-offload"},
    "lora": {"full": False},
}
"""The kinds of base, and what each sets; the first that memory holds is taken where nothing else is asked for."""


def kind_of(base: Mapping[str, Any]) -> str:
    """Which of `BASES` the parameters of a base are, as a row has them; ``weights`` where single weights are named."""
    if base.get("weights"):
        return "weights"
    if not base.get("full", True):
        return "lora"
    optimiser = base.get("optimiser", "adamw")
    return next(name for name, sets in BASES.items() if sets["full"] and sets.get("optimiser", "adamw") == optimiser)


class BroughtParams(Params):
    """What is asked of a base that was made elsewhere (``--base-model``): nothing of it is trained here."""

    memorised: float = Field(
        0.5, ge=0, le=1, description="least share of the answers to be forgotten that it gives word for word"
    )

    def footprint(self, work: Workload) -> Footprint:
        """Nothing is trained."""
        return NOTHING


class Stopping(Params):
    """When a training that raises the loss on the forget set has gone far enough.

    Gradient ascent has no end of its own: it stops at the first look at which any bound is passed. Forgotten is what is
    no better known than by a model that never saw it, so the first bound is relative to what the starting model loses
    on strangers. The retain loss is that of the validation set: people on whom no method trains and no score rests.
    """

    forget_ratio: float | None = Field(
        default=None, gt=0, description="enough forget loss, in times the starting model's loss on strangers' answers"
    )
    forget_loss: float | None = Field(
        default=None, gt=0, description="enough forget loss in nats per token, whatever strangers tell"
    )
    retain_rise: float | None = Field(default=None, gt=0, description="nats per token that the validation set may lose")
    every: int = Field(default=10, ge=1, description="steps from one look to the next")
    samples: int = Field(default=100, ge=1, description="most samples of each set that a look takes in")


ENOUGH = Stopping(forget_ratio=1.0, forget_loss=10.0, retain_rise=1.0)
"""The rule that ascent has by default; the 10 nats bind where the data have no strangers."""

Partners = Literal["mixed", "retain", "nonprivate", "same-cluster", "same-question"]
"""Where the retain samples come from that forget samples are paired with."""


class UnlearnParams(FinetuneParams):
    """Unlearning by training: pairs of a forget sample and a retain sample drawn for it.

    An epoch is one pass over the forget set. Rate, epochs, batch and warm-up for large models are those of FIUBench's
    scripts for GA on LLaVA-Phi, untuned here; docs/methods.md says what differs from them.
    """

    epochs: int = Field(5, ge=0, description="passes over the forget set")
    batch_size: int = Field(64, ge=1, description="forget samples a step, each with a retain sample where one is used")
    partners: Partners = Field(
        "mixed",
        description="what these retain samples are: mixed, by turns one of the forgotten people's non-private "
        "questions and one about others; retain, any of both; nonprivate; same-cluster, of the very person; or "
        "same-question, the same question about another",
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "large": {"micro_batch_size": 4, "warmup_ratio": 0.06},
        "tiny": {"batch_size": 16, "lora.rank": 16, "lora.alpha": 32.0, "lora.dropout": 0.0},  # no layer exceeds 384
    }

    @property
    def stops(self) -> Stopping | None:
        """The rule by which training ends early, if there is one."""
        return None

    def footprint(self, work: Workload) -> Footprint | None:
        """As of any finetuning, over sooner where there is such a rule."""
        made = super().footprint(work)
        return replace(made, stops=self.stops is not None) if made else None


class AscentParams(UnlearnParams):
    """Unlearning by gradient ascent, which needs to be stopped in time."""

    stop: Stopping = Field(ENOUGH.model_copy(update={"every": 1}), description="when it is enough")

    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"stop.forget_loss": 5.0}}

    @property
    def stops(self) -> Stopping:
        """Its own."""
        return self.stop
