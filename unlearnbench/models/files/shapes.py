"""The shapes of real models, to count with where their files are not at hand: no weights, no tokenizer, no network."""

from pathlib import Path
from typing import Any

from .card import ModelCard
from .source import folder_of

QWEN_TEXT = {
    "max_position_embeddings": 128_000,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
QWEN_VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-vl-7b": {
        "model_type": "qwen2_5_vl",
        "text_config": QWEN_TEXT
        | {
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
        "vision_config": QWEN_VISION | {"out_hidden_size": 3584},
        "tie_word_embeddings": False,
    },
    "qwen2.5-vl-3b": {
        "model_type": "qwen2_5_vl",
        "text_config": QWEN_TEXT
        | {
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
        "vision_config": QWEN_VISION | {"out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
    "llama-3.2-11b-vision": {
        "model_type": "mllama",
        "text_config": {
            "vocab_size": 128_256,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 40,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
            "max_position_embeddings": 131_072,
            "pad_token_id": 128_004,
        },
        "vision_config": {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "attention_heads": 16,
            "num_hidden_layers": 32,
            "num_global_layers": 8,
            "image_size": 560,
            "patch_size": 14,
            "max_num_tiles": 4,
            "intermediate_layers_indices": [3, 7, 15, 23, 30],
            "vision_output_dim": 7680,
        },
        "image_token_index": 128_256,
    },
}


def config_of(card: ModelCard) -> Any:
    """A model's configuration: of its files where they are here, else its known shape; raises `ModelError`."""
    from transformers import AutoConfig

    if card.name not in SHAPES or Path(card.source).is_dir():
        return AutoConfig.from_pretrained(folder_of(card, fetch=False)[0])
    shape = dict(SHAPES[card.name])
    return AutoConfig.for_model(shape.pop("model_type"), **shape)


def on_meta(config: Any) -> Any:
    """The model of a configuration without memory for its weights."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)
