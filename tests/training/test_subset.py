"""Any weights of a model can be trained, the tower's too, and nothing that was computed with the old ones is kept."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import EMBEDDED, FAMILIES, resized, save
from unlearnbench.contracts.sample import Asked, Sample, Sets
from unlearnbench.errors import UsageError
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.models.contract.edits import Trained
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.device import DTYPES
from unlearnbench.runtime.run import Run
from unlearnbench.training.adaptation import adapted
from unlearnbench.training.base import memorise
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import BaseParams, FinetuneParams, LoRAParams
from unlearnbench.training.subset import weights_called

TOWER = FinetuneParams(weights=("vision.0", "projector*"), gradient_checkpointing=True)
"""LLaVA leaves out the tower's last block."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where a model of every family is found."""
    found = {name: name for name in EMBEDDED}
    for name in FAMILIES:
        folder = tmp_path_factory.mktemp("models") / name
        save(name, folder)
        found[name] = str(folder)
    return found


@pytest.fixture(scope="module")
def queries(people: Sets, tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Two questions on one picture and one on another."""
    images = [sample.images[0] for sample in people.others[::40]]
    pictures = resized(images, [(112, 112), (96, 64)], tmp_path_factory.mktemp("pictures"))
    return [Asked(f"{number}?", (pictures[number % 2],)) for number in range(3)]


ANSWERS = ["Yes", "The blood type is A.", "red"]


def loss(logits: Tensor, ids: Tensor) -> Tensor:
    return -logits.float().log_softmax(-1).gather(1, ids[:, None]).sum()


def from_pixels(model: Any, query: Asked, answer: str) -> Tensor:
    """The loss of an answer as `transformers` has it from pixels on, the picture's cache left aside."""
    batch = model.prepare([query], [answer])
    seen = model.pixels(query.images[0])
    seen = dict(seen[0] if isinstance(seen, tuple) else seen)
    inputs = model._inputs(batch, model.look(batch))
    inputs = {name: inputs[name] for name in inputs if name not in ("mm_encoder_outputs", "cross_attention_states")}
    wanted = inspect.signature(type(model.model).forward).parameters
    inputs |= {name: seen[name] for name in seen if name in wanted and name not in inputs}
    logits = model.model(**inputs, use_cache=False).logits
    return loss(logits[:, :-1][batch.answer_mask[:, 1:]], batch.input_ids[batch.answer_mask])


@pytest.mark.parametrize("name", [*EMBEDDED, *FAMILIES])
def test_gradients_reach_the_tower_as_from_pixels(name: str, folders: dict[str, str], queries: list[Asked]) -> None:
    """Then the tower is changed, and what is seen afterwards, here and by a model to which the edit is applied."""
    model: Any = load(card_for(folders[name]), "cpu")
    with adapted(model, TOWER, 0) as trainee:
        batch = model.prepare(queries, ANSWERS)
        own = torch.autograd.grad(-torch.cat(trainee.log_probabilities(batch)).sum(), trainee.parameters)
        model.model.eval()
        plain = torch.stack([from_pixels(model, *pair) for pair in zip(queries, ANSWERS, strict=True)]).sum()
        for grad, expected in zip(own, torch.autograd.grad(plain, trainee.parameters), strict=True):
            torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(expected.abs().max())))
        assert sum(bool(grad.any()) for grad in own) > 0.8 * len(own)
        trainee.remember()
        with torch.no_grad():
            before = torch.cat(model.answer_log_probabilities(batch))
            for parameter in trainee.parameters:
                parameter += 0.1 * parameter.std() * torch.randn_like(parameter)
            trained = torch.cat(trainee.log_probabilities(batch))
        assert not torch.allclose(trained, before, atol=1e-3)
        with trainee.reference():
            torch.testing.assert_close(torch.cat(trainee.log_probabilities(batch)), before, atol=1e-5, rtol=0)
    assert torch.equal(after(model, queries), trained)
    other = load(card_for(folders[name]), "cpu")
    assert torch.equal(after(other, queries), before)  # which caches pictures as they were
    trainee.edit().apply(other)
    assert torch.equal(after(other, queries), trained)


@torch.no_grad()
def after(model: VLM, queries: list[Asked]) -> Tensor:
    return torch.cat(model.answer_log_probabilities(model.prepare(queries, ANSWERS)))


@pytest.mark.parametrize("name", [*EMBEDDED, *FAMILIES])
def test_half_precision_trains_the_tower_in_full(
    name: str, folders: dict[str, str], queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DTYPES, "cpu", "bfloat16")
    model = load(card_for(folders[name]), "cpu")
    with adapted(model, FinetuneParams(weights=("vision", "projector*")), 0) as trainee:
        torch.cat(trainee.log_probabilities(model.prepare(queries, ANSWERS))).sum().backward()  # type: ignore[no-untyped-call]
        grads = [parameter.grad for parameter in trainee.parameters if parameter.grad is not None]
        assert all(grad.dtype == torch.float32 for grad in grads)
        assert sum(bool(grad.any()) for grad in grads) > 0.5 * len(trainee.parameters)
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("language.1",), lambda name: name.startswith("model.language_model.layers.1.")),
        (("vision",), lambda name: ".visual." in name and "merger" not in name),
        (
            ("projector", "language.0.mlp.down_proj.weight"),
            lambda name: "merger" in name or "layers.0.mlp.down" in name,
        ),
        (("*.q_proj.weight",), lambda name: name.endswith("q_proj.weight")),
        (("language.*",), lambda name: ".language_model.layers." in name),
        (("model.language_model.norm.*",), lambda name: name == "model.language_model.norm.weight"),
    ],
)
def test_patterns_mean_parts_blocks_and_names(patterns: tuple[str, ...], expected: Any) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    found = weights_called(model, patterns)
    assert found
    assert [*found] == [name for name, _ in model.model.named_parameters() if expected(name)]
    with pytest.raises(UsageError, match=r"nothing in the model is called 'language\.9'; give a part"):
        weights_called(model, [*patterns, "language.9"])


def test_a_training_of_some_weights_is_stored_and_changes_no_other(people: Sets, tmp_path: Path) -> None:
    """Through the training that makes a base, pictures seen before it."""
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    first = {name: parameter.clone() for name, parameter in model.model.named_parameters()}
    samples = people.others[:12]
    params = BaseParams(weights=("vision.1", "*.layers.0.mlp.*"), epochs=3, batch_size=6, learning_rate=1e-3)
    before = nll(model, samples)
    edit = memorise(model, samples, params, Run(), "a test")
    changed = {name for name, p in model.model.named_parameters() if not torch.equal(p, first[name])}
    assert changed == {*weights_called(model, params.weights)}
    assert edit.trainable_parameters == sum(p.numel() for p in weights_called(model, params.weights).values())
    assert nll(model, samples) < before - 0.01
    edit.save(tmp_path)
    fresh = load(card_for("tiny-qwen2.5-vl"), "cpu")
    assert nll(fresh, samples) == before
    Trained.load(tmp_path, fresh).apply(fresh)
    assert nll(fresh, samples) == nll(model, samples)


@torch.no_grad()
def nll(model: VLM, samples: tuple[Sample, ...]) -> float:
    batch = model.prepare(samples, [sample.answer for sample in samples])
    return float(answer_nll(model.answer_log_probabilities(batch)).mean())


def test_training_goes_through_an_edit_of_visual_tokens(queries: list[Asked]) -> None:
    """The edit is given what the trained projector makes, and gradients come back through it."""
    model: Any = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.visual_edit = lambda batch, visual: [-2 * tokens for tokens in visual]
    with adapted(model, FinetuneParams(weights=("projector",)), 0) as trainee:
        batch = model.prepare(queries, ANSWERS)
        projected = [model.project(picture) for picture in batch.pictures]
        expected = torch.cat(model.answer_log_probabilities(batch, [-2 * tokens for tokens in projected]))
        found = torch.cat(trainee.log_probabilities(batch))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        for own, its in zip(
            *(torch.autograd.grad(v.sum(), trainee.parameters) for v in (found, expected)), strict=True
        ):
            torch.testing.assert_close(own, its, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_guard_chooses_anew_when_the_model_behind_it_is_trained(name: str, queries: list[Asked]) -> None:
    """What is trained is what is evaluated, and what the edits give on a fresh model."""
    lora = FinetuneParams(lora=LoRAParams(rank=8, alpha=64.0, dropout=0.0, projector=True))
    params = CAGULParams(k=3, encoder_init="random", discriminator="none")
    model = load(card_for(name), "cpu")
    guard = Guard(model, params)
    guard.apply(model)
    before = guard.selector.select(model.prepare(queries))
    with adapted(model, lora, 0) as trainee:
        batch = model.prepare(queries, ANSWERS)
        model.model.eval()  # as where a rule to stop by looks at the model in between
        trainee.log_probabilities(batch)
        with torch.no_grad():
            for parameter in trainee.parameters:
                parameter += 0.1 * torch.randn_like(parameter)
        looked = torch.cat(trainee.log_probabilities(batch))
        model.model.train()
        trained = torch.cat(trainee.log_probabilities(batch))
        torch.testing.assert_close(looked, trained, atol=1e-5, rtol=0)
        assert torch.autograd.grad(trained.sum(), trainee.parameters[-1])[0].any()
        assert model.model.training
    torch.testing.assert_close(after(model, queries), trained.detach(), atol=1e-4, rtol=0)
    now = guard.selector.select(model.prepare(queries))
    assert not all(torch.equal(one, other) for one, other in zip(now, before, strict=True))
