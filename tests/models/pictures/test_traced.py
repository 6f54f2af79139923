"""Pictures read pixel by pixel: the same tokens as by the model's own way, and gradients that reach every pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded
from unlearnbench.errors import ModelError
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.pictures.traced import Traced


@pytest.fixture(scope="module", params=[*EMBEDDED, *(each for each in FAMILIES if each != "smolvlm")])
def seeing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    model: VLM = loaded(request.param, tmp_path_factory.mktemp("models"))
    return model


def test_where_every_picture_is_scaled_none_is_traced(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models of the family smolvlm scale every picture"):
        Traced.of(loaded("smolvlm", tmp_path), 140, 140)


@pytest.mark.parametrize("size", [(140, 140), (300, 170), (40, 90)])
def test_a_picture_is_seen_as_by_its_file(seeing: VLM, size: tuple[int, int], tmp_path: Path) -> None:
    traced = Traced.of(seeing, *size)
    assert seeing.own_size(*traced.size) == traced.size
    pixels = np.random.default_rng(0).integers(0, 256, (*traced.size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path := tmp_path / "a.png")
    with torch.no_grad():
        own, found = seeing.see(path), traced.see(torch.tensor(pixels).float())
    torch.testing.assert_close(found.tokens, own.tokens, atol=1e-4, rtol=1e-4)
    assert (found.count, found.ids) == (own.count, own.ids)


def test_gradients_are_those_of_small_changes(seeing: VLM) -> None:
    traced = Traced.of(seeing, 140, 140)
    drawn = torch.Generator().manual_seed(0)
    values = torch.randint(256, (*traced.size[::-1], 3), generator=drawn).float().requires_grad_()
    way = torch.randn(values.shape, generator=drawn)

    def score(at: torch.Tensor) -> torch.Tensor:
        return traced.see(at).tokens.square().mean()

    [gradient] = torch.autograd.grad(score(values), values)
    assert bool((gradient != 0).float().mean() > 0.99)
    with torch.no_grad():
        slope = (score(values + way) - score(values - way)) / 2
    assert float((gradient * way).sum()) == pytest.approx(float(slope), rel=0.05)


def test_a_size_at_which_pictures_are_scaled_is_refused(seeing: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(seeing), "own_size", lambda self, width, height: (2999, 301))
    with pytest.raises(ModelError, match="scales pictures at what it says is their own size"):
        Traced.of(seeing, 2999, 301)
    monkeypatch.setattr(type(seeing), "own_size", lambda self, width, height: None)
    with pytest.raises(ModelError, match="scale every picture"):
        Traced.of(seeing, 2999, 301)
