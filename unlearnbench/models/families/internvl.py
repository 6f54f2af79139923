"""InternVL in the form of `transformers`."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import InternVLProcessor, ProcessorMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ...registry import family
from ..contract.vlm import PictureCounts
from ..fusion.early import EarlyFusionVLM


class InternVLImageOnlyProcessor(InternVLProcessor):  # type: ignore[misc]
    """`InternVLProcessor` without its video half, which alone would need torchvision."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        image_seq_length: int = 256,
        **kwargs: Any,
    ) -> None:
        self.image_seq_length = image_seq_length
        self.start_image_token = tokenizer.start_image_token
        self.end_image_token = tokenizer.end_image_token
        self.start_image_token_id = tokenizer.start_image_token_id
        self.end_image_token_id = tokenizer.end_image_token_id
        self.image_token = tokenizer.context_image_token
        self.image_token_id = tokenizer.context_image_token_id
        self.video_token = getattr(tokenizer, "video_token", None)
        self.multimodal_pattern = re.compile(f"(?P<image>{re.escape(self.image_token)})|(?P<video>(?!))")
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


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
