"""Batches of queries with no picture, one, two and three: what is replaced and taken of them.

That their numbers are those of `transformers` is among the checks of every family (`unlearnbench.testing.family`).
"""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import FAMILIES, resized, save
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.fusion import deep

PICTURES = [(0,), (), (1, 2), (0, 2, 0), ()]
"""The pictures of each query, by number."""


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama", "qwen3_vl"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Models of both kinds, and one whose tokens enter in several streams; for reading only."""
    if request.param not in FAMILIES:
        return load(card_for(request.param), "cpu")
    folder = tmp_path_factory.mktemp("models") / request.param
    save(request.param, folder)
    return load(card_for(str(folder)), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths about pictures of different shapes."""
    sizes = [(112, 112), (96, 64), (64, 128)]
    files = resized([sample.images[0] for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    return [
        Asked(sample.text[:40], tuple(files[number] for number in numbers))
        for sample, numbers in zip(asked, PICTURES, strict=False)
    ]


def answers_for(queries: list[Asked]) -> list[str]:
    return [("Yes", "The blood type is A.", "red")[place % 3] for place in range(len(queries))]


def own(batch: Any) -> list[Tensor]:
    return [picture.tokens for picture in batch.pictures]


@torch.no_grad()
def test_an_edit_of_one_picture_is_seen_by_its_query_alone(model: Any, queries: list[Asked]) -> None:
    batch = model.prepare(queries, answers_for(queries))
    before = model.answer_log_probabilities(batch)
    second = batch.by_row[2][1]
    edited = [tokens * -1 if place == second else tokens for place, tokens in enumerate(own(batch))]
    after = model.answer_log_probabilities(batch, edited)
    changed = [not torch.allclose(one, other, atol=1e-4) for one, other in zip(before, after, strict=True)]
    assert changed == [row == 2 for row in range(len(queries))]


def test_rows_are_taken_with_their_pictures(model: VLM, queries: list[Asked]) -> None:
    batch = model.prepare(queries)
    part = batch.take([3, 1, 2])
    assert part.images == [*queries[3].images, *queries[2].images]
    assert part.row_of == [0, 0, 0, 2, 2]
    assert [batch.pictures[place] for place in batch.places([3, 1, 2])] == part.pictures


def test_nothing_is_replaced_where_there_is_no_picture(model: Any, queries: list[Asked]) -> None:
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


def test_cut_up_cross_attention_takes_equally_many_pictures(
    model: VLM, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process must call the same layers, as often as the others."""
    monkeypatch.setattr(deep, "is_cut_up", lambda parameter: True)
    for some in ([queries[0], queries[2]], [queries[1]]):
        batch = model.prepare(some, ["Yes"] * len(some))
        with pytest.raises(UsageError, match="equally many pictures") if model.layered else nullcontext():
            model.answer_logits(batch)
    model.answer_logits(model.prepare([queries[2]], ["Yes"]))
