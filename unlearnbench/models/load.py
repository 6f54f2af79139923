"""From a model's files to a `VLM` on the device at hand."""

import json
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError

from ..device import DTYPES, choose
from ..errors import ModelError
from .card import ModelCard
from .source import folder_of, model_type
from .vlm import VLM


def load(card: ModelCard, device: str | None = None) -> VLM:
    """Load a model for the device at hand (a GPU in bfloat16, else the CPU in float32), frozen."""
    folder, _ = folder_of(card)
    device = choose(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is a GPU, but this torch cannot use it; install torch for CUDA, or give --device cpu")
    dtype = getattr(torch, DTYPES[device])
    _check_memory(card, folder, device, dtype)
    return _load_family(card.family or model_type(folder), card, folder, device, dtype)


def _load_family(family: str, card: ModelCard, folder: Path, device: str, dtype: torch.dtype) -> VLM:
    if family != "qwen2_5_vl":
        raise ModelError(f"model {card.name} is of the family {family!r}; this version supports qwen2_5_vl")
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    from .joint import Qwen2_5_VL
    from .processors import Qwen2_5_VLImageOnlyProcessor, pil_image_processor

    try:
        with _Quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"model {card.name} cannot be loaded ({reason}); save or download the model again") from error
    lost = sorted({*report["missing_keys"], *report["mismatched_keys"]}, key=str)
    if lost:
        raise ModelError(
            f"weights of {card.name} lack {lost[0]} ({len(lost)} in all); save or download the model again"
        )
    images = pil_image_processor(card.min_pixels, card.max_pixels)
    processor = Qwen2_5_VLImageOnlyProcessor(images, tokenizer, chat_template=_chat_template(folder, tokenizer))
    return Qwen2_5_VL(model.to(device), processor, family)


def _chat_template(folder: Path, tokenizer: Any) -> str:
    """The processor's template, wherever this generation of `transformers` wrote it."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").is_file():
        return str(json.loads((folder / "chat_template.json").read_text())["chat_template"])
    return str(tokenizer.chat_template)


def _check_memory(card: ModelCard, folder: Path, device: str, dtype: torch.dtype) -> None:
    """Raise `ModelError` if the bare weights can not fit; training needs more, which only a run can tell."""
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    needed = stored * (2 if dtype == torch.float32 else 1)  # files hold 16-bit numbers
    free = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else psutil.virtual_memory().available
    if needed > free:
        raise ModelError(
            f"model {card.name} needs {needed / 2**30:.1f} GiB for its weights on {device}, {free / 2**30:.1f} GiB are "
            "free; use a smaller model or a larger machine"
        )


class _Quiet:
    """No progress bars or advice of `transformers` while loading: ours says what is going on."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
        logging.enable_progress_bar()
