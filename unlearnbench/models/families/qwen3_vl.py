"""Qwen3-VL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from ...registry import family
from ..contract.vlm import PictureCounts
from ..pictures.cache import Picture
from .processing_qwen_vl import Qwen3VLImageOnlyProcessor
from .qwen2_5_vl import GRIDS, Grids, QwenVL


@family("qwen3_vl", reference="arXiv:2511.21631")
class Qwen3VL(QwenVL):
    """``transformers.Qwen3VLForConditionalGeneration``.

    The first language-model layers add further features of each visual token ("deepstack"). They are streams of the
    token beside its main one: [1 + deepstack layers, N_v, d]. An edit replaces all streams of a token, or the model
    would go on seeing the original.
    """

    processor_class = Qwen3VLImageOnlyProcessor
    any_size = True
    features_along = 1

    def projector(self) -> nn.Module:
        """The merger and those of deepstack."""
        return nn.ModuleList(self._projectors())

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:  # noqa: D102
        counted = super().count_picture(side, images, pixels)
        streams = 1 + len(self.model.config.vision_config.deepstack_visual_indexes)
        return replace(counted, features=counted.features * streams, streams=streams)

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        streams = zip(self._projectors(), picture.features, strict=True)
        return torch.stack([module(features).reshape(-1, self.width) for module, features in streams])

    def _projectors(self) -> Sequence[nn.Module]:
        tower = self.model.model.visual
        return [tower.merger, *tower.deepstack_merger_list]

    def _of_grids(self, grids: Grids) -> dict[str, Any]:
        tower = self.model.model.visual
        table = (tower.num_grid_per_side, tower.interpolation_mode, tower.interpolation_align_corners)
        return super()._of_grids(grids) | of_table(grids, *table, tower.spatial_merge_size, self.device)

    def _arranged(self, given: list[Tensor], inputs: dict[str, Any]) -> Tensor:
        return torch.stack(given)

    def _encoded(self, visual: list[Tensor]) -> Any:
        main, *deeper = zip(*visual, strict=True)  # streams of samples from samples of streams
        return BaseModelOutputWithDeepstackFeatures(pooler_output=main, deepstack_features=[list(s) for s in deeper])


@lru_cache(GRIDS)
def of_table(grids: Grids, side: int, mode: str, corners: bool, merged: int, device: torch.device) -> dict[str, Any]:
    """From which of the learned positions, ``side`` x ``side``, those of each patch are mixed, and in which shares."""
    indices, weights = get_vision_interpolation_indices_and_weights(torch.tensor(grids), side, mode, corners, merged)
    return {"interp_indices": indices.to(device), "interp_weights": weights.to(device)}
