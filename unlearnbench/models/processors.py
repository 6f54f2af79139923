"""Processors of the Qwen-VL families without their video half, which alone would need torchvision."""

from typing import Any

from transformers import ProcessorMixin, Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil


class Qwen2_5_VLImageOnlyProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """`Qwen2_5_VLProcessor` for pictures alone.

    `ProcessorMixin` learns its parts from the signature of ``__init__``, so leaving the video processor out of it is
    all it takes; saving and loading work as for the parent class.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any
    ) -> None:
        self.image_token = getattr(tokenizer, "image_token", "<|image_pad|>")
        self.video_token = getattr(tokenizer, "video_token", "<|video_pad|>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def pil_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """The PIL backend: the same pixels on every machine, whether torchvision is installed or not."""
    return Qwen2VLImageProcessorPil(size={"shortest_edge": min_pixels, "longest_edge": max_pixels})
