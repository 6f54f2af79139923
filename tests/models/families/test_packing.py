"""Questions about the same pictures in one sequence: as `transformers` reads each by itself, gradients included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config

from tests.models.tiny_families import EMBEDDED, FAMILIES, TEXT, ids, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.models.families.internvl import InternVL
from unlearnbench.testing.family import plain_inputs
from unlearnbench.training.adaptation import project_once

NAMES = [*EMBEDDED, *FAMILIES]


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of every family; left as it was by every test."""
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Several questions on each of three pictures of different shapes, in no order, one on two; some on none."""
    sizes = [(112, 112), (96, 64), (64, 128)]
    pictures = resized([sample.image for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    shown: list[tuple[int, ...]] = [(0,), (1,), (0,), (), (2,), (1,), (0, 1), (0,), (2,), (0, 1), ()]
    return [
        Asked(sample.text, tuple(pictures[place] for place in places))
        for places, sample in zip(shown, asked, strict=False)
    ]


def answers_for(queries: list[Asked]) -> list[str]:
    return [("Yes", "The blood type is A.", "red")[place % 3] for place in range(len(queries))]


def trained(model: Any) -> dict[str, Any]:
    return {**model.language_parameters(), **model.projector_parameters()}


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """How many tokens the language model's first block reads."""
    counts: list[int] = []

    def count(module: Any, args: Any, kwargs: Any) -> None:
        counts.append((args[0] if args else kwargs["hidden_states"]).shape[:2].numel())

    handle = model.language_model().layers[0].register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield counts
    finally:
        handle.remove()


def plainly(model: Any, queries: list[Asked], answers: list[str]) -> tuple[list[Tensor], list[Tensor]]:
    """Each from its pixels by `transformers` alone: what it says of answers' tokens, and gradients of their mean."""
    named, said = trained(model), []
    with model.training(named) as parameters:
        for query, answer in zip(queries, answers, strict=True):
            inputs = plain_inputs(model, query, answer)
            tokens = len(model.tokenizer(answer, add_special_tokens=False).input_ids) + 1
            told = inputs["input_ids"][0, -tokens:]
            logs = model.model(**inputs, use_cache=False).logits[0, -tokens - 1 : -1].log_softmax(-1)
            said.append(logs[range(tokens), told])
            (-said[-1].mean() / len(queries)).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    return [each.detach() for each in said], gradients


def packed(model: Any, queries: list[Asked], answers: list[str]) -> tuple[list[Tensor], list[Tensor]]:
    """The same in one batch."""
    with model.training(trained(model)) as parameters:
        batch = model.prepare(queries, answers)
        said = model.answer_log_probabilities(batch, project_once(model, batch), packed=True)
        (-torch.stack([each.mean() for each in said]).mean()).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    return [each.detach() for each in said], gradients


def the_same(one: tuple[list[Tensor], list[Tensor]], other: tuple[list[Tensor], list[Tensor]]) -> None:
    for these, those in zip(one[0], other[0], strict=True):
        torch.testing.assert_close(these, those, atol=1e-4, rtol=0)
    assert max(float(each.abs().max()) for each in other[1]) > 0.1
    for these, those in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(these, those, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_sequences_read_alone(model: Any, queries: list[Asked]) -> None:
    answers = answers_for(queries)
    with counted(model) as fast:
        together = packed(model, queries, answers)
    with counted(model) as slow:
        the_same(together, plainly(model, queries, answers))
    passes = 3 if model.layered else 1  # of rows with none, one and two pictures
    assert len(fast) == passes
    assert len(slow) == len(queries)


def test_nothing_but_its_own_answer_moves_a_question(model: Any, queries: list[Asked]) -> None:
    """Neither what else is asked about its picture nor how that is answered."""
    with torch.no_grad():
        answers = answers_for(queries)
        one = model.answer_log_probabilities(model.prepare(queries, answers), packed=True)
        others = [answer if place == 2 else "It is something else." for place, answer in enumerate(answers)]
        two = model.answer_log_probabilities(model.prepare(queries[::-1], others[::-1]), packed=True)[::-1]
    torch.testing.assert_close(one[2], two[2], atol=1e-4, rtol=0)
    assert not torch.allclose(one[7][:1], two[7][:1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", EMBEDDED)
def test_under_checkpointing_and_by_plain_attention(name: str, queries: list[Asked], tmp_path: Path) -> None:
    """Which adds its mask instead of reading it."""
    model = loaded(name, tmp_path)
    expected = plainly(model, queries, answers_for(queries))
    model.model.set_attn_implementation({"text_config": "eager"})
    the_same(packed(model, queries, answers_for(queries)), expected)
    model.model.set_attn_implementation({"text_config": "sdpa"})
    model.checkpoint_activations()
    passes: list[int] = []
    model.language_model().layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append(1))
    the_same(packed(model, queries, answers_for(queries)), expected)
    assert len(passes) == 2 * (3 if model.layered else 1)  # forwards, and again for gradients


@pytest.mark.parametrize("first", [0, 1], ids=["all layers", "some layers"])
def test_layers_that_look_at_a_window(first: int, queries: list[Asked]) -> None:
    """A question's window reaches back into the beginning, past whatever else is asked."""
    pretrained, processor = FAMILIES["internvl"]()
    text = Qwen2Config(
        **TEXT, **ids(processor.tokenizer), use_sliding_window=True, sliding_window=24, max_window_layers=first
    )
    config = InternVLConfig(
        text_config=text,
        vision_config=pretrained.config.vision_config,
        image_token_id=pretrained.config.image_token_id,
        image_seq_length=4,
    )
    torch.manual_seed(0)
    processor.tokenizer.padding_side = "left"
    model: Any = InternVL(InternVLForConditionalGeneration(config).float(), processor)
    assert len(set(text.layer_types)) == 1 + first
    the_same(packed(model, queries, answers_for(queries)), plainly(model, queries, answers_for(queries)))


def test_what_cannot_be_packed_is_read_row_by_row(queries: list[Asked], tmp_path: Path) -> None:
    """A family that says so, and a model some of whose layers mask in ways that are not known."""
    model = loaded("llava", tmp_path)
    about = [queries[0], queries[2], queries[7]]
    batch = model.prepare(about, answers_for(about))
    assert model.spared(batch, model.look(batch)) > 0
    model.packs = False
    with counted(model) as read, torch.no_grad():
        model.answer_log_probabilities(batch, packed=True)
    assert read == [batch.input_ids.numel()]
    assert model.spared(batch, model.look(batch)) == 0
    model.packs = True
    model.model.config.get_text_config().layer_types = ["chunked_attention"] * 3
    assert model.spared(batch, model.look(batch)) == 0
