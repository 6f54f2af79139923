"""Several pictures through the projector at once: tokens and gradients as if each went alone, in every family."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.models.pictures import projecting
from unlearnbench.training.adaptation import project_once

SIZES = [(112, 112), (96, 64), (64, 128), (112, 112)]


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def batch(model: Any, asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Questions on pictures of different shapes, one asked about twice, one query with two."""
    paths = resized([sample.image for sample in asked], SIZES, tmp_path_factory.mktemp("pictures"))
    shown = [(0,), (1,), (0,), (2, 3)]
    pairs = zip(asked, shown, strict=False)
    return model.prepare([Asked(sample.text, tuple(paths[place] for place in own)) for sample, own in pairs])


@pytest.fixture
def calls(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that the projector runs."""
    counted: list[int] = []
    project = model.project

    def counting(picture: Any) -> Tensor:
        counted.append(1)
        return project(picture)

    monkeypatch.setattr(model, "project", counting)
    return counted


def seen(model: Any, tokens: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Visual tokens, and the projector's gradients of some sum of them."""
    with model.training(model.projector_parameters()) as parameters:
        found = tokens()
        sum((each.float() ** 2).mean() for each in found).backward()
        gradients = [parameter.grad.clone() for parameter in parameters]
    return [each.detach() for each in found], gradients


def test_tokens_and_gradients_are_those_of_each_alone(model: Any, batch: Any, calls: list[int]) -> None:
    def at_once() -> list[Tensor]:
        before = len(calls)
        found = project_once(model, batch)
        assert len(calls) == before + 1
        return found

    together, gradients = seen(model, at_once)
    assert len(together) == len(batch.pictures) == 5
    alone, one_by_one = seen(model, lambda: [model.project(picture) for picture in batch.pictures])
    assert len({each.shape for each in alone}) > 1 or model.name in ("llava", "gemma3", "mllama")
    assert max(float(each.abs().max()) for each in one_by_one) > 1e-3
    for these, those in zip(together, alone, strict=True):
        torch.testing.assert_close(these, those, atol=1e-6, rtol=1e-6)
    for these, those in zip(gradients, one_by_one, strict=True):
        torch.testing.assert_close(these, those, atol=1e-5, rtol=1e-5)


def test_large_pictures_go_alone(model: Any, batch: Any, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """To join them would copy them; and none is a view of others' memory once all have been projected anew."""
    monkeypatch.setattr(projecting, "ENOUGH", 1)
    tokens = project_once(model, batch)
    assert len(calls) == len(SIZES)
    monkeypatch.undo()
    model.refresh()
    for picture, own in zip(batch.pictures, tokens, strict=True):
        torch.testing.assert_close(picture.tokens, own, atol=1e-6, rtol=1e-6)
        assert picture.tokens.untyped_storage().nbytes() == picture.tokens.nbytes
