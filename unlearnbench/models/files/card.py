"""A model's card: where its weights come from and what the harness must know of it before loading them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scale = Literal["tiny", "large"]
"""Order of magnitude of a model, by which methods and stages choose among their documented defaults."""


class ModelCard(BaseModel):
    """What the registry knows of a model; plug-ins register an instance.

    ``source`` is a Hugging Face id, a local folder, or a folder inside an installed package written
    ``package:folder``. ``min_pixels`` and ``max_pixels`` bound a picture's area and so its visual tokens; they are
    explicit because hub files and class defaults disagree by a factor of twelve. ``config`` is the model's
    ``config.json``, or what it has other than its class' defaults, to count with where its files are not at hand;
    ``parameters`` is how many it has, for whoever lists models. Neither decides what comes of a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: str
    source: str
    revision: str | None = None
    scale: Scale = "large"
    data: Literal["embedded", "hub"] = "hub"
    min_pixels: int = 256 * 28 * 28
    max_pixels: int = 1369 * 28 * 28
    description: str = ""
    config: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)
    parameters: int | None = Field(default=None, exclude=True, repr=False)
