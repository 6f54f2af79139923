"""Which architecture families are supported, and why some others are not."""

from dataclasses import dataclass

from ...errors import ModelError


@dataclass(frozen=True)
class Family:
    """Where a family's `VLM` is, and the processor that prepares for it.

    Both are "module:class" within `unlearnbench.models`; no processor means the one that the model's files name.
    ``any_size``: pictures are taken at any size, so that a card bounds their area.
    """

    vlm: str
    processor: str | None = None
    any_size: bool = False


FAMILIES = {
    "qwen2_5_vl": Family("qwen2_5_vl:Qwen2_5_VL", "qwen2_5_vl:Qwen2_5_VLImageOnlyProcessor", True),
    "qwen3_vl": Family("qwen3_vl:Qwen3VL", "qwen3_vl:Qwen3VLImageOnlyProcessor", True),
    "llava": Family("llava:Llava"),
    "smolvlm": Family("smolvlm:SmolVLM", "smolvlm:SmolVLMImageOnlyProcessor"),
    "gemma3": Family("gemma3:Gemma3"),
    "internvl": Family("internvl:InternVL", "internvl:InternVLImageOnlyProcessor"),
    "mllama": Family("mllama:Mllama"),
}
"""By the ``model_type`` of a model's ``config.json``."""

_OTHER_CODE = "it is saved as its authors' own code does, not transformers'; give its conversion"

REFUSED = {
    "instructblip": "its visual tokens depend on the question, so a picture has none of its own to select and keep",
    "blip-2": "its visual tokens are 32 learned queries, none of which lies anywhere in the picture",
    "chameleon": "its pictures are discrete tokens of the vocabulary, which nothing continuous can replace",
    "emu3": "its pictures are discrete tokens of the vocabulary, which nothing continuous can replace",
    "fuyu": "it has no vision tower: pixels go straight into the language model",
    "florence2": "its encoder mixes question and picture before the decoder attends, so no layer has attention of text "
    "to visual tokens",
    "kosmos-2": "its visual tokens are 64 learned queries, none of which lies anywhere in the picture",
    "llava_llama": f"{_OTHER_CODE} (llava-hf on the hub)",
    "llava_mistral": f"{_OTHER_CODE} (llava-hf on the hub)",
    "internvl_chat": f"{_OTHER_CODE} (on the hub its name ends in -hf)",
    "idefics": "its cross-attention reads a resampler's latents, none of which lies anywhere in the picture",
}
"""Families that cannot be edited as the methods' papers mean it, with the reason."""


def family(name: str, model: str) -> Family:
    """The family ``name`` of a ``model``; raises `ModelError`, with the reason where there is one."""
    if name in FAMILIES:
        return FAMILIES[name]
    if name in REFUSED:
        raise ModelError(f"model {model} is of the family {name!r}, which cannot be supported: {REFUSED[name]}")
    known = ", ".join(sorted(FAMILIES))
    raise ModelError(f"model {model} is of the family {name!r}, which nobody has proved here; choose one of {known}")
