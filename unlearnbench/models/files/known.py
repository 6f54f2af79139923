"""Which architecture families are supported: those that are registered; and why some others are not."""

from ...errors import ModelError
from ...registry import families

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


def check_family(name: str, model: str) -> None:
    """Raise `ModelError` unless ``name``, the family of a ``model``, is registered; with the reason where there is one.

    Nothing is imported.
    """
    if name in families:
        return
    if name in REFUSED:
        raise ModelError(f"model {model} is of the family {name!r}, which cannot be supported: {REFUSED[name]}")
    raise ModelError(
        f"model {model} is of the family {name!r}, which nobody has proved here; choose one of "
        f"{', '.join(families.names())}, or add it: docs/adding-a-family.md"
    )
