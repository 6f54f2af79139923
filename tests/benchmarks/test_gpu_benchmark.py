"""`benchmarks.gpu` on shapes cut down to nothing: the way that real shapes take, at their real resolutions."""

from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import LARGE, Bench, build, data
from unlearnbench.engine.memory.counts import counts
from unlearnbench.models.files.source import card_for


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("small_shapes")
def test_real_resolutions_go_through_every_measurement(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "METHODS", ("ga-gd",))  # the others go the same way
    monkeypatch.setattr(gpu, "STEPS", 1)
    monkeypatch.setattr(gpu, "NEW_TOKENS", 2)
    monkeypatch.setattr(gpu, "BATCH", 2)
    sets = data(tmp_path / "data", large=True)
    model, count = build(name, "cpu"), counts(card_for(name))
    assert model.see(sets.forget[0].image).count == count.visual == {"qwen2.5-vl-7b": 1369}.get(name, 6404)
    table = Bench(model, count, sets, "cpu", (1e11, 1e10)).all()
    assert len(table) == 7
    assert all(line["seconds"] > 0 and line["floor_seconds"] > 0 for line in table.values())
