"""The processor of an exported model: the files of the model that it was made from, as they were read here."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.files.card import ModelCard
from ..models.files.check import json_object

if TYPE_CHECKING:
    from ..models.contract.vlm import VLM

NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Where a processor's class is named, what counts first."""

_OF_A_PROCESSOR = {
    "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json", "chat_template.jinja",
    "chat_template.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "merges.txt", "normalizer.json",
    "sentencepiece.bpe.model",
}  # fmt: skip


def write_processor(model: "VLM", card: ModelCard, source: Path, folder: Path) -> bool:
    """Write what `AutoProcessor` reads into ``folder``: the files of ``source``, or of a class of ours with its code.

    Pictures are bounded as they were for the model here, where its family takes any size. Returns whether the class is
    one whose code lies there, which is to be trusted.
    """
    import transformers

    named = next((name for file in NAMING if (name := json_object(source / file).get("processor_class"))), None)
    if named is None or named not in dir(transformers):
        model.processor.save_pretrained(folder)
        return True
    for path in sorted(source.iterdir()):
        if path.name in _OF_A_PROCESSOR:  # and nothing else that lies in a folder of the user's
            shutil.copyfile(path, folder / path.name)
    if (templates := source / "additional_chat_templates").is_dir():
        shutil.copytree(templates, folder / templates.name)
    if type(model).any_size:
        _bound(folder, card)
    return False


def _bound(folder: Path, card: ModelCard) -> None:
    """Say how large pictures may be, in the files that say it and in whatever words they do."""
    for name in NAMING[:2]:
        found = json_object(folder / name)
        part = found.get("image_processor", found if name == NAMING[1] else None)
        if not part:
            continue
        part["size"] = {"shortest_edge": card.min_pixels, "longest_edge": card.max_pixels}
        for older in {"min_pixels", "max_pixels"} & {*part}:
            del part[older]
        (folder / name).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
