"""Processors without their video half, which alone would need torchvision, and image processors on PIL."""

import re
from typing import Any

from transformers import (
    InternVLProcessor,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen3VLProcessor,
    SmolVLMProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

# `ProcessorMixin` learns a processor's parts from the signature of ``__init__``, so leaving the video processor out of
# it is all it takes; saving and loading work as for the parent classes.


class _QwenImageOnly:
    """The start-up that Qwen's processors share."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any
    ) -> None:
        for name, token in {
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
        }.items():
            token = getattr(tokenizer, name, token)
            setattr(self, name, token)
            setattr(self, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


class Qwen2_5_VLImageOnlyProcessor(_QwenImageOnly, Qwen2_5_VLProcessor):  # type: ignore[misc]
    """`Qwen2_5_VLProcessor` for pictures alone."""


class Qwen3VLImageOnlyProcessor(_QwenImageOnly, Qwen3VLProcessor):  # type: ignore[misc]
    """`Qwen3VLProcessor` for pictures alone."""


class InternVLImageOnlyProcessor(InternVLProcessor):  # type: ignore[misc]
    """`InternVLProcessor` for pictures alone."""

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


class SmolVLMImageOnlyProcessor(SmolVLMProcessor):  # type: ignore[misc]
    """`SmolVLMProcessor` for pictures alone; the parent also wants ``num2words``, to speak of a film's length."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        image_seq_len: int = 169,
        **kwargs: Any,
    ) -> None:
        self.fake_image_token = getattr(tokenizer, "fake_image_token", "<fake_token_around_image>")
        self.image_token = getattr(tokenizer, "image_token", "<image>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.end_of_utterance_token = getattr(tokenizer, "end_of_utterance_token", "<end_of_utterance>")
        self.global_image_token = getattr(tokenizer, "global_image_token", "<global-img>")
        self.image_seq_len = image_seq_len
        self.video_token = getattr(tokenizer, "video_token", "<video>")
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        """Without the parent's questions to its video processor."""
        return ProcessorMixin.apply_chat_template(self, *args, **kwargs)


def pil_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """Qwen2.5-VL's on PIL: the same pixels on every machine, whether torchvision is installed or not."""
    return Qwen2VLImageProcessorPil(size={"shortest_edge": min_pixels, "longest_edge": max_pixels})
