"""A model without its weights, to count with: its configuration, and its parameters by name and shape alone."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ...registry import families
from .card import ModelCard
from .known import check_family
from .source import configured, model_type

if TYPE_CHECKING:
    from ..contract.vlm import VLM


def family_of(card: ModelCard) -> "type[VLM]":
    """The family of a model, imported; raises `ModelError` where nobody can run it, as `check_family` does."""
    name = card.family or model_type(configured(card))
    check_family(name, card.name)
    return families.get(name)


def config_of(card: ModelCard) -> Any:
    """A model's configuration: of its files where they are here, else as its card has it; raises `ModelError`."""
    family_of(card)  # first: a plug-in may tell `transformers` of its classes
    from transformers import AutoConfig

    if card.config is None or Path(card.source).is_dir():
        return AutoConfig.from_pretrained(configured(card))
    config = dict(card.config)
    return AutoConfig.for_model(config.pop("model_type"), **config)


def image_settings(card: ModelCard) -> dict[str, Any]:
    """What its files say of a model's image processor; nothing where they are not here."""
    try:
        folder = configured(card)
    except ModelError:
        return {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_bytes())
            return dict(found.get("image_processor", found))
    return {}


def outline(card: ModelCard) -> "VLM":
    """The model on the meta device, where parameters take no memory; it has no processor, and cannot be asked."""
    family, config = family_of(card), config_of(card)
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return family(AutoModelForImageTextToText.from_config(config), None)
