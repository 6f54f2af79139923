"""The models that ship with the package or that it knows by a short name."""

from .card import ModelCard

_QWEN_TEXT = {
    "max_position_embeddings": 128_000,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
_QWEN_VISION = {
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

TINY_QWEN2_5_VL = ModelCard(
    name="tiny-qwen2.5-vl",
    family="qwen2_5_vl",
    source="unlearnbench.embedded:tiny-qwen2.5-vl",
    scale="tiny",
    data="embedded",
    min_pixels=28 * 28,
    max_pixels=140 * 140,
    description="Qwen2.5-VL's classes with 1.5 M trained parameters; ships with the package, needs no network",
)
QWEN2_5_VL_3B = ModelCard(
    name="qwen2.5-vl-3b",
    family="qwen2_5_vl",
    source="Qwen/Qwen2.5-VL-3B-Instruct",
    description="Qwen2.5-VL 3B Instruct from the Hugging Face hub",
    parameters=3_754_622_976,
    config={
        "model_type": "qwen2_5_vl",
        "text_config": _QWEN_TEXT
        | {
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
        "vision_config": _QWEN_VISION | {"out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
)
QWEN2_5_VL_7B = ModelCard(
    name="qwen2.5-vl-7b",
    family="qwen2_5_vl",
    source="Qwen/Qwen2.5-VL-7B-Instruct",
    description="Qwen2.5-VL 7B Instruct from the Hugging Face hub, the model of the CAGUL paper's second table",
    parameters=8_292_166_656,
    config={
        "model_type": "qwen2_5_vl",
        "text_config": _QWEN_TEXT
        | {
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
        "vision_config": _QWEN_VISION | {"out_hidden_size": 3584},
        "tie_word_embeddings": False,
    },
)
TINY_MLLAMA = ModelCard(
    name="tiny-mllama",
    family="mllama",
    source="unlearnbench.embedded:tiny-mllama",
    scale="tiny",
    data="embedded",
    description="Llama-3.2-Vision's classes with 2.1 M trained parameters; ships with the package, needs no network",
)
LLAMA_3_2_11B_VISION = ModelCard(
    name="llama-3.2-11b-vision",
    family="mllama",
    source="meta-llama/Llama-3.2-11B-Vision-Instruct",
    description="Llama 3.2 11B Vision Instruct from the Hugging Face hub, gated; of the CAGUL paper's main table",
    parameters=10_670_220_835,
    config={
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
)
