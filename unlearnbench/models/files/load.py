"""From a model's files to a `VLM` on the device at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError

from ...errors import ModelError
from ...registry import families
from ...runtime.device import DTYPES, choose
from ...runtime.startup import computing
from ..contract.vlm import VLM
from .card import ModelCard
from .check import check, loaded_bytes
from .source import folder_of, model_type


def load(card: ModelCard, device: str | None = None, dtype: str | None = None) -> VLM:
    """Load a model, frozen, for the device at hand: a GPU in bfloat16, else the CPU in float32, or in ``dtype``."""
    computing()
    folder, _ = folder_of(card)
    device = choose(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is a GPU, but this torch cannot use it; install torch for CUDA, or give --device cpu")
    precision = getattr(torch, dtype or DTYPES[device])
    check(card, folder)
    _check_memory(card, folder, device, precision)
    return _load_family(card.family or model_type(folder), card, folder, device, precision)


def _load_family(name: str, card: ModelCard, folder: Path, device: str, dtype: torch.dtype) -> VLM:
    family = families.get(name)  # first: a plug-in may tell `transformers` of its classes
    with _fit_to_load(card.name):
        processor = load_processor(family, card, folder)
    return family(network(card.name, folder, dtype).to(device), processor)


def network(name: str, folder: Path, dtype: torch.dtype) -> Any:
    """The model in ``folder`` as `transformers` loads it, on the CPU; raises `ModelError` unless every weight fits."""
    from transformers import AutoModelForImageTextToText

    with _fit_to_load(name):
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with the model's name
        )
    if others := sorted(each if isinstance(each, str) else each[0] for each in report["mismatched_keys"]):
        raise ModelError(
            f"weights of {name} do not fit its config.json, {others[0]} for one ({len(others)} in all); save or "
            "download the model again"
        )
    if lost := sorted(report["missing_keys"]):
        raise ModelError(f"weights of {name} lack {lost[0]} ({len(lost)} in all); save or download the model again")
    return model


@contextmanager
def _fit_to_load(name: str) -> Iterator[None]:
    """Without what `transformers` says meanwhile; what it raises over files becomes a `ModelError`."""
    try:
        with _Quiet():
            yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"model {name} cannot be loaded ({reason}); save or download the model again") from error


def load_processor(family: type[VLM], card: ModelCard, folder: Path) -> Any:
    """A family's processor from a model's files, on PIL: the same pixels with and without torchvision."""
    from transformers import AutoProcessor
    from transformers.image_utils import SizeDict

    processor = (family.processor_class or AutoProcessor).from_pretrained(folder, backend="pil")
    if family.any_size:
        processor.image_processor.size = SizeDict(shortest_edge=card.min_pixels, longest_edge=card.max_pixels)
    processor.tokenizer.padding_side = "left"
    return processor


def _check_memory(card: ModelCard, folder: Path, device: str, dtype: torch.dtype) -> None:
    """Raise `ModelError` if the bare weights can not fit; training needs more, which only a run can tell."""
    needed = loaded_bytes(folder, dtype.itemsize)
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

        self._verbosity, self._bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
        if self._bars:
            logging.enable_progress_bar()
