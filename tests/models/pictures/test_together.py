"""Several pictures through a tower at once: what each is alone, with fewer passes, whatever its companions are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Sample
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.pictures import together
from unlearnbench.models.pictures.cache import Picture

SIZES = [(112, 112), (96, 64), (112, 112), (64, 128), (112, 112), (96, 64)]


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def sighted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def sized(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return resized([sample.image for sample in asked], SIZES, tmp_path_factory.mktemp("pictures"))


@torch.no_grad()
def test_companions_change_nothing(sighted: Any, sized: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [sighted.encode(sighted.pixels(path)) for path in sized]
    passes: list[int] = []
    hook = sighted.blocks()["vision.0"].register_forward_hook(lambda *args: passes.append(1))
    found = sighted.pictures.see_anew(sized)
    shapes = {sighted.pixel_values(sighted.pixels(path)).shape for path in sized}
    assert len(passes) == len(shapes) < len(sized)
    monkeypatch.setattr(together, "VALUES", 1)  # not even one fits
    passes.clear()
    found += sighted.pictures.see_anew(sized)
    assert len(passes) == len(sized)
    hook.remove()
    for one, other in zip([*alone, *alone], found, strict=True):
        assert (one.ids, one.covers, one.extra.keys()) == (other.ids, other.covers, other.extra.keys())
        assert all(torch.equal(one.extra[name], other.extra[name]) for name in one.extra)
        for name in ("features", "tokens"):
            expected = getattr(one, name)
            largest = float(expected.abs().max())
            torch.testing.assert_close(getattr(other, name), expected, atol=1e-6 * largest, rtol=0)


@torch.no_grad()
def test_a_family_that_sees_in_its_own_way_sees_each_picture_so(sized: list[Path]) -> None:
    """Of those who know nothing of several: what they override is not passed by."""
    model: Any = load(card_for("tiny-qwen2.5-vl"), "cpu")

    class Projects(type(model)):  # type: ignore[misc]
        def project(self, picture: Picture) -> torch.Tensor:
            tokens = super().project(picture)
            return tokens - tokens.mean(0)

    class Encodes(type(model)):  # type: ignore[misc]
        def encode(self, preprocessed: Any) -> Picture:
            picture = super().encode(preprocessed)
            return replace(picture, tokens=2 * picture.tokens)

    class Begins(type(model)):  # type: ignore[misc]
        shares_prefixes = False

    for kind in (Projects, Encodes):
        model.__class__ = kind
        pixels = [*map(model.pixels, sized)]
        alone = [model.encode(each) for each in pixels]
        for one, other in zip(alone, model.encode_all(pixels), strict=True):
            assert torch.equal(one.tokens, other.tokens)
        if kind is Projects:
            for one, tokens in zip(alone, model.project_all(alone), strict=True):
                assert torch.equal(one.tokens, tokens)
    assert not Begins.static_cache
