"""Packed batches: the questions about the same pictures in one sequence, which is how training reads pictures once.

``[beginning, question 1 answer 1, question 2 answer 2, ...]``: a mask lets no question see another, and every token has
the position that it would have if its question stood alone. So each question is read exactly as by itself, with
gradients, under checkpointing, and by weights that are cut up among processes: it is one ordinary pass. With dropout
each question is read as it might have been alone; only what is dropped of the beginning is the same for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..contract.vlm import Batch
from .beginnings import beginnings, ends_of, window_of, with_beginning

if TYPE_CHECKING:
    from .decoder import DecoderVLM

KINDS = {"full_attention", "sliding_attention"}
"""The kinds of layers, by their names in `transformers`, whose masks are known here."""


@dataclass
class Packed:
    """A batch of B rows as R rows, each a beginning and all that follows it; padded on the left.

    ``batch`` has these rows, ``visual`` the visual tokens of their pictures. ``places`` [B, L] says where, in all
    tokens of the R rows, each token of the B rows stands. ``part`` [R, L'] numbers what follows a beginning, which is
    itself 0, padding -1; ``order`` [R, L'] is a token's number in its own prompt, ``before`` [R, L'] how many tokens
    stand between the two parts of that.
    """

    batch: Batch
    visual: list[Tensor]
    places: Tensor
    part: Tensor
    order: Tensor
    before: Tensor

    def positions(self, model: "DecoderVLM") -> Tensor:
        """As if every prompt stood alone: [R, L'], or [3, R, L'] with M-RoPE."""
        return (model._positions(self.batch) - self.before).clamp_min(0)

    def mask(self, model: "DecoderVLM") -> Tensor | dict[str, Tensor]:
        """What each token sees [R, 1, L', L'], by the kind of layer where there are several."""
        part, order, config = self.part, self.order, model.model.config.get_text_config()
        own = (part[:, None] == 0) | (part[:, None] == part[:, :, None])
        seen = own & ((order[:, None] <= order[:, :, None]) | model._seen_both_ways(self.batch))
        masks = {"full_attention": seen[:, None]}
        if window := window_of(model):
            masks["sliding_attention"] = (seen & (order[:, None] > order[:, :, None] - window))[:, None]
        if config._attn_implementation == "eager":  # which adds its mask
            masks = {kind: torch.where(mask, 0.0, torch.finfo(model.dtype).min) for kind, mask in masks.items()}
        return masks if window and getattr(config, "layer_types", None) else [*masks.values()][-1]

    def logits(self, model: "DecoderVLM", predicting: Tensor) -> Tensor:
        """Of the tokens that ``predicting`` [B, L] marks, row after row."""
        places = self.places[predicting]
        kept = torch.zeros_like(self.part, dtype=torch.bool).view(-1).index_fill_(0, places, True)
        logits: Tensor = self.forward(model, logits_to_keep=kept.view_as(self.part)).logits
        index = kept.cumsum(0)[places] - 1
        in_order = bool((index[1:] > index[:-1]).all())  # as batches are whose questions follow each other by picture
        return logits if in_order else logits[index]

    def forward(self, model: "DecoderVLM", **options: Any) -> Any:
        """One pass of the model."""
        inputs = model._inputs(self.batch, self.visual)
        inputs |= {"attention_mask": self.mask(model), "position_ids": self.positions(model)}
        return model.model(**inputs, use_cache=False, **options)


def can_pack(model: "DecoderVLM") -> bool:
    """Whether all layers are of kinds whose masks are known."""
    kinds = getattr(model.model.config.get_text_config(), "layer_types", None)
    return {*(kinds or KINDS)} <= KINDS


def spared_of(batch: Batch, visual: Sequence[Tensor], crossing: float = 0.0) -> float:
    """The share of a batch's reading that packing saves: of its real tokens or, where that is less, of its padded rows.

    Pictures that do not stand in the sequence count by themselves, each of their tokens so many as ``crossing``.
    """
    lengths = batch.attention_mask.sum(1).tolist()
    common = (ends_of(batch) - (batch.attention_mask == 0).sum(1)).clamp_min(0).tolist()
    found: dict[Any, list[int]] = {}
    for row, places in enumerate(batch.by_row):
        found.setdefault(tuple(id(visual[place]) for place in places) or row, []).append(row)
    packs = [common[rows[0]] + sum(lengths[row] - common[row] for row in rows) for rows in found.values()]
    seen, once = (
        crossing * sum(batch.pictures[place].count for place in batch.places(rows))
        for rows in (range(len(batch)), [rows[0] for rows in found.values()])
    )
    real = (sum(packs) + once) / (sum(lengths) + seen)
    padded = (len(packs) * max(packs) + once) / (batch.input_ids.numel() + seen)
    return float(1 - max(real, padded))


def groups(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> list[list[int]]:
    """The rows that begin alike, in the order of their first; alone those of which that cannot be told."""
    keys, known = beginnings(batch, visual), {*with_beginning(model, batch)}
    found: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key if row in known else row, []).append(row)
    return [*found.values()]


def pack(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> Packed:
    """Put rows that begin alike behind one another."""
    width, device = batch.input_ids.shape[1], batch.input_ids.device
    starts = (width - batch.attention_mask.sum(1)).tolist()
    last = [max(end, start) for end, start in zip(ends_of(batch).tolist(), starts, strict=True)]
    together = groups(model, batch, visual)
    lengths = [last[rows[0]] - starts[rows[0]] + sum(width - last[row] for row in rows) for rows in together]
    longest = max(lengths)
    places = torch.zeros(len(batch), width, dtype=torch.long)
    part = torch.full((len(together), longest), -1)
    order, before = torch.zeros_like(part), torch.zeros_like(part)
    for place, rows in enumerate(together):
        start, common = longest - lengths[place], last[rows[0]] - starts[rows[0]]
        at = start + common
        part[place, start:at], order[place, start:at] = 0, torch.arange(common)
        for number, row in enumerate(rows, 1):
            stop = at + width - last[row]
            places[row, starts[row] : last[row]] = place * longest + torch.arange(start, start + common)
            places[row, last[row] :] = place * longest + torch.arange(at, stop)
            part[place, at:stop] = number
            order[place, at:stop] = torch.arange(common, common + stop - at)
            before[place, at:stop] = at - start - common
            at = stop
    places, part, order, before = (each.to(device) for each in (places, part, order, before))
    firsts = [rows[0] for rows in together]
    own = [visual[place] for place in batch.places(firsts)]
    return Packed(_rows(model, batch, firsts, places, part), own, places, part, order, before)


def _rows(model: "DecoderVLM", batch: Batch, firsts: Sequence[int], places: Tensor, part: Tensor) -> Batch:
    """The packed rows, with the queries and pictures of the ``firsts`` of them."""
    real, first = batch.attention_mask.bool(), batch.take(firsts)
    ids = torch.full_like(part, model.tokenizer.pad_token_id)
    ids.view(-1)[places[real]] = batch.input_ids[real]
    nothing = torch.zeros_like(part, dtype=torch.bool)
    return Batch(
        queries=first.queries,
        pictures=first.pictures,
        row_of=first.row_of,
        input_ids=ids,
        attention_mask=(part >= 0).long(),
        image_mask=ids == model.image_token_id,
        question_mask=nothing,
        answer_mask=nothing,
    )
