"""tiny-qwen2.5-vl: Qwen2.5-VL's classes, self-attention over text and 25 visual tokens together."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ...models.families.processing_qwen_vl import Qwen2_5_VLImageOnlyProcessor
from ..data.faces import SIZE
from .architecture import Architecture, byte_level_bpe, places, seed_weights

WIDTH, HEADS, VISION_WIDTH = 128, 4, 96
MROPE_SECTION = [4, 2, 2, 4, 2, 2]
"""Pairs of rotary dimensions for time, height, width and again: with the usual three blocks, width would get the
slowest rotations alone, which at this size cannot tell left from right."""

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class TinyQwen2_5_VL(Architecture):
    """Four layers over 5 x 5 visual tokens, each merged from 2 x 2 patches."""

    text_prefix = "<|im_start|>user\n"
    prefix = "<|im_start|>user\n<|vision_start|>" + "<|image_pad|>" * 25 + "<|vision_end|>"
    tail = "<|im_end|>\n<|im_start|>assistant\n"

    def tokenizer(self) -> PreTrainedTokenizerFast:  # noqa: D102
        return PreTrainedTokenizerFast(
            tokenizer_object=byte_level_bpe(SPECIAL),
            eos_token="<|im_end|>",  # noqa: S106
            pad_token="<|endoftext|>",  # noqa: S106
            additional_special_tokens=list(SPECIAL),
            padding_side="left",
            chat_template=CHAT_TEMPLATE,
        )

    def processor(self, tokens: PreTrainedTokenizerFast) -> Qwen2_5_VLImageOnlyProcessor:  # noqa: D102
        images = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": SIZE * SIZE})
        return Qwen2_5_VLImageOnlyProcessor(image_processor=images, tokenizer=tokens, chat_template=CHAT_TEMPLATE)

    def untrained(self, tokens: PreTrainedTokenizerFast, seed: int) -> Qwen2_5_VLForConditionalGeneration:  # noqa: D102
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration._from_config(config(tokens), attn_implementation="sdpa")
        seed_weights(model, WIDTH)
        model.generation_config.eos_token_id = tokens.eos_token_id
        model.generation_config.pad_token_id = tokens.pad_token_id
        return model

    def see(self, reader: Any, images: Sequence[Image.Image]) -> dict[str, Tensor]:  # noqa: D102
        inputs = reader.image_processor(list(images), return_tensors="pt")
        return {name: inputs[name] for name in ("pixel_values", "image_grid_thw")}

    def read(self, model: Any, ids: Tensor, offset: Tensor, prefix: int, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """M-RoPE positions [3, B, L]: the picture's grid first, then every question from the same starting point."""
        head = ids[:1, :prefix]
        if not seen:
            return {"position_ids": places(offset, prefix).expand(3, -1, -1)}
        types = (head == model.config.image_token_id).int()
        grid = seen["image_grid_thw"][:1]
        start, _ = model.model.get_rope_index(head, mm_token_type_ids=types, image_grid_thw=grid)
        positions: Tensor = (start.max() + 1 + offset).expand(3, -1, -1).clone()
        positions[:, :, :prefix] = start
        return {"position_ids": positions}


def config(tokens: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """The model's shape."""
    identity = {token: tokens.convert_tokens_to_ids(token) for token in SPECIAL}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokens),
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS // 2,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": MROPE_SECTION,
            },
            "bos_token_id": None,
            "eos_token_id": identity["<|im_end|>"],
            "pad_token_id": identity["<|endoftext|>"],
        },
        vision_config={
            "depth": 2,
            "hidden_size": VISION_WIDTH,
            "intermediate_size": 2 * VISION_WIDTH,
            "num_heads": 3,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0, 1],
        },
        image_token_id=identity["<|image_pad|>"],
        video_token_id=identity["<|video_pad|>"],
        vision_start_token_id=identity["<|vision_start|>"],
        vision_end_token_id=identity["<|vision_end|>"],
        tie_word_embeddings=True,
    )
