"""SmolVLM."""

import weakref
from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from ...registry import family
from ..contract.vlm import PictureCounts
from ..fusion.early import EarlyFusionVLM
from .processing_smolvlm import SmolVLMImageOnlyProcessor


@family("smolvlm", reference="arXiv:2504.05299")
class SmolVLM(EarlyFusionVLM):
    """``transformers.SmolVLMForConditionalGeneration``: crops of the picture, then the whole of it.

    It alone puts visual tokens in the model's precision between embeddings in theirs, so that these must agree where
    embeddings, or the tower, are trained in float32.
    """

    processor_class = SmolVLMImageOnlyProcessor

    def __init__(self, model: nn.Module, processor: Any) -> None:
        super().__init__(model, processor)
        whole: Any = weakref.proxy(self.model)  # its precision is that of its first weight, which training may change
        embeddings = self.model.get_input_embeddings()
        embeddings.register_forward_hook(lambda module, args, output: output.to(whole.dtype))

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.connector  # type: ignore[no-any-return]

    def own_size(self, width: int, height: int) -> None:
        """None: beside its crops every picture is seen as a whole, which is scaled."""

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """Every crop's tokens, of which each is a square of patches."""
        crops, *_ = SmolVLMImageProcessorPil(**images).get_number_of_image_patches(side, side)
        patches = max(crops, 1) * self._crop_patches()
        features = patches * self.model.config.vision_config.hidden_size
        return PictureCounts(patches // self.model.config.scale_factor**2, patches, features)
