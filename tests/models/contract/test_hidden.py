"""States of chosen blocks at chosen places, against what `transformers` says of a plain forward pass."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.vlm import VLM, Batch
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.training.adaptation import adapted
from unlearnbench.training.params import FinetuneParams, LoRAParams


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of every family; for reading only."""
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths on none, one or two of three pictures of different shapes, some on the same."""
    pictures = resized(
        [sample.images[0] for sample in asked], [(112, 112), (96, 64), (64, 128)], tmp_path_factory.mktemp("pictures")
    )
    shown = [(0,), (1,), (0, 1), (2,), (), (0,), (0, 1)]
    return [
        Asked(sample.text[: 20 + 5 * place], tuple(pictures[number] for number in shown[place]))
        for place, sample in enumerate(asked[: len(shown)])
    ]


ANSWERS = ["Yes", "The blood type is A.", "red", "Anna", "No", "a", "It is B."]


def answered(model: VLM, queries: list[Asked]) -> Batch:
    return model.prepare(queries, ANSWERS[: len(queries)])


def wanted(model: VLM) -> list[str]:
    """Two blocks before the last, that read text: others are passed by where there is no picture."""
    numbers = [number for number in range(3) if not model.layered or number not in model.attention_layers][:2]
    return [f"language.{number}" for number in reversed(numbers)]


def passed(model: VLM, query: Asked, name: str) -> list[int]:
    """The numbers of the blocks through which a query has gone behind that of this ``name``."""
    beside = () if query.images or not model.layered else model.attention_layers
    return [number for number in range(int(name.rpartition(".")[2]) + 1) if number not in beside]


def plain(model: Any, batch: Batch, visual: list[Tensor] | None = None) -> list[Tensor]:
    """After every block [B, L, d], and before the first, as `transformers` collects them."""
    inputs = model._inputs(batch, model.look(batch) if visual is None else visual)
    return [*model.model(**inputs, use_cache=False, output_hidden_states=True).hidden_states]


@torch.no_grad()
def test_states_are_those_of_a_plain_pass(model: VLM, queries: list[Asked]) -> None:
    """Of every query read alone."""
    batch, names = answered(model, queries), wanted(model)
    expected = [
        plain(model, model.prepare(*pair))
        for pair in zip(*([[each] for each in part] for part in (queries, ANSWERS)), strict=True)
    ]
    own = torch.rand(batch.input_ids.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    masks: dict[Any, Tensor] = {
        "all": batch.attention_mask.bool(),
        "question": batch.question_mask,
        "visual": batch.image_mask,
        "answer": batch.answer_mask,
        "predicting": batch.answer_mask.roll(-1, 1),
        own: own & batch.attention_mask.bool(),
    }
    for positions, mask in masks.items():
        for packed in (False, True):
            found = model.hidden(batch, names, positions, packed=packed)
            assert [*found] == names
            for name, states in found.items():
                for row, state in enumerate(states):
                    whole = expected[row][len(passed(model, queries[row], name))][0]
                    its = mask[row][batch.attention_mask[row].bool()]
                    torch.testing.assert_close(state, whole[its], atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_last_block_is_read_before_the_last_norm(model: Any, queries: list[Asked]) -> None:
    batch = answered(model, queries)
    last = [*model.blocks()][len(model.language_model().layers) - 1]
    plainly, packed = (
        model.language_model().norm(torch.cat(model.hidden(batch, [last], "predicting", packed=each)[last]))
        for each in (False, True)
    )
    torch.testing.assert_close(plainly, packed, atol=1e-4, rtol=0)
    said = torch.cat([*model.answer_log_distributions(batch)])
    found = model.model.get_output_embeddings()(plainly).log_softmax(-1)
    torch.testing.assert_close(found, said, atol=1e-3, rtol=0)


@torch.no_grad()
def test_blocks_that_see_pictures(model: Any, queries: list[Asked]) -> None:
    """The projector's tokens are what the language model gets; the tower's blocks follow one another."""
    batch, names = model.prepare(queries), [*model.blocks()]
    tower = [name for name in names if name.startswith("vision.")]
    projectors = [name for name in names if name.startswith("projector")]
    found = model.hidden(batch, [*tower, *projectors, "language.0"], "visual")
    assert [*found] == [*tower, *projectors, "language.0"]
    assert len(found[tower[0]]) == len(batch.pictures)
    for picture, *streams in zip(batch.pictures, *(found[name] for name in projectors), strict=True):
        main = picture.tokens if picture.tokens.ndim == 2 else picture.tokens[0]
        torch.testing.assert_close(streams[0].reshape(main.shape), main, atol=1e-5, rtol=0)
    assert all(states.isfinite().all() and states.ndim == 2 for name in tower for states in found[name])


def test_blocks_hold_what_a_model_is_made_of(model: Any) -> None:
    """Every weight is the language model's, the projector's or the tower's, and most stand in some block."""
    parts = [model.language_parameters(), model.projector_parameters(), model.vision_parameters()]
    names = [name for part in parts for name in part]
    assert sorted(names) == sorted(name for name, _ in model.model.named_parameters())
    inside = {id(p) for block in model.blocks().values() for p in block.parameters()}
    assert {id(p) for p in model.language_model().layers.parameters()} <= inside
    assert {id(p) for p in model.projector().parameters()} <= inside
    assert len(inside) > 0.8 * len(names)


def gradients(loss: Tensor, parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if grad is None else grad for grad, p in zip(found, parameters, strict=True)]


@pytest.mark.parametrize("name", EMBEDDED)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_states_in_training(name: str, checkpointing: bool, full: bool, queries: list[Asked]) -> None:
    """Adapters and whole weights, with and without checkpointing: values, gradients, and the model of before."""
    model: Any = load(card_for(name), "cpu")
    batch = answered(model, [Asked(f"{number}?", queries[0].images) for number in range(5)])
    before = [states.clone() for states in plain(model, batch)]
    lora = LoRAParams(rank=4, alpha=8.0, dropout=0.0, projector=True)
    params = FinetuneParams(full=full, lora=lora, gradient_checkpointing=checkpointing)
    with adapted(model, params, 0) as trainee:
        trainee.remember()
        with torch.no_grad():
            for parameter in trainee.parameters:
                parameter += 0.02 * torch.randn_like(parameter)
        assert trainee.packs(batch, trainee.look(batch)) or name == "tiny-mllama"  # which has little to spare
        weights = torch.randn(model.width)

        def loss(states: Any) -> Tensor:
            return (torch.cat([*states]) @ weights).square().mean()

        found = trainee.hidden(batch, ["language.1"], "answer")["language.1"]
        expected = plain(model, batch, trainee.look(batch))[2][batch.answer_mask]
        torch.testing.assert_close(torch.cat(found), expected, atol=1e-4, rtol=0)
        own, its = (gradients(loss(states), trainee.parameters) for states in (found, [expected]))
        assert sum(bool(grad.any()) for grad in own) > 3
        largest = max(float(grad.abs().max()) for grad in its)  # up to 1000 where all weights are disturbed
        for grad, other in zip(own, its, strict=True):
            torch.testing.assert_close(grad, other, atol=1e-4 + 1e-6 * largest, rtol=1e-3)
        with trainee.reference():
            old = torch.cat(trainee.hidden(batch, ["language.1"], "answer")["language.1"])
        assert not old.requires_grad
        torch.testing.assert_close(old, before[2][batch.answer_mask], atol=1e-4, rtol=0)
        assert not torch.allclose(old, expected, atol=1e-3)


def test_what_is_no_block_and_no_place_is_refused(tmp_path: Path, queries: list[Asked]) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    batch = model.prepare(queries[:2])
    with pytest.raises(
        UsageError, match=r"no block 'language\.9'; its blocks are language\.0 to language\.3, projector"
    ):
        model.hidden(batch, ["language.9"])
    with pytest.raises(UsageError, match=r"vision\.0 works on pictures"):
        model.hidden(batch, ["vision.0"], "answer")
    with pytest.raises(UsageError, match="positions 'end' are unknown; choose from all"):
        model.hidden(batch, ["language.0"], "end")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"positions are \[1, 3\]"):
        model.hidden(batch, ["language.0"], torch.ones(1, 3))


@torch.no_grad()
def test_a_pass_goes_no_further_than_is_wanted(model: Any, queries: list[Asked]) -> None:
    """And the model is as it was: it answers as before, and no hook is left."""
    batch, reached = answered(model, queries[:2]), list[int]()
    before = model.answer_logits(batch)
    last = model.language_model().layers[-1]
    handle = last.register_forward_pre_hook(lambda module, args: reached.append(1))
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules()]
    for packed in (False, True):
        model.hidden(batch, ["language.0"], packed=packed)
        assert not reached
    assert hooks == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules()]
    handle.remove()
    assert torch.equal(model.answer_logits(batch), before)
