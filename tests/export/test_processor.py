"""An exported model has the processor of the model that it was made from, its pictures bounded as they were here."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unlearnbench.export.paths import public, without_paths
from unlearnbench.export.processor import write_processor
from unlearnbench.models.files.card import ModelCard

CARD = ModelCard(name="x", family="f", source="o/x", min_pixels=784, max_pixels=19600)


class AnySize(SimpleNamespace):
    any_size = True


class OneSize(SimpleNamespace):
    any_size = False


OLD = {
    "preprocessor_config.json": {"min_pixels": 3136, "max_pixels": 12845056, "processor_class": "Qwen2_5_VLProcessor"}
}
NEW = {
    "processor_config.json": {
        "image_processor": {"size": {"longest_edge": 9}},
        "processor_class": "Qwen2_5_VLProcessor",
    }
}


@pytest.mark.parametrize("files", [OLD, NEW])
def test_the_original_files_with_the_bounds_of_the_card(files: dict[str, Any], tmp_path: Path) -> None:
    source, folder, other = (tmp_path / name for name in ("source", "folder", "other"))
    for each in (source, folder, other):
        each.mkdir()
    texts = {name: json.dumps(content) for name, content in files.items()}
    texts |= {"vocab.json": "{}", "merges.txt": "a b", "chat_template.jinja": "{{ x }}", "config.json": "{}"}
    texts |= {"model.safetensors.index.json": "{}", "generation_config.json": "{}", "pytorch_model.bin": "no"}
    for name, text in texts.items():
        (source / name).write_text(text)
    assert not write_processor(AnySize(), CARD, source, folder)  # type: ignore[arg-type]
    write_processor(OneSize(), CARD, source, other)  # type: ignore[arg-type]
    kept = {*files, "vocab.json", "merges.txt", "chat_template.jinja"}
    assert {path.name for path in folder.iterdir()} == {path.name for path in other.iterdir()} == kept
    [(name, content)] = files.items()
    assert json.loads((other / name).read_text()) == content
    bounded = json.loads((folder / name).read_text())
    assert bounded["processor_class"] == "Qwen2_5_VLProcessor"
    images = bounded.get("image_processor", bounded)
    assert images["size"] == {"shortest_edge": 784, "longest_edge": 19600}
    assert not {"min_pixels", "max_pixels"} & {*images}


def test_no_path_of_here_is_left_in_settings(tmp_path: Path) -> None:
    here = {"_name_or_path": "/home/me/x", "text_config": {"_name_or_path": "C:\\me\\x"}, "list": [{"a_file": "~/x"}]}
    stay = {"tie": True, "name_or_path": "some/model", "chat_template": "/{{ x }}", "eos_file": None}
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps(here | stay))
        without_paths(tmp_path)
        assert json.loads((tmp_path / name).read_text()) == stay | {"text_config": {}, "list": [{}]}


def test_of_a_folder_a_card_says_the_last_name(tmp_path: Path) -> None:
    assert public("tiny-qwen2.5-vl") == "tiny-qwen2.5-vl"
    assert public("some/model@other/adapter") == "some/model@other/adapter"
    assert public(f"{tmp_path}/secret/model@./secret/adapter") == "model@adapter"
    assert public("../secret/model") == "model"
