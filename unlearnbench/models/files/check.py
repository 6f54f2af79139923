"""What a model's folder holds and what it lacks to be run here, told by names and headers alone, without torch."""

import json
import math
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import ModelError
from .card import ModelCard
from .known import check_family

ADAPTER = "adapter_config.json"
"""What PEFT writes beside an adapter's weights."""

INDEX = "model.safetensors.index.json"
"""What names the files that large weights are divided among."""

_FLOATS = ("F", "BF")
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
"""Bytes of a number of safetensors' kinds; those that are not here take one."""

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",))
"""Files that make a tokenizer: any of these."""

_OTHER_FORMATS = {
    "*.gguf": "GGUF files, made for llama.cpp",
    "consolidated.*.pth": "weights in Meta's own format",
    "*.bin": "weights as *.bin alone, which are pickles",
    "*.pt": "weights as *.pt alone, which are pickles",
    "*.h5": "weights for TensorFlow",
    "*.msgpack": "weights for Flax",
}


def check(card: ModelCard, folder: Path) -> None:
    """Raise `ModelError` for the first thing that keeps the model in ``folder`` from being run here."""
    config = check_weights(card, folder)
    _check_texts(card, folder, str(config.get("_name_or_path") or ""))


def check_weights(card: ModelCard, folder: Path) -> dict[str, Any]:
    """Raise `ModelError` for the first thing that is wrong with configuration or weights; returns the former."""
    if said := adapter(card.name, folder):
        raise ModelError(said)
    config = json_object(folder / "config.json")
    if not config:
        raise ModelError(f"{folder / 'config.json'} is missing or no JSON object; save or download the model again")
    _check_family(card, str(config.get("model_type", "")))
    _check_weights(card, folder)
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method", "unknown method") if isinstance(quantised, dict) else "unknown method"
        raise ModelError(
            f"model {card.name} is quantised ({method}): such weights can be neither trained nor edited here; give the "
            "model that it was made from"
        )
    return config


def check_adapter(whole: str, folder: Path) -> None:
    """Raise `ModelError`, which begins with ``whole``, for an adapter that could not be put on a model here."""
    about = json_object(folder / ADAPTER)
    if not about:
        raise ModelError(f"{whole}: {folder / ADAPTER} is missing or no JSON object; save the adapter again")
    if (stored := folder / "adapter.json").exists():  # which would be read in its place, and is in no digest
        raise ModelError(
            f"{whole}: {stored} is of a store, and not of PEFT: remove it, or give what export has written"
        )
    if (kind := str(about.get("peft_type", "")).upper()) != "LORA":
        raise ModelError(f"{whole}: an adapter of the kind {kind or 'unknown'}, and only LoRA is put on here: merge it")
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise ModelError(f"{whole}: {folder} holds no {file.name}: save the adapter with PEFT, as safetensors")
    try:
        _numbers(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{whole}: {file} is no safetensors file ({error}); copy or download it again") from None


def adapter(name: str, folder: Path) -> str:
    """What to do about a folder that holds an adapter instead of a model; empty where it does not."""
    if not (folder / ADAPTER).is_file() or _weights(folder):
        return ""
    about, base = json_object(folder / ADAPTER), base_of(folder) or "a model that it does not name"
    return (
        f"model {name} is an adapter ({about.get('peft_type', 'PEFT')}) of {base}, no whole model: merge the two with "
        f"PEFT (PeftModel.from_pretrained(BASE, {str(folder)!r}).merge_and_unload().save_pretrained(NEW)), save the "
        "base's processor to NEW too, and give --model NEW"
    )


def adds_nothing(folder: Path) -> bool:
    """Whether the adapter in ``folder``, of whose file the header is known to be sound, is LoRA whose sum is zero.

    That is so where its alpha is 0, or all of its B, as they are before any training.
    """
    about, file = json_object(folder / ADAPTER), folder / "adapter_model.safetensors"
    places = {name: place for name, _, _, place in _header(file)}
    if any(".lora_" not in name or "magnitude" in name or name.endswith(".bias") for name in places):
        return False  # it has more than LoRA's sum, whole layers for instance
    if about.get("lora_alpha") == 0 and not about.get("alpha_pattern"):
        return True
    ups = [place for name, place in places.items() if ".lora_B." in name or ".lora_embedding_B" in name]
    return bool(ups) and all(_is_zero(file, *place) for place in ups)


def _is_zero(file: Path, begin: int, end: int) -> bool:
    with file.open("rb") as opened:
        opened.seek(begin)
        return not opened.read(end - begin).strip(b"\0")


def base_of(folder: Path) -> str:
    """The model that the adapter in ``folder`` says it was trained on; empty where it does not.

    A path that begins with a dot is one from the adapter's folder where a model is there.
    """
    said = str(json_object(folder / ADAPTER).get("base_model_name_or_path") or "")
    beside = folder / said
    return str(beside) if said.startswith(".") and (beside / "config.json").is_file() else said


def no_model(name: str, folder: Path) -> str:
    """Why a file or a folder without a ``config.json`` is no model that can be run here."""
    if folder.is_file():
        return f"--model {name} is a file; give the folder that save_pretrained has written"
    if said := adapter(name, folder):
        return said
    if other := _other_format(folder):
        return f"model folder {name} has {other}; give the model's folder as transformers' save_pretrained writes it"
    if below := sorted(folder.glob("*/config.json"), key=lambda path: path.stat().st_mtime):
        return f"model folder {name} has no config.json; did you mean {folder / below[-1].parent.name}?"
    return f"model folder {name} has no config.json; give a folder written by save_pretrained"


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights, a model's or an adapter's, and every file that their index names."""
    return bool([*folder.glob("*.safetensors")]) and not _lost(folder)


def loaded_bytes(folder: Path, size: int) -> int:
    """Bytes that the weights take once their floating-point numbers have ``size`` bytes each.

    A file whose header tells nothing counts as long as it is: loading it will say what is wrong.
    """
    total = 0
    for file in _weights(folder):
        try:
            numbers = _numbers(file)
        except (OSError, ValueError, KeyError, TypeError):
            total += file.stat().st_size
        else:
            total += sum(
                count * (size if kind.startswith(_FLOATS) else _BYTES.get(kind, 1)) for kind, count in numbers.items()
            )
    return total


def special_tokens(folder: Path) -> set[str]:
    """The texts that the model's tokenizer takes for something other than text, as far as its files list them."""
    added = json_object(folder / "tokenizer.json").get("added_tokens", [])
    decoder = json_object(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    listed = [*added, *(decoder.values() if isinstance(decoder, dict) else ())]
    return {str(token["content"]) for token in listed if isinstance(token, dict) and token.get("special")}


def _check_family(card: ModelCard, found: str) -> None:
    name = card.family or found
    if not name:
        raise ModelError(f"config.json of model {card.name} names no model_type; save or download the model again")
    check_family(name, card.name)


def _check_weights(card: ModelCard, folder: Path) -> None:
    files = _weights(folder)
    if missing := _lost(folder):
        raise ModelError(
            f"model {card.name} lacks {missing[0]} ({len(missing)} of its {len(_shards(folder))} weight files); copy "
            "or download it again"
        )
    if not files:
        other = _other_format(folder)
        had = f"; it has {other}" if other else ""
        raise ModelError(
            f"{folder}: holds no *.safetensors{had}: give a model's folder with its weights in that format, as "
            "save_pretrained writes it"
        )
    for file in files:
        try:
            _numbers(file)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{file} is no safetensors file ({error}); copy or download it again") from None


def _check_texts(card: ModelCard, folder: Path, parent: str) -> None:
    """What turns questions and pictures into a model's inputs."""
    origin = f"the model that it was made from{f' ({parent})' if parent else ''}"
    into = f"into {folder}" if str(folder) == card.source else f"into a copy of {folder} and give --model that folder"
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        raise ModelError(f"model {card.name} has no tokenizer: copy tokenizer*.json of {origin} {into}")
    processor = json_object(folder / "processor_config.json")
    if not (folder / "preprocessor_config.json").is_file() and "image_processor" not in processor:
        raise ModelError(
            f"model {card.name} has no image processor: copy preprocessor_config.json or processor_config.json of "
            f"{origin} {into}"
        )
    if not _has_template(folder, processor):
        near = json_object(folder / "tokenizer_config.json").get("chat_template")
        fix = "write that of tokenizer_config.json, which processors do not read," if near else f"copy that of {origin}"
        raise ModelError(f"model {card.name} has no chat template: {fix} to chat_template.jinja, {into}")


def _has_template(folder: Path, processor: dict[str, Any]) -> bool:
    files = ("chat_template.jinja", "additional_chat_templates/default.jinja")
    if any((folder / name).is_file() and (folder / name).read_bytes().strip() for name in files):
        return True
    return bool(json_object(folder / "chat_template.json").get("chat_template") or processor.get("chat_template"))


def _weights(folder: Path) -> list[Path]:
    """The files of a model's own weights, in the order of their names."""
    return sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_"))


def _shards(folder: Path) -> list[str]:
    """The names of the files that weights are divided among, as their index has them; empty without one."""
    named = json_object(folder / INDEX).get("weight_map", {})
    return sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []


def _lost(folder: Path) -> list[str]:
    """Those of them that are not there."""
    return [name for name in _shards(folder) if not (folder / name).is_file()]


def _other_format(folder: Path) -> str:
    return next((what for pattern, what in _OTHER_FORMATS.items() if any(folder.glob(pattern))), "")


def _numbers(file: Path) -> Counter[str]:
    """How many numbers of each kind a safetensors file holds, by its header; raises `ValueError` for a bad one."""
    numbers: Counter[str] = Counter()
    end = 0
    for _, kind, shape, (_, stop) in _header(file):
        numbers[kind] += math.prod(shape)
        end = max(end, stop)
    if file.stat().st_size < end:
        raise ValueError(f"cut short: {file.stat().st_size} of {end} bytes")
    return numbers


def _header(file: Path) -> Iterator[tuple[str, str, list[int], tuple[int, int]]]:
    """Of every tensor its name, kind, shape, and where it begins and ends in the file."""
    with file.open("rb") as opened:
        start = opened.read(8)
        if start.startswith(b"version "):
            raise ValueError("a pointer of Git LFS: fetch the file with git lfs pull")
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length < file.stat().st_size:
            raise ValueError("no header")
        header = json.loads(opened.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + int(place) for place in tensor["data_offsets"])
            yield name, str(tensor["dtype"]), list(tensor["shape"]), (begin, end)


def json_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one where there is none, as whoever needs it will say."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
