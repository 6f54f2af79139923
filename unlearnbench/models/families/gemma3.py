"""Gemma 3."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.gemma3.modeling_gemma3 import get_block_sequence_ids_for_mask

from ...registry import family
from ..contract.vlm import Batch, PictureCounts
from ..fusion.early import EarlyFusionVLM


@family("gemma3", reference="arXiv:2503.19786")
class Gemma3(EarlyFusionVLM):
    """``transformers.Gemma3ForConditionalGeneration``: visual tokens see each other in both directions."""

    shares_prefixes = False  # continued from a cache, `transformers` masks otherwise: logits differ by up to 0.005
    static_cache = True

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """A fixed number of tokens, each the mean of a square of patches."""
        counted = super().count_picture(side, images, pixels)
        return replace(counted, visual=self.model.config.mm_tokens_per_image)

    @property
    def end_token_id(self) -> int:
        """Answers end with the turn, which is not the end of the text here."""
        return int(self.tokenizer.convert_tokens_to_ids("<end_of_turn>"))

    def _seen_both_ways(self, batch: Batch) -> Tensor:
        """A picture's own tokens see each other."""
        blocks: Tensor = get_block_sequence_ids_for_mask(batch.image_mask.int(), batch.image_mask.device)
        return (blocks[:, None] == blocks[:, :, None]) & batch.image_mask[:, None]

    def _encoded(self, visual: list[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=torch.cat(visual))

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        return {**super()._extra(batch), "token_type_ids": batch.image_mask.long()}
