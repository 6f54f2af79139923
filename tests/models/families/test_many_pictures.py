"""Queries with no picture, one, two and three, in one batch and by themselves, against `transformers` used plainly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.models.tiny_families import FAMILIES, resized, save
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for

EMBEDDED = ["tiny-qwen2.5-vl", "tiny-mllama"]
PICTURES = [(0,), (), (1, 2), (0, 2, 0), (), (1, 2), (2, 1), (3,), (1, 2)]
"""The pictures of each query, by number."""


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A trained model of both kinds, a random one of every further family; for reading only."""
    if request.param in EMBEDDED:
        return load(card_for(request.param), "cpu")
    folder = tmp_path_factory.mktemp("models") / request.param
    save(request.param, folder)
    return load(card_for(str(folder)), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths about pictures of different shapes."""
    sizes = [(112, 112), (96, 64), (64, 128), (140, 56)]
    files = resized([sample.images[0] for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    return [
        Asked(sample.text[:40], tuple(files[number] for number in numbers))
        for sample, numbers in zip(asked, PICTURES, strict=False)
    ]


def answers_for(queries: list[Asked]) -> list[str]:
    return [("Yes", "The blood type is A.", "red")[place % 3] for place in range(len(queries))]


def plain(model: Any, query: Asked, answer: str = "") -> dict[str, Tensor]:
    """What the processor alone makes of a chat and its pictures."""
    content = [*[{"type": "image"}] * len(query.images), {"type": "text", "text": query.text}]
    text = model.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    text += answer + model.tokenizer.decode(model.end_token_id) if answer else ""
    images = [[Image.open(path).convert("RGB") for path in query.images]] if query.images else None
    options: dict[str, Any] = {"return_token_type_ids": True} if model.model.config.model_type == "gemma3" else {}
    inputs = model.processor(text=[text], images=images, return_tensors="pt", add_special_tokens=False, **options)
    if model.model.config.model_type == "gemma3":
        inputs["token_type_ids"] = inputs.pop("mm_token_type_ids", inputs.get("token_type_ids"))
    return {name: value for name, value in inputs.items() if name not in ("rows", "cols", "num_patches")}


def own(batch: Any) -> list[Tensor]:
    return [picture.tokens for picture in batch.pictures]


@torch.no_grad()
def test_tokens_likelihoods_and_answers_equal_the_pixel_path(model: Any, queries: list[Asked]) -> None:
    """All in one padded batch: what a query is beside changes nothing about it."""
    texts = answers_for(queries)
    batch = model.prepare(queries, texts)
    said = model.generate(model.prepare(queries), max_new_tokens=6)
    assert [len(own) for own in batch.by_row] == [len(query.images) for query in queries]
    for row, found in enumerate(model.answer_log_probabilities(batch)):
        inputs = plain(model, queries[row], texts[row])
        ids = batch.input_ids[row][batch.attention_mask[row].bool()]
        assert torch.equal(ids, inputs["input_ids"][0])
        assert (
            model.tokenizer.decode(batch.input_ids[row][batch.question_mask[row]]).strip() == queries[row].text.strip()
        )
        logits = model.model(**inputs).logits[0].log_softmax(-1)
        expected = logits[range(len(ids) - len(found) - 1, len(ids) - 1), ids[-len(found) :]]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        prompt = plain(model, queries[row])
        output = model.model.generate(**prompt, max_new_tokens=6, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        assert said[row] == model.tokenizer.decode(output, skip_special_tokens=True).strip()


@torch.no_grad()
def test_attention_to_each_picture_equals_full_matrices(model: Any, queries: list[Asked]) -> None:
    batch = model.prepare(queries, answers_for(queries))
    found = model.attention(batch, own(batch))
    assert [scores.shape for scores in found] == [
        (len(model.attention_layers), picture.count) for picture in batch.pictures
    ]
    model.model.set_attn_implementation("eager")
    try:
        for query, places in zip(queries, batch.by_row, strict=True):
            if not places:
                continue
            matrices = model.model(**plain(model, query), output_attentions=True).attentions
            prompt = model.prepare([query])
            layers = [matrices[layer][0].mean(0)[prompt.question_mask[0]].mean(0) for layer in model.attention_layers]
            expected = torch.stack(layers)
            expected = expected if model.layered else expected[:, prompt.image_mask[0]]
            torch.testing.assert_close(torch.cat([found[place] for place in places], 1), expected, atol=1e-5, rtol=0)
    finally:
        model.model.set_attn_implementation("sdpa")


@torch.no_grad()
def test_the_same_sequence_of_pictures_is_read_once(model: Any, queries: list[Asked]) -> None:
    batch = model.prepare(queries, answers_for(queries))
    plainly, shared = (model.answer_log_probabilities(batch, shared=shared) for shared in (False, True))
    for one, other in zip(plainly, shared, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    prompts = model.prepare(queries)
    said = model.generate(prompts, max_new_tokens=8, shared=True)
    assert said == model.generate(prompts, max_new_tokens=8)
    assert any(said)


@torch.no_grad()
def test_an_edit_of_one_picture_is_seen_by_its_query_alone(model: Any, queries: list[Asked]) -> None:
    batch = model.prepare(queries, answers_for(queries))
    before = model.answer_log_probabilities(batch)
    second = batch.by_row[2][1]
    edited = [tokens * -1 if place == second else tokens for place, tokens in enumerate(own(batch))]
    after = model.answer_log_probabilities(batch, edited)
    changed = [not torch.allclose(one, other, atol=1e-4) for one, other in zip(before, after, strict=True)]
    assert changed == [row == 2 for row in range(len(queries))]


def test_gradients_reach_every_picture(model: Any, queries: list[Asked]) -> None:
    batch = model.prepare(queries, answers_for(queries))
    visual = [tokens.clone().requires_grad_() for tokens in own(batch)]
    torch.cat(model.answer_log_probabilities(batch, visual)).sum().backward()  # type: ignore[no-untyped-call]
    assert all(tokens.grad is not None and bool(tokens.grad.abs().sum() > 0) for tokens in visual)


def test_rows_are_taken_with_their_pictures(model: VLM, queries: list[Asked]) -> None:
    batch = model.prepare(queries)
    part = batch.take([3, 1, 2])
    assert part.images == [*queries[3].images, *queries[2].images]
    assert part.row_of == [0, 0, 0, 2, 2]
    assert [batch.pictures[place] for place in batch.places([3, 1, 2])] == part.pictures


def test_nothing_is_replaced_where_there_is_no_picture(model: Any, queries: list[Asked], tmp_path: Path) -> None:
    """Nor is an edit asked."""
    alone = [query for query in queries if not query.images]
    batch = model.prepare(alone, ["Yes"] * len(alone))

    def refuse(batch: Any, visual: list[Tensor]) -> list[Tensor]:
        raise AssertionError("there is nothing to see")

    model.visual_edit = refuse
    try:
        assert model.look(batch) == model.attention(batch, []) == []
        model.answer_log_probabilities(batch)
    finally:
        model.visual_edit = None
