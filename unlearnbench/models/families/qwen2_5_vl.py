"""Qwen2.5-VL, and what it shares with Qwen3-VL."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.vision_utils import get_vision_window_index

from ...registry import family
from ..contract.vlm import Batch, PictureCounts
from ..fusion.early import EarlyFusionVLM
from ..pictures.cache import Picture
from .processing_qwen_vl import Qwen2_5_VLImageOnlyProcessor


class QwenVL(EarlyFusionVLM):
    """What Qwen2.5-VL and Qwen3-VL share: grids of any shape, patches merged, M-RoPE."""

    _picture_inputs = ("image_grid_thw",)

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.visual.merger  # type: ignore[no-any-return]

    def own_size(self, width: int, height: int) -> tuple[int, int]:
        """That of the nearest grid of whole squares of patches."""
        images = self.processor.image_processor
        cell = images.patch_size * images.merge_size
        high, wide = smart_resize(height, width, cell, images.size.shortest_edge, images.size.longest_edge)
        return int(wide), int(high)

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """A token for every square of patches in a picture of the size to which it is made."""
        vision = self.model.config.vision_config
        cell = vision.patch_size * vision.spatial_merge_size
        height, width = smart_resize(side, side, cell, *pixels)
        visual = height * width // cell**2
        patches = visual * vision.spatial_merge_size**2
        return PictureCounts(visual, patches, patches * vision.hidden_size)

    def layout(self, picture: Picture) -> Tensor:  # noqa: D102
        _, height, width = picture.extra["image_grid_thw"][0].tolist()
        merged = self.model.model.visual.spatial_merge_size
        return torch.arange(picture.count).view(height // merged, width // merged)

    def _positions(self, batch: Batch) -> Tensor:
        """Those of M-RoPE: in time, height and width."""
        if not batch.pictures:
            return super()._positions(batch)
        find = self.model.model.get_rope_index
        return find(batch.input_ids, attention_mask=batch.attention_mask, **self._extra(batch))[0]  # type: ignore[no-any-return]

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        """M-RoPE needs to know which tokens are visual: without it positions silently become one-dimensional."""
        return {**super()._extra(batch), "mm_token_type_ids": batch.image_mask.int()}


@family("qwen2_5_vl", reference="arXiv:2502.13923")
class Qwen2_5_VL(QwenVL):
    """``transformers.Qwen2_5_VLForConditionalGeneration``."""

    processor_class = Qwen2_5_VLImageOnlyProcessor
    any_size = True

    def _arranged(self, given: list[Tensor], extra: dict[str, Tensor]) -> Tensor:
        """Undo the tower's window order on the patches that the merger fuses, so that its output needs no undoing."""
        tower, features = self.model.model.visual, given[0]
        order, _ = get_vision_window_index(
            extra["image_grid_thw"],
            spatial_merge_size=tower.spatial_merge_size,
            window_size=tower.window_size,
            patch_size=tower.patch_size,
            kwargs={},
        )
        fused = features.view(-1, tower.spatial_merge_unit, features.shape[-1])
        return fused[order.argsort()].reshape(features.shape)
