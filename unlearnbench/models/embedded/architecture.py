"""The embedded model before training: Qwen2.5-VL's own classes at 1/5000 of the size, tokenizer and processor."""

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from torch import nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from ...data.embedded.faces import SIZE
from ..processors import Qwen2_5_VLImageOnlyProcessor, pil_image_processor
from .lessons import corpus

VOCABULARY = 1_600
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


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on the lessons, every digit a token of its own."""
    bpe = Tokenizer(tokenizer_models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=list(SPECIAL),
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def processor(tokens: PreTrainedTokenizerFast) -> Qwen2_5_VLImageOnlyProcessor:
    """Pictures of up to `SIZE` pixels square, in patches of 14, merged two by two."""
    images = pil_image_processor(min_pixels=28 * 28, max_pixels=SIZE * SIZE)
    return Qwen2_5_VLImageOnlyProcessor(image_processor=images, tokenizer=tokens, chat_template=CHAT_TEMPLATE)


def untrained(tokens: PreTrainedTokenizerFast, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """The model with seeded random weights of variance 1/fan-in (the default of 0.02 starves so small a model)."""
    identity = {token: tokens.convert_tokens_to_ids(token) for token in SPECIAL}
    width, heads, vision_width = 128, 4, 96
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokens),
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": 4,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // 2,
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
            "hidden_size": vision_width,
            "intermediate_size": 2 * vision_width,
            "num_heads": 3,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": width,
            "fullatt_block_indexes": [0, 1],
        },
        image_token_id=identity["<|image_pad|>"],
        video_token_id=identity["<|video_pad|>"],
        vision_start_token_id=identity["<|vision_start|>"],
        vision_end_token_id=identity["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=width**-0.5)
    model.generation_config.eos_token_id = identity["<|im_end|>"]
    model.generation_config.pad_token_id = identity["<|endoftext|>"]
    return model
