"""The processor of InternVL for pictures alone, of `transformers` alone: models are saved with a copy of this file.

So `AutoProcessor` finds the class wherever the model goes, if it is told to trust the folder's code.
"""

import re
from typing import Any

from transformers import InternVLProcessor, ProcessorMixin


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


InternVLImageOnlyProcessor.register_for_auto_class()
