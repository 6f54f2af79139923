"""Tiny random-weight models of the joint kind's families, saved as any model is, to be loaded by the harness."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for

TURN = (
    "{% for m in messages %}<user>{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<end>{% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # 0.02 leaves so small a model hardly any leverage
}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def tokenizer(image: str, special: tuple[str, ...], end: str = "<end>", **named: str) -> PreTrainedTokenizerFast:
    """Bytes, with ``special`` tokens; the chat template puts ``image`` where a picture is."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    tokens = ["<pad>", "<user>", "<end>", "<model>", *special]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([], trainers.BpeTrainer(special_tokens=tokens, initial_alphabet=alphabet))
    hf = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=end,
        pad_token="<pad>",
        additional_special_tokens=tokens,
        padding_side="left",
        extra_special_tokens=named or None,
    )
    hf.chat_template = TURN.replace("IMAGE", image)
    return hf


def ids(tokens: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What a text config says of its vocabulary."""
    return {
        "vocab_size": len(tokens),
        "bos_token_id": None,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }


def qwen3_vl() -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from unlearnbench.models.families.qwen3_vl import Qwen3VLImageOnlyProcessor

    special = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokens = tokenizer("<|vision_start|><|image_pad|><|vision_end|>", special)
    start, end, image, video = tokens.convert_tokens_to_ids(list(special))
    config = Qwen3VLConfig(
        text_config=TEXT
        | ids(tokens)
        | {
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.3,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    images = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 32 * 32, "longest_edge": 128 * 128}, patch_size=16, image_mean=[0.5] * 3
    )
    processor = Qwen3VLImageOnlyProcessor(images, tokens, chat_template=tokens.chat_template)
    return Qwen3VLForConditionalGeneration(config), processor


def llava() -> tuple[Any, Any]:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokens = tokenizer("<image>\n", ("<image>",))
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, image_size=56, patch_size=14, projection_dim=32),
        text_config=LlamaConfig(**TEXT, **ids(tokens)),
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor = LlavaProcessor(
        images,
        tokens,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokens.chat_template,
    )
    return LlavaForConditionalGeneration(config), processor


def smolvlm() -> tuple[Any, Any]:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    from unlearnbench.models.families.smolvlm import SmolVLMImageOnlyProcessor

    cells = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))
    tokens = tokenizer("<image>", ("<image>", "<fake_token_around_image>", "<global-img>", *cells))
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **TEXT, **ids(tokens)},
        vision_config=VISION | {"image_size": 56, "patch_size": 14, "initializer_range": 0.3},
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokens.pad_token_id,
    )
    images = SmolVLMImageProcessorPil(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}, do_image_splitting=True
    )
    processor = SmolVLMImageOnlyProcessor(images, tokens, chat_template=tokens.chat_template, image_seq_len=4)
    return SmolVLMForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokens = tokenizer("<start_of_image>", ("<end_of_turn>", *names.values()), "<end_of_turn>", **names)
    config = Gemma3Config(
        text_config=TEXT
        | ids(tokens)
        | {"head_dim": 8, "sliding_window": 24, "query_pre_attn_scalar": 8, "tie_word_embeddings": False},
        vision_config=VISION | {"image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
        image_token_id=tokens.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokens.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokens.convert_tokens_to_ids("<end_of_image>"),
    )
    model = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)  # zero in a new model
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    processor = Gemma3Processor(images, tokens, chat_template=tokens.chat_template, image_seq_length=4)
    return model, processor


def internvl(**text: Any) -> tuple[Any, Any]:
    """With what else its ``text`` config says."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    from unlearnbench.models.families.internvl import InternVLImageOnlyProcessor

    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokens = tokenizer("<IMG_CONTEXT>\n", tuple(names.values()), **names)
    config = InternVLConfig(
        text_config=Qwen2Config(**TEXT | text, **ids(tokens)),
        vision_config=VISION | {"image_size": [56, 56], "patch_size": [14, 14], "initializer_range": 0.3},
        image_token_id=tokens.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessorPil(size={"height": 56, "width": 56}, max_patches=4)
    processor = InternVLImageOnlyProcessor(images, tokens, chat_template=tokens.chat_template, image_seq_length=4)
    return InternVLForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    build.__name__: build for build in (qwen3_vl, llava, smolvlm, gemma3, internvl)
}


EMBEDDED = ["tiny-qwen2.5-vl", "tiny-mllama"]
"""The trained models that ship, one of each kind of family; together with `FAMILIES` all families that there are."""


def resized(images: Iterable[Path], sizes: Iterable[tuple[int, int]], folder: Path) -> list[Path]:
    """Copies of pictures in other shapes, in ``folder``."""
    found = []
    for place, (image, size) in enumerate(zip(images, sizes, strict=False)):
        found.append(folder / f"{place}.png")
        Image.open(image).convert("RGB").resize(size).save(found[-1])
    return found


def save(name: str, folder: Path) -> None:
    """Build a family's model with seeded weights and write it to ``folder``."""
    torch.manual_seed(0)
    model, processor = FAMILIES[name]()
    model.generation_config.suppress_tokens = sorted(
        processor.tokenizer.added_tokens_decoder
    )  # else answers may well be empty
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def loaded(name: str, folder: Path) -> Any:
    """A model that ships, or a random one of a further family, which is written to ``folder`` first."""
    if name in EMBEDDED:
        return load(card_for(name), "cpu")
    save(name, folder / name)
    return load(card_for(str(folder / name)), "cpu")
