"""What of a model is here and what is to be fetched: the hub's real client, and a small server for the hub."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download

from tests.data.served_hub import Files, Hub, command
from unlearnbench.cli.doctor import holdings
from unlearnbench.errors import ModelError
from unlearnbench.models.files.outline import family_of
from unlearnbench.models.files.source import card_for, whole
from unlearnbench.models.files.wanted import obtain
from unlearnbench.registry import models

NAME = "ann/model"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def files(random_model: Path) -> Files:
    """A model whose weights are in two files, with what nobody needs beside it."""
    found = {path.name: path.read_bytes() for path in random_model.iterdir() if path.is_file()}
    header = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    del found["model.safetensors"]
    index = {"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
    return found | dict.fromkeys(SHARDS, weights) | {INDEX: json.dumps(index).encode(), "picture.png": b"no picture"}


@pytest.fixture
def hub(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """What has the model, for this process too."""
    served = Hub({}, {NAME: files})
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield served
    served.server.shutdown()
    served.server.server_close()


def fetched(*left_out: str, listed: bool = True) -> Path:
    """All that is wanted of the model but some files, as a download that was interrupted leaves it."""
    folder = Path(snapshot_download(NAME, ignore_patterns=["*.png"]))
    for name in left_out:
        (folder / name).unlink()
    if not listed:  # as an older client leaves it
        for each in folder.parents[1].glob("trees/*"):
            each.rename(each.with_suffix(".gone"))
        from huggingface_hub import _tree_cache

        _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    return folder


def state() -> str:
    """What `doctor` says of the model."""
    card = card_for(NAME).model_copy(update={"name": "far"})
    models.register("far", card, "a test")
    try:
        return holdings.models([])["far"]
    finally:
        models._added.pop("far")


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "of an older client"])
def test_what_is_left_of_an_interrupted_download_is_counted_and_fetched(
    hub: Hub, files: Files, caplog: pytest.LogCaptureFixture, listed: bool
) -> None:
    card = card_for(NAME)
    assert (whole(card), state()) == (None, "not cached")
    fetched(SHARDS[1], "tokenizer.json", listed=listed)
    assert whole(card) is None
    assert state() == f"cached in part: hf download {NAME} goes on with it"
    files[SHARDS[1]] += bytes(2_000_000)
    hub.asked.clear()
    with caplog.at_level(logging.WARNING):
        obtain([card], [], {}, fetch=True)
    left = (len(files[SHARDS[1]]) + len(files["tokenizer.json"])) / 1e6
    assert f"to be fetched: model {NAME} ({left:.1f} MB)" in caplog.text
    assert not hub.sent()
    with pytest.raises(ModelError, match=rf"nothing may be downloaded now: model {NAME}: .* hf download {NAME};"):
        obtain([card], [], {}, fetch=False)


def test_what_is_all_here_is_not_asked_for(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    folder, card = fetched(), card_for(NAME)
    assert (whole(card), state()) == (folder, "cached")
    hub.asked.clear()
    obtain([card], [card], {}, fetch=True)
    assert not hub.asked
    assert not caplog.text


def test_a_fault_of_a_cached_model_is_named_before_anything_is_fetched(hub: Hub, files: Files) -> None:
    quantised = json.loads(files["config.json"]) | {"quantization_config": {"quant_method": "awq"}}
    files["config.json"] = json.dumps(quantised).encode()
    fetched()
    with pytest.raises(ModelError, match=rf"model {NAME} is quantised \(awq\)"):
        obtain([card_for(NAME), card_for("ann/other")], [], {}, fetch=True)
    obtain([], [card_for(NAME)], {}, fetch=True)  # whoever brings a base looks at it by other rules


def test_an_adapter_in_part_is_not_here(hub: Hub) -> None:
    about = json.dumps({"peft_type": "LORA"}).encode()
    hub.models["ann/adapter"] = {"adapter_config.json": about, "adapter_model.safetensors": bytes(3_000_000)}
    card = card_for("ann/adapter")
    folder = Path(snapshot_download("ann/adapter"))
    assert whole(card) == folder
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="model ann/adapter"):
        obtain([], [card], {}, fetch=False)


def test_a_configuration_alone_is_enough_to_count_with(hub: Hub) -> None:
    card = card_for(NAME)
    with pytest.raises(ModelError, match=rf"and this command fetches nothing: .*hf download {NAME} config\.json"):
        family_of(card)
    snapshot_download(NAME, allow_patterns=["config.json"])
    assert family_of(card).__name__ == "Qwen2_5_VL"


def test_a_plan_fetches_nothing_and_a_run_says_that_it_has_fetched_a_configuration(hub: Hub, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        places = ("--store", str(tmp_path / "store"), "--results", str(tmp_path / "results"), "--task", "fiubench")
        grid = ("--method", "pretrain", "--model", NAME, "--data", "embedded", "--device", "cpu")
        done = command(tmp_path / "hf", hub.url, *words, *grid, *places)
        assert done.returncode != 0
        return done.stderr

    for words in (("plan",), ("run", "--dry-run")):
        assert f"nothing may be downloaded now: model {NAME}" in said(*words)
    assert not hub.asked
    hub.models[NAME] = {name: data for name, data in hub.models[NAME].items() if name != "tokenizer.json"}
    ran = said("run")
    assert f"{NAME}: fetched its configuration (some KB), to count what it takes\n" in ran
    assert f"to be fetched: model {NAME} (" in ran
