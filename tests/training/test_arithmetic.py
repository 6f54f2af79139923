"""Sums and multiples of what trainings have changed, against weights that are added up by hand."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unlearnbench.contracts.sample import Sample
from unlearnbench.models.contract.edits import Adapter, Trained, Weights
from unlearnbench.models.contract.imprint import Imprint
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.training.adaptation import low_rank, target_layers
from unlearnbench.training.arithmetic import Change
from unlearnbench.training.params import LoRAParams

FIRST = LoRAParams(rank=2, alpha=6.0, dropout=0.0)
SECOND = LoRAParams(rank=3, alpha=1.5, dropout=0.0, targets=("q_proj", "down_proj"))


def adapter(model: VLM, lora: LoRAParams, seed: int) -> Adapter:
    """As if trained: every number of it random."""
    peft, generator = low_rank(model, lora), torch.Generator().manual_seed(seed)
    for parameter in peft.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return Adapter(peft)


def products(edit: Adapter, lora: LoRAParams, layers: list[str]) -> dict[str, Tensor]:
    """What each layer's weight gains, from PEFT's own parameters."""
    named = dict(edit.peft.named_parameters())
    found = {}
    for layer in layers:
        a, b = (named[f"base_model.model.{layer}.lora_{which}.default.weight"] for which in "AB")
        found[f"{layer}.weight"] = (lora.alpha / lora.rank * b @ a).detach().clone()
    return found


def likelihoods(model: VLM, samples: list[Sample]) -> Tensor:
    batch = model.prepare(samples, [sample.answer for sample in samples])
    with torch.no_grad():
        return torch.cat(model.answer_log_probabilities(batch))


@pytest.mark.parametrize("dense", [False, True])
def test_a_difference_of_adapters_is_that_of_their_products(
    model: VLM, few: list[Sample], tmp_path: Path, dense: bool
) -> None:
    before = copy.deepcopy(model.model.state_dict())
    plain, changes = copy.deepcopy(before), []
    for lora, seed, factor in ((FIRST, 1, 1.0), (SECOND, 2, -0.5)):
        layers = target_layers(model, lora)
        trained = adapter(model, lora, seed)
        for name, product in products(trained, lora, layers).items():
            plain[name] += factor * product
        changes.append(Change.taken_off(model, trained))
        assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    change = changes[0] - 0.5 * changes[1]
    edit = (Change(dense=change.whole()) if dense else change).edit(model)
    assert isinstance(edit, Weights if dense else Adapter)
    assert edit.fault(Imprint.of(load(card_for("tiny-qwen2.5-vl"), "cpu"))) is None
    edit.save(tmp_path)
    by_hand, stored = (load(card_for("tiny-qwen2.5-vl"), "cpu") for _ in range(2))
    by_hand.model.load_state_dict(plain)
    Trained.load(tmp_path, stored).apply(stored)
    expected = likelihoods(by_hand, few)
    assert torch.allclose(likelihoods(stored, few), expected, atol=1e-4)
    assert not torch.allclose(likelihoods(load(card_for("tiny-qwen2.5-vl"), "cpu"), few), expected, atol=1e-2)


def test_a_projector_trained_beside_an_adapter_is_taken_off_with_it(model: VLM, few: list[Sample]) -> None:
    before = copy.deepcopy(model.model.state_dict())
    unchanged = likelihoods(model, few)
    lora = LoRAParams(rank=2, alpha=4.0, dropout=0.0, projector="full")
    edit = adapter(model, lora, 1)
    model.refresh()
    with_it = likelihoods(model, few)
    change = Change.taken_off(model, edit)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert torch.equal(likelihoods(model, few), unchanged)
    weights = change.edit(model)
    assert isinstance(weights, Weights)
    assert {*model.projector_parameters()} <= {*weights.tensors}
    weights.apply(model)
    assert torch.allclose(likelihoods(model, few), with_it, atol=1e-4)


def test_negated_weights() -> None:
    before = {"w": torch.tensor([1.0, 2.0]), "v": torch.tensor([5.0])}
    after = {"w": torch.tensor([1.5, 1.0])}
    change = -2.0 * Change.between(before, after) + Change(dense={"v": torch.ones(1)})
    assert {name: values.tolist() for name, values in change.dense.items()} == {"w": [-1.0, 2.0], "v": [1.0]}
