"""The processor of SmolVLM for pictures alone, of `transformers` alone: models are saved with a copy of this file.

So `AutoProcessor` finds the class wherever the model goes, if it is told to trust the folder's code.
"""

from typing import Any

from transformers import ProcessorMixin, SmolVLMProcessor


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


SmolVLMImageOnlyProcessor.register_for_auto_class()
