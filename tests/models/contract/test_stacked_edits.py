"""Edits on top of edits, each against the same change made by hand to the plain model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForImageTextToText

from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import UsageError
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, TrainingCase
from unlearnbench.models.contract.edits import Adapter, Edit, Trained, Weights, absorb
from unlearnbench.models.contract.network import linears_within
from unlearnbench.models.contract.vlm import VLM, Batch
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.training.adaptation import low_rank
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import LoRAParams

ANSWERS = ["She is a nurse.", "No."]


@pytest.fixture(scope="module")
def fresh(random_model: Path) -> Callable[[], VLM]:
    return lambda: load(card_for(str(random_model)), "cpu")


def asked(model: VLM, data: Path) -> Batch:
    pictures = sorted((data / "SFHQ").iterdir())
    queries = [Asked(text, (picture,)) for text, picture in zip(("Who is she?", "Is it he?"), pictures, strict=False)]
    return model.prepare(queries, ANSWERS)


@torch.no_grad()
def logits(model: VLM, data: Path, visual: list[Tensor] | None = None) -> Tensor:
    return model.answer_logits(asked(model, data), visual)


def drawn(shape: Any, seed: int, scale: float = 0.05) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def stored(edit: Edit, folder: Path) -> Path:
    folder.mkdir()
    edit.save(folder)
    return folder


def adapter(model: VLM, seed: int, folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """A stored adapter of random matrices, and what it adds to each weight by the weight's name."""
    names = model.language_linears()[:3]
    peft = get_peft_model(model.model, LoraConfig(r=2, lora_alpha=8, target_modules=names))
    added = {}
    for place, name in enumerate(names):
        layer = peft.get_base_model().get_submodule(name)
        down, up = (drawn(each["default"].weight.shape, seed + place) for each in (layer.lora_A, layer.lora_B))
        layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data = down, up
        added[f"{name}.weight"] = up @ down * 4.0  # alpha / rank
    return stored(Adapter(peft), folder), added


def weights(model: VLM, seed: int, folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Stored weights of the projector and of a layer that the adapters adapt too, and what they are."""
    names = [*model.projector_parameters(), f"{model.language_linears()[1]}.weight"]
    own = dict(model.model.named_parameters())
    new = {name: own[name].detach() + drawn(own[name].shape, seed) for name in names}
    return stored(Weights(new), folder), new


@torch.no_grad()
def by_hand(model: VLM, *, added: dict[str, Tensor] | None = None, new: dict[str, Tensor] | None = None) -> VLM:
    own = dict(model.model.named_parameters())
    for name, value in (new or {}).items():
        own[name].copy_(value)
    for name, value in (added or {}).items():
        own[name].add_(value)
    model.refresh()
    return model


def test_an_adapter_over_an_adapter(fresh: Callable[[], VLM], small_data: Path, tmp_path: Path) -> None:
    first, added = adapter(fresh(), 1, tmp_path / "first")
    second, more = adapter(fresh(), 50, tmp_path / "second")
    model = fresh()
    names = {name for name, _ in model.model.named_parameters()}
    Trained.load(first, model).merge(model)
    assert {name for name, _ in model.model.named_parameters()} == names, "what comes on top adapts plain layers"
    Trained.load(second, model).apply(model)
    plain = by_hand(by_hand(fresh(), added=added), added=more)
    assert torch.allclose(logits(model, small_data), logits(plain, small_data), atol=1e-4)
    assert not torch.allclose(logits(by_hand(fresh(), added=more), small_data), logits(plain, small_data), atol=1e-2)


@pytest.mark.parametrize("adapter_first", [True, False])
def test_weights_and_an_adapter(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path, adapter_first: bool
) -> None:
    """In either order; weights say what a layer is from then on, an adapter what is added."""
    one, added = adapter(fresh(), 1, tmp_path / "adapter")
    other, new = weights(fresh(), 9, tmp_path / "weights")
    model = fresh()
    first, last = (one, other) if adapter_first else (other, one)
    Trained.load(first, model).merge(model)
    Trained.load(last, model).apply(model)
    if adapter_first:
        plain = by_hand(by_hand(fresh(), added=added), new=new)
    else:
        plain = by_hand(by_hand(fresh(), new=new), added=added)
    assert torch.allclose(logits(model, small_data), logits(plain, small_data), atol=1e-4)


def test_weights_over_weights(fresh: Callable[[], VLM], small_data: Path, tmp_path: Path) -> None:
    first, new = weights(fresh(), 9, tmp_path / "first")
    kept = next(iter(new))
    second = stored(Weights({kept: new[kept] * 2}), tmp_path / "second")
    model = fresh()
    for folder in (first, second):
        Trained.load(folder, model).merge(model)
    plain = by_hand(fresh(), new=new | {kept: new[kept] * 2})
    assert torch.equal(logits(model, small_data), logits(plain, small_data))


def test_a_merged_adapter_is_added_in_float32_and_rounded_once(fresh: Callable[[], VLM], tmp_path: Path) -> None:
    folder, added = adapter(fresh(), 1, tmp_path / "adapter")
    model = fresh()
    model.model.bfloat16()
    model.dtype = torch.bfloat16
    before = {name: parameter.detach().clone() for name, parameter in model.model.named_parameters()}
    Trained.load(folder, model).merge(model)
    for name, parameter in model.model.named_parameters():
        expected = (before[name].float() + added.get(name, torch.zeros(()))).bfloat16()
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(parameter, expected), name


def test_a_stored_adapter_loads_nowhere_by_accident(fresh: Callable[[], VLM], small_data: Path, tmp_path: Path) -> None:
    """PEFT puts any adapter on any model without a word, and most are of a model that is itself in the store."""
    folder, _ = adapter(fresh(), 1, tmp_path / "adapter")
    with pytest.raises(ValueError, match=r"Can't find 'adapter_config.json'"):
        PeftModel.from_pretrained(fresh().model, str(folder))
    with pytest.raises((OSError, ValueError)):
        AutoModelForImageTextToText.from_pretrained(folder)
    now, before = fresh(), fresh()
    Trained.load(folder, now).apply(now)
    (folder / "adapter.json").rename(folder / "adapter_config.json")  # as it is called in stores of before
    Trained.load(folder, before).apply(before)
    assert torch.equal(logits(now, small_data), logits(before, small_data))


class Scrambling(Edit):
    """One of a user's own, that does not say how it is run elsewhere."""

    def save(self, folder: Path) -> None:
        pass

    @classmethod
    def load(cls, folder: Path, model: VLM) -> "Scrambling":
        return cls()

    def apply(self, model: VLM) -> None:
        pass


def test_an_edit_that_does_not_say_how_it_is_run_elsewhere_cannot_be_exported(fresh: Callable[[], VLM]) -> None:
    with pytest.raises(UsageError, match=r"of the class Scrambling cannot be exported: .*; define its method beside"):
        Scrambling().beside(fresh())
    assert Weights({}).beside(fresh()) is None


@pytest.mark.parametrize("put", ["apply", "merge"])
def test_pictures_are_seen_anew_through_an_adapted_tower(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path, put: str
) -> None:
    """An outside method may adapt it."""
    model = fresh()
    [name, *_] = linears_within(model.model, model.blocks()["vision.0"])
    peft = get_peft_model(model.model, LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, target_modules=[name]))
    folder = stored(Adapter(peft), tmp_path / "adapter")
    unused, used = fresh(), fresh()
    before = logits(used, small_data)
    for each in (unused, used):
        getattr(Trained.load(folder, each), put)(each)
    assert torch.equal(logits(used, small_data), logits(unused, small_data))
    assert not torch.allclose(logits(used, small_data), before, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------- of guards
def guard(model: VLM, seed: int, folder: Path, **params: Any) -> Path:
    """A stored guard with a random encoder before every picture."""
    made = Guard(model, CAGULParams(k=4, discriminator="none", **params), seed)
    assert made.encoder is not None
    for place, parameter in enumerate(made.encoder.parameters()):
        parameter.data = drawn(parameter.shape, seed + place, 0.3)
    return stored(made, folder)


def by_token(model: VLM, folder: Path, batch: Batch, visual: list[Tensor]) -> list[Tensor]:
    """What a guard makes of a batch's visual tokens, one after the other; each layer's own where layers choose."""
    made = Guard.load(folder, model)
    assert made.encoder is not None
    found = []
    for tokens, chosen in zip(visual, made.selector.select(batch), strict=True):
        layers = len(chosen) if chosen.ndim == 2 else 1
        new = torch.stack([tokens[layer] if tokens.ndim == 3 else tokens for layer in range(layers)])
        for layer, places in enumerate(chosen.reshape(layers, -1).tolist()):
            for place in places:
                new[layer, place] = made.encoder(new[layer, place])
        found.append(new if chosen.ndim == 2 else new[0])
    return found


@pytest.mark.parametrize("name", ["random", "tiny-mllama"])
@torch.no_grad()
def test_a_guard_over_a_guard(random_model: Path, small_data: Path, tmp_path: Path, name: str) -> None:
    """Also where every layer chooses for itself, so that the first gives each layer tokens of its own."""

    def fresh() -> VLM:
        return load(card_for(str(random_model) if name == "random" else name), "cpu")

    first, second = guard(fresh(), 1, tmp_path / "first"), guard(fresh(), 70, tmp_path / "second")
    model, plain = fresh(), fresh()
    for folder in (first, second):
        Guard.load(folder, model).merge(model)
    batch = asked(plain, small_data)
    own = [picture.tokens for picture in batch.pictures]
    once = by_token(plain, first, batch, own)
    twice = by_token(plain, second, batch, once)
    assert torch.allclose(logits(model, small_data), logits(plain, small_data, twice), atol=1e-4)
    assert not torch.allclose(logits(model, small_data), logits(plain, small_data, once), atol=1e-2)
    told = model.explain(asked(model, small_data))
    assert told == Guard.load(second, plain).explain(batch, once)


@pytest.mark.parametrize("made", [weights, adapter])
@torch.no_grad()
def test_training_over_a_guard(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path, made: Callable[..., tuple[Path, dict[str, Tensor]]]
) -> None:
    """What was trained changes the weights, and with them what the guard attends to; the guard stays before them."""
    first = guard(fresh(), 1, tmp_path / "first")
    second, change = made(fresh(), 9, tmp_path / "second")
    model = fresh()
    Guard.load(first, model).merge(model)
    Trained.load(second, model).apply(model)
    plain = by_hand(fresh(), **{"new" if made is weights else "added": change})
    batch = asked(plain, small_data)
    visual = by_token(plain, first, batch, [picture.tokens for picture in batch.pictures])
    assert torch.allclose(logits(model, small_data), logits(plain, small_data, visual), atol=1e-4)
    assert not torch.allclose(logits(model, small_data), logits(plain, small_data), atol=1e-2)


def test_a_guard_is_trained_on_what_the_one_before_it_lets_see(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path
) -> None:
    """Its loss and its gradient, with the plain model's tokens as the first guard makes them."""
    first = guard(fresh(), 1, tmp_path / "first")
    model, plain = fresh(), fresh()
    Guard.load(first, model).merge(model)
    second = guard(plain, 70, tmp_path / "second")
    loaded, alone = Guard.load(second, model), Guard.load(second, plain)
    images = sorted((small_data / "SFHQ").iterdir())[:2]
    examples = [
        TrainingCase(Sample(f"{place}", "somebody", Asked(text, (image,)), answer), answer, True, True, (True,))
        for place, (text, image, answer) in enumerate(zip(("Who is she?", "Is it he?"), images, ANSWERS, strict=True))
    ]
    losses = CAGULTrainer(model, loaded).nll(examples)
    losses.sum().backward()
    batch = asked(plain, small_data)
    with torch.no_grad():
        once = by_token(plain, first, batch, [picture.tokens for picture in batch.pictures])
    expected = answer_nll(plain.answer_log_probabilities(batch, alone.replace(batch, once)))
    expected.sum().backward()
    assert torch.allclose(losses, expected, atol=1e-4)
    for one, other in zip(loaded.encoder.parameters(), alone.encoder.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.allclose(one.grad, other.grad, atol=1e-4)


def test_an_adapter_that_is_taken_off_leaves_every_weight_as_it_was(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path
) -> None:
    """So that another may be put on in its place: what is then asked is, to the last bit, a model that never had it."""
    first, _ = adapter(fresh(), 1, tmp_path / "first")
    second, _ = adapter(fresh(), 50, tmp_path / "second")
    other, _ = weights(fresh(), 9, tmp_path / "weights")
    model, plain = fresh(), fresh()
    edit = Trained.load(first, model)
    edit.apply(model)
    adapted = logits(model, small_data)
    assert edit.take_off(model)
    assert not torch.equal(adapted, logits(model, small_data))
    for one, another in zip(model.model.named_parameters(), plain.model.named_parameters(), strict=True):
        assert one[0] == another[0]
        assert torch.equal(one[1], another[1])
    for each in (model, plain):
        Trained.load(second, each).apply(each)
    assert torch.equal(logits(model, small_data), logits(plain, small_data))
    assert not Trained.load(other, model).take_off(model)


def test_a_projector_that_was_trained_beside_an_adapter_is_taken_off_too(
    fresh: Callable[[], VLM], small_data: Path, tmp_path: Path
) -> None:
    model, plain = fresh(), fresh()
    peft = low_rank(model, LoRAParams(rank=2, alpha=8.0, projector="full"))
    with torch.no_grad():
        for number, parameter in enumerate(p for p in peft.parameters() if p.requires_grad):
            parameter.add_(drawn(parameter.shape, number))
    edit = Trained.load(stored(Adapter(peft), tmp_path / "adapter"), plain)
    edit.apply(plain)
    before = logits(plain, small_data)
    assert edit.take_off(plain)
    assert torch.equal(logits(plain, small_data), logits(fresh(), small_data))
    edit.merge(plain)
    assert torch.allclose(logits(plain, small_data), before, atol=1e-4)
    assert {name for name, _ in plain.model.named_parameters()} == {
        name for name, _ in fresh().model.named_parameters()
    }


def test_what_absorbs_an_adapter_sees_the_sum_in_float32(fresh: Callable[[], VLM], tmp_path: Path) -> None:
    """Also where the model's own precision loses all of what the adapter adds."""
    folder, added = adapter(fresh(), 1, tmp_path / "adapter")
    model, seen = fresh(), dict[str, Tensor]()
    model.model.bfloat16()
    before = {name: parameter.detach().clone() for name, parameter in model.model.named_parameters()}
    Trained.load(folder, model).apply(model)

    def halved(name: str, total: Tensor) -> Tensor:
        seen[f"{name}.weight"] = total.clone()
        return total / 2

    absorb(model, halved)
    assert seen.keys() == added.keys()
    for name, parameter in model.model.named_parameters():
        assert parameter.dtype == torch.bfloat16
        if name in added:
            assert torch.equal(seen[name], before[name].float() + added[name])
            assert torch.equal(parameter, (seen[name] / 2).bfloat16())
        else:
            assert torch.equal(parameter, before[name]), name
