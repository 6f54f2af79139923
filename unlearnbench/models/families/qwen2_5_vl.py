"""Qwen2.5-VL, and what it shares with Qwen3-VL."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids, get_vision_window_index

from ...registry import family
from ..contract.vlm import Batch, PictureCounts
from ..fusion.early import EarlyFusionVLM
from ..pictures.cache import Picture
from ..pictures.runs import RUNS, Patches
from .processing_qwen_vl import Qwen2_5_VLImageOnlyProcessor

GRIDS = 64
"""For so many shapes of pictures what follows from the shape is kept, some 300 KB each at 1024 pixels."""

Grids = tuple[tuple[int, ...], ...]
"""Of pictures: their extent in time, height and width, in patches."""


class QwenVL(EarlyFusionVLM):
    """What Qwen2.5-VL and Qwen3-VL share: grids of any shape, patches merged, M-RoPE."""

    _picture_inputs = ("image_grid_thw",)

    def __init__(self, model: nn.Module, processor: Any) -> None:
        super().__init__(model, processor)
        tower = self.model.model.visual
        if tower.config._attn_implementation == "sdpa":
            tower.config._attn_implementation = RUNS
        tower.patch_embed.proj.__class__ = Patches

    def _tower_inputs(self, preprocessed: Sequence[Any]) -> dict[str, Any]:
        """What the tower would work out of pictures' grids anew each time, and wait for a GPU meanwhile."""
        grids = torch.cat([each["image_grid_thw"].cpu() for each in preprocessed])
        return {"image_grid_thw": grids, **self._of_grids(tuple(map(tuple, grids.tolist())))}

    def _of_grids(self, grids: Grids) -> dict[str, Any]:
        """That, for pictures of these grids."""
        return of_grids(grids, self.model.model.visual.spatial_merge_size, self.device)

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

    def _of_grids(self, grids: Grids) -> dict[str, Any]:
        tower = self.model.model.visual
        sizes = (tower.spatial_merge_size, tower.window_size, tower.patch_size)
        return super()._of_grids(grids) | of_windows(grids, *sizes, self.device)

    def _arranged(self, given: list[Tensor], inputs: dict[str, Any]) -> Tensor:
        """Undo the tower's window order on the patches that the merger fuses, so that its output needs no undoing."""
        fused = given[0].view(-1, self.model.model.visual.spatial_merge_unit, given[0].shape[-1])
        return fused[inputs["window_index"].argsort()].reshape(given[0].shape)


@lru_cache(GRIDS)
def of_grids(grids: Grids, merged: int, device: torch.device) -> dict[str, Any]:
    """Places of patches, and where in the sequence each picture ends; of squares of ``merged`` x ``merged`` patches."""
    all_of_them = torch.tensor(grids)
    places = get_vision_position_ids(all_of_them, merged).to(device)
    return {"position_ids": places, "cu_seqlens": get_vision_cu_seqlens(all_of_them)}


@lru_cache(GRIDS)
def of_windows(grids: Grids, merged: int, window: int, patch: int, device: torch.device) -> dict[str, Any]:
    """In which order fused patches stand, window after window, and where in the sequence each window ends.

    A picture's windows go from large to small, so that those of one size, all but the ones at two of its edges, are a
    stretch of the sequence; in which order they are is nothing to the tower, which undoes it.
    """
    order, bounds = get_vision_window_index(torch.tensor(grids), merged, window, patch)
    lengths, ends = bounds.diff().long(), get_vision_cu_seqlens(torch.tensor(grids))[1:]
    picture = torch.searchsorted(ends, bounds[:-1], right=True)
    ranked = (picture * (int(lengths.max()) + 1) - lengths).argsort(stable=True)
    windows = order.split((lengths // merged**2).tolist())
    return {
        "window_index": torch.cat([windows[place] for place in ranked.tolist()]).to(device),
        "cu_window_seqlens": functional.pad(lengths[ranked].cumsum(0), (1, 0)),
    }
