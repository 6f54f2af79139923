"""CAGUL's hyperparameters, with every choice that the paper leaves open as a field of its own."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from unlearnbench import ENOUGH, REFUSALS, Refusals, Stopping, TrainParams


class CAGULParams(TrainParams):
    """Defaults follow the paper's Qwen2.5-VL-7B setting where it states one; the rest is ours and says so.

    The ablations of the paper's table 5 are the `variants`.
    """

    epochs: int = Field(10, ge=0, description="joint epochs of discriminator and encoder (paper: 10 for Qwen)")
    batch_size: int = Field(4, ge=1, description="samples a step (paper: 4)")
    learning_rate: float = Field(
        1e-3, gt=0, description="the encoder's peak learning rate (ours: the paper's is not known)"
    )
    clip_norm: float = Field(
        1.0, gt=0, description="largest norm of the gradient, the discriminator's and the encoder's each (open)"
    )
    k: int = Field(20, ge=1, description="visual tokens replaced (paper: 20 of 1369 for Qwen, 200 of 6404 for Llama)")
    selection: Literal["least-attended", "random"] = Field("least-attended", description="which tokens are replaced")
    layer_reduce: Literal["paper", "mean", "last"] | tuple[int, ...] = Field(
        "paper",
        description="whose scores of eq. 7 choose: paper, each cross-attention layer for itself and the mean where "
        "tokens enter once (open); or for all layers alike the mean, last, or a list of layers",
    )
    discriminator: Literal["cnn", "none"] = Field("cnn", description="what gates the encoder; none: every picture")
    discriminator_channels: int = Field(64, ge=1, description="width of the discriminator's convolutions (open)")
    discriminator_head: Literal["radial", "linear"] = Field(
        "radial", description="how D decides: by distance to prototypes, shut for the unfamiliar, or linearly (open)"
    )
    discriminator_epochs: int = Field(2, ge=0, description="epochs of the discriminator alone (paper: 2)")
    discriminator_learning_rate: float = Field(
        1e-3, gt=0, description="its peak rate, alone and beside the encoder (open)"
    )
    positive_weight: float = Field(1.0, gt=0, description="weight of forget pictures in eq. 10 (open)")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a picture counts as flagged (open)")
    gate: Literal["predicted", "label"] = Field(
        "predicted", description="who opens the gate in training: the discriminator, or the truth (open)"
    )
    encoder: Literal["linear", "noise"] = Field(
        "linear", description="one-layer MLP of eq. 8, or uniform noise added to the tokens in its place"
    )
    encoder_init: Literal["identity", "random"] = Field("identity", description="the encoder's first weights (open)")
    noise_scale: float = Field(
        1.0, gt=0, description="standard deviation of the noise, relative to that of the selected tokens (open)"
    )
    loss: Literal["po-gd", "ga-gd", "ga-kl"] = Field(
        "po-gd", description="what is trained: refusals (eq. 13), or ascent held by the retain loss or by KL (table 5)"
    )
    refusals: Refusals = Field(REFUSALS, description="answers taught for private questions (open)")
    stop: Stopping = Field(ENOUGH, description="when ascent is enough; for the ascending losses alone (open)")

    variants: ClassVar[dict[str, dict[str, Any]]] = {
        "no-discriminator": {"discriminator": "none"},
        "no-encoder": {"encoder": "noise"},
        "random-selection": {"selection": "random"},
        "ga-gd": {"loss": "ga-gd"},
        "ga-kl": {"loss": "ga-kl"},
    }
    trials: ClassVar[dict[str, int]] = {"tiny": 4}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "epochs": 7,
            "learning_rate": 3e-2,
            "k": 12,
            "stop.forget_loss": 5.0,
            "discriminator_epochs": 1,
            "discriminator_learning_rate": 3e-3,
        },
        "large/mllama": {"k": 200},  # the paper: of 6404, four tiles of 1601
    }
