"""What the prompts of a batch have in common: the template's beginning and the pictures, up to where these end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..contract.vlm import Batch

if TYPE_CHECKING:
    from .decoder import DecoderVLM


def beginnings(batch: Batch, visual: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """What each row begins with: which tensors of visual tokens, and the text before the last of them."""
    text = batch.attention_mask.bool() & ~batch.image_mask & (ends_of(batch)[:, None] > columns(batch))
    before = [ids[its].tolist() for ids, its in zip(batch.input_ids.cpu(), text.cpu(), strict=True)]
    return [(*(id(visual[place]) for place in places), *ids) for places, ids in zip(batch.by_row, before, strict=True)]


def with_beginning(model: "DecoderVLM", batch: Batch) -> list[int]:
    """The rows of which it can be told where their pictures end: those that have some.

    A row whose text has a picture's own token in it is not among them.
    """
    own = dict.fromkeys(batch.row_of, 0)
    for row, picture in zip(batch.row_of, batch.pictures, strict=True):
        own[row] += picture.ids.count(model.image_token_id)
    counts = batch.image_mask.sum(1).tolist()
    return [row for row in own if counts[row] == own[row]]


def ends_of(batch: Batch) -> Tensor:
    """Where each row's last picture ends [B]: the column behind it, 0 where there is none."""
    return (batch.image_mask * (columns(batch) + 1)).amax(1)


def columns(batch: Batch) -> Tensor:
    """The number of each column [L]."""
    return torch.arange(batch.input_ids.shape[1], device=batch.input_ids.device)


def window_of(model: "DecoderVLM") -> int | None:
    """How many tokens back some layer looks, where not all layers look at all."""
    config = model.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    used = any(kind != "full_attention" for kind in kinds) if kinds else True
    return getattr(config, "sliding_window", None) if used else None
