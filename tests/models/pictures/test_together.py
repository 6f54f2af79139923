"""Several pictures through a tower at once: what each is alone, with fewer passes, whatever its companions are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Sample
from unlearnbench.models.pictures import together

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
