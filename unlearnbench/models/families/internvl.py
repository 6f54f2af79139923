"""InternVL in the form of `transformers`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ...registry import family
from ..contract.vlm import PictureCounts
from ..fusion.early import EarlyFusionVLM
from .processing_internvl import InternVLImageOnlyProcessor


@family("internvl", reference="arXiv:2504.10479")
class InternVL(EarlyFusionVLM):
    """``transformers.InternVLForConditionalGeneration``: crops of the picture, then the whole of it."""

    processor_class = InternVLImageOnlyProcessor

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """Every crop's tokens, of which each is a square of patches."""
        always = {"crop_to_patches": True}  # says `InternVLProcessor`, whatever the image processor's own files say
        crops = GotOcr2ImageProcessorPil(**images).get_number_of_image_patches(side, side, always)
        patches = crops * self._crop_patches()
        features = patches * self.model.config.vision_config.hidden_size
        return PictureCounts(crops * self.model.config.image_seq_length, patches, features)

    def _encoded(self, visual: list[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=torch.cat(visual))
