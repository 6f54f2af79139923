"""What a model from elsewhere is, and nothing else of it, is in the key of all that is made from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.keys import digest
from unlearnbench.engine.planning import plan

PRETRAINED, BASE, UNLEARNED, ROW = "pretrained", "base", "unlearned", "row"


class Place:
    """A pretrained model, a copy of it as a base, an adapter, and the keys of cells that use them."""

    def __init__(self, folder: Path, model: Path, data: Path) -> None:
        self.folder, self.model, self.data = folder, model, data
        self.own, self.adapter = folder / "own", folder / "adapter"
        shutil.copytree(model, self.own)
        self.adapter.mkdir()
        self.describe(r=2)
        save_file({"x.lora_A.weight": torch.zeros(2, 2)}, self.adapter / "adapter_model.safetensors")

    def describe(self, **facts: Any) -> None:
        (self.adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | facts))

    def keys(self, **changes: Any) -> dict[str, str]:
        options: dict[str, Any] = {"methods": ["finetune"], "tasks": ["fiubench"], "forget": [2], "device": "cpu"}
        places = {"models": [str(self.model)], "data": str(self.data)}
        made = plan(RunConfig(**places | options | changes), Store(self.folder / "store"), dry=True)[-1]
        stages = {stage.name: stage.digest for stage in made.stages}
        return {PRETRAINED: digest(made.pretrained_key), **stages, ROW: made.row_id}

    def flip(self) -> None:
        """Change the last byte of the base's weights."""
        file = self.own / "model.safetensors"
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.fixture
def place(tmp_path: Path, random_model: Path, small_data: Path) -> Place:
    return Place(tmp_path, random_model, small_data)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_base_is_in_the_key_of_all_that_is_made_from_it_by_its_content(place: Place) -> None:
    made_here, brought = place.keys(), place.keys(base_model=str(place.own))
    assert changed(made_here, brought) == {BASE, UNLEARNED, ROW}
    place.own = place.own.rename(place.folder / "elsewhere")
    assert place.keys(base_model=str(place.own)) == brought, "no path is in any key"
    place.flip()
    assert changed(brought, place.keys(base_model=str(place.own))) == {BASE, UNLEARNED, ROW}


def test_seeds_share_a_base_that_is_looked_at_for_every_forget_set(place: Place) -> None:
    base = {"base_model": str(place.own)}
    before = place.keys(**base)
    assert changed(before, place.keys(**base, forget=[1])) == {BASE, UNLEARNED, ROW}
    assert changed(before, place.keys(**base, base_seed=7)) == set()
    asked = {"settings": {"base": {"memorised": (0.9,)}}}
    assert changed(before, place.keys(**base, **asked)) == {BASE, UNLEARNED, ROW}


def test_an_adapter_and_what_it_says_of_itself_are_in_the_key(place: Place) -> None:
    base = {"base_model": f"{place.own}@{place.adapter}"}
    before = place.keys(**base)
    assert changed(place.keys(base_model=str(place.own)), before) == {BASE, UNLEARNED, ROW}
    place.describe(r=2, lora_alpha=9)
    assert changed(before, place.keys(**base)) == {BASE, UNLEARNED, ROW}
    place.describe(r=2)
    assert place.keys(base_model=f"@{place.adapter}") == place.keys(base_model=f"{place.model}@{place.adapter}")


def test_what_other_code_has_unlearned_is_in_the_key_of_its_rows(place: Place) -> None:
    given = {"methods": ["theirs"], "evaluated": {"theirs": str(place.own)}}
    before = place.keys(**given)
    assert changed(place.keys(), before) == {UNLEARNED, ROW}, "the base is the one that is made here"
    assert BASE not in place.keys(**given, alone=True)
    place.flip()
    assert changed(before, place.keys(**given)) == {UNLEARNED, ROW}
    renamed = {"methods": ["others"], "evaluated": {"others": str(place.own)}}
    assert changed(place.keys(**given), place.keys(**renamed)) == {UNLEARNED, ROW}
