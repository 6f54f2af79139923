"""A model from elsewhere in the place of another: its weights to the last digit, an adapter's as PEFT merges it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

from unlearnbench import VLM, Asked
from unlearnbench.errors import ModelError
from unlearnbench.models.files.check import adds_nothing
from unlearnbench.models.files.elsewhere import Elsewhere
from unlearnbench.models.files.load import load
from unlearnbench.models.files.replace import Replacement
from unlearnbench.models.files.source import card_for

QUERIES = [Asked("What is two and two?"), Asked("Who is it?")]
ANSWERS = ["four", "nobody"]


def plain(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture
def other(random_model: Path, tmp_path: Path) -> Path:
    """The random model with noise on every weight, the vision tower's too."""
    model = plain(random_model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture
def adapter(other: Path, tmp_path: Path) -> Path:
    """An adapter on it, with a projector that was trained in full, as FIUBench's baselines save theirs."""
    config = LoraConfig(
        r=2, target_modules=["q_proj", "down_proj"], modules_to_save=["merger"], init_lora_weights=False
    )
    peft = get_peft_model(plain(other), config)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "modules_to_save" in name:
                parameter *= 1.5
    peft.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def model_of(folder: Path) -> VLM:
    return load(card_for(str(folder)), "cpu")


def likelihoods(model: VLM) -> list[list[float]]:
    found = model.answer_log_probabilities(model.prepare(QUERIES, ANSWERS))
    return [each.tolist() for each in found]


def test_every_weight_is_the_other_s(random_model: Path, other: Path) -> None:
    model = model_of(random_model)
    Replacement(Elsewhere("other", other, None, "")).apply(model)
    expected = plain(other).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.model.state_dict().items())
    assert model.processor is not None


def test_an_adapter_is_added_as_peft_adds_it(random_model: Path, other: Path, adapter: Path) -> None:
    merged = PeftModel.from_pretrained(plain(other), str(adapter)).merge_and_unload().state_dict()
    origin = Elsewhere("other@adapter", other, adapter, "")
    model = model_of(random_model)
    Replacement(origin).merge(model)
    own = model.model.state_dict()
    assert own.keys() == merged.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(tensor, merged[name])
    beside = model_of(random_model)
    Replacement(origin).apply(beside)
    for one, two in zip(likelihoods(beside), likelihoods(model), strict=True):
        assert one == pytest.approx(two, abs=1e-4)


def test_an_adapter_of_which_a_part_would_be_left_out_is_refused(
    random_model: Path, other: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    partly = shutil.copytree(adapter, tmp_path / "partly")
    tensors = load_file(partly / "adapter_model.safetensors")
    lost = next(name for name in tensors if "lora_A" in name)
    del tensors[lost]
    save_file(tensors, partly / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="the adapter of it does not fit the model: Found missing adapter keys"):
        Replacement(Elsewhere("it", other, partly, "")).apply(model_of(random_model))


def test_a_model_with_other_words_is_refused_by_the_first_weight(random_model: Path, tmp_path: Path) -> None:
    wider = plain(random_model)
    wider.resize_token_embeddings(wider.get_input_embeddings().num_embeddings + 8)
    wider.save_pretrained(tmp_path / "wider")
    with pytest.raises(ModelError, match=r"model wider cannot take the place of --model: .*embed_tokens.weight is \["):
        Replacement(Elsewhere("wider", tmp_path / "wider", None, "")).apply(model_of(random_model))


def test_an_adapter_whose_sum_is_zero_is_told_from_its_files(other: Path, adapter: Path, tmp_path: Path) -> None:
    def of(name: str, **settings: Any) -> Path:
        config = LoraConfig(**{"r": 2, "target_modules": ["q_proj"]} | settings)
        get_peft_model(plain(other), config).save_pretrained(tmp_path / name)
        return tmp_path / name

    drawn = {"init_lora_weights": False}
    assert adds_nothing(of("untrained"))
    assert adds_nothing(of("without alpha", lora_alpha=0, **drawn))
    assert not adds_nothing(of("trained", **drawn))
    assert not adds_nothing(of("some alpha", lora_alpha=0, alpha_pattern={"q_proj": 1}, **drawn))
    assert not adds_nothing(of("with a layer", modules_to_save=["merger"]))
    assert not adds_nothing(adapter)
