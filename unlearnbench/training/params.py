"""Hyperparameters that every training shares."""

from pydantic import Field

from ..contracts import Params


class TrainParams(Params):
    """AdamW with linear warm-up and cosine decay."""

    epochs: int = Field(10, ge=0, description="passes over the training samples")
    batch_size: int = Field(4, ge=1, description="samples a step")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    warmup_ratio: float = Field(0.03, ge=0, le=1, description="share of the steps over which the rate rises")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
