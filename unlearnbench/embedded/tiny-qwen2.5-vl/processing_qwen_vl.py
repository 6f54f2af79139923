"""Processors of Qwen's models for pictures alone, of `transformers` alone: models are saved with a copy of this file.

So `AutoProcessor` finds the class wherever the model goes, if it is told to trust the folder's code.
"""

from typing import Any

from transformers import ProcessorMixin, Qwen2_5_VLProcessor, Qwen3VLProcessor


class QwenImageOnly:
    """How processors of Qwen's start without their video half, which alone would need torchvision.

    `ProcessorMixin` learns a processor's parts from the signature of ``__init__``, so leaving the video processor out
    of it is all it takes; saving and loading work as for the parent classes.
    """

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


class Qwen2_5_VLImageOnlyProcessor(QwenImageOnly, Qwen2_5_VLProcessor):  # type: ignore[misc]
    """`Qwen2_5_VLProcessor` for pictures alone."""


class Qwen3VLImageOnlyProcessor(QwenImageOnly, Qwen3VLProcessor):  # type: ignore[misc]
    """`Qwen3VLProcessor` for pictures alone."""


for kind in (Qwen2_5_VLImageOnlyProcessor, Qwen3VLImageOnlyProcessor):
    kind.register_for_auto_class()
