"""tiny-mllama: Llama-3.2-Vision's classes, cross-attention over up to four tiles."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor, PreTrainedTokenizerFast
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

from .architecture import Architecture, byte_level_bpe, places, seed_weights
from .lessons import PHASES

SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|finetune_right_pad_id|>",
)
IMAGE = "<|image|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|image|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TILE, PATCH, TILES = 84, 28, 4
"""Pixels of a tile's and a patch's side, tiles at most: a picture of 140 x 140 pixels becomes 2 x 2 tiles of 3 x 3
patches, the last row and column of which are the canvas' padding."""

WIDTH, HEADS, VISION_WIDTH, INTERMEDIATE = 128, 4, 96, (1,)


class TinyMllama(Architecture):
    """Three cross-attention layers among seven, their gates open from the start."""

    text_prefix = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    prefix = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<|image|>"
    phases = PHASES[:2]
    tail = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"

    def tokenizer(self) -> PreTrainedTokenizerFast:  # noqa: D102
        tokens = PreTrainedTokenizerFast(
            tokenizer_object=byte_level_bpe(SPECIAL),
            bos_token="<|begin_of_text|>",  # noqa: S106
            eos_token="<|eot_id|>",  # noqa: S106
            pad_token="<|finetune_right_pad_id|>",  # noqa: S106
            additional_special_tokens=list(SPECIAL),
            padding_side="left",
            chat_template=CHAT_TEMPLATE,
        )
        tokens.add_tokens([IMAGE], special_tokens=True)  # its id is the vocabulary's size, as in the real model
        return tokens

    def processor(self, tokens: PreTrainedTokenizerFast) -> MllamaProcessor:  # noqa: D102
        images = MllamaImageProcessorPil(size={"height": TILE, "width": TILE}, max_image_tiles=TILES)
        return MllamaProcessor(image_processor=images, tokenizer=tokens, chat_template=CHAT_TEMPLATE)

    def untrained(self, tokens: PreTrainedTokenizerFast, seed: int) -> MllamaForConditionalGeneration:  # noqa: D102
        torch.manual_seed(seed)
        model = MllamaForConditionalGeneration._from_config(config(tokens), attn_implementation="sdpa")
        seed_weights(model, WIDTH)
        open_gates(model)
        place_tokens(model)
        model.generation_config.eos_token_id = tokens.eos_token_id
        model.generation_config.pad_token_id = tokens.pad_token_id
        return model

    def see(self, reader: Any, images: Sequence[Image.Image]) -> dict[str, Tensor]:  # noqa: D102
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        inputs = reader.image_processor([[image] for image in images], return_tensors="pt")
        return {name: inputs[name] for name in names}

    def read(self, model: Any, ids: Tensor, offset: Tensor, prefix: int, seen: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: D102
        position = places(offset, prefix)
        if not seen:
            return {"position_ids": position}
        place = torch.arange(ids.shape[1])[None, :, None, None]
        sees = (place >= prefix - 1) & seen["aspect_ratio_mask"][:, None].bool()
        return {"position_ids": position, "cross_attention_mask": sees.long()}


def config(tokens: PreTrainedTokenizerFast) -> MllamaConfig:
    """The model's shape."""
    image = tokens.convert_tokens_to_ids(IMAGE)
    return MllamaConfig(
        text_config={
            "vocab_size": image,
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": 7,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS // 2,
            "cross_attention_layers": [1, 3, 5],
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
            "max_position_embeddings": 1024,
            "tie_word_embeddings": False,
            "bos_token_id": tokens.bos_token_id,
            "eos_token_id": tokens.eos_token_id,
            "pad_token_id": tokens.pad_token_id,
        },
        vision_config={
            "hidden_size": VISION_WIDTH,
            "intermediate_size": 2 * VISION_WIDTH,
            "attention_heads": 3,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "image_size": TILE,
            "patch_size": PATCH,
            "max_num_tiles": TILES,
            "intermediate_layers_indices": list(INTERMEDIATE),
            "vision_output_dim": VISION_WIDTH * (1 + len(INTERMEDIATE)),
        },
        image_token_index=image,
    )


@torch.no_grad()
def open_gates(model: nn.Module) -> None:
    """Set the gates that new models have shut: with them the picture would be without effect, and without gradient."""
    for name, parameter in model.named_parameters():
        if name.endswith(("cross_attn_attn_gate", "cross_attn_mlp_gate")):
            parameter.fill_(1.0)
        elif name.endswith(("embedding.gate", "gate_attn", "gate_ffn")):
            parameter.fill_(0.5)


@torch.no_grad()
def place_tokens(model: Any) -> None:
    """Give places in the picture a weight like that of its content: with the usual 0.02 they are learned last."""
    tower = model.model.vision_model
    tiles = (tower.pre_tile_positional_embedding, tower.post_tile_positional_embedding)
    for weight in (
        tower.gated_positional_embedding.embedding,
        tower.gated_positional_embedding.tile_embedding.weight,
        *(tile.embedding.weight for tile in tiles),
    ):
        nn.init.normal_(weight, std=0.5)
