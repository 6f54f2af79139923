"""`benchmarks.gpu` on shapes cut down to nothing: the way that real shapes take, at their real resolutions."""

import copy
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import LARGE, Bench, build, data
from unlearnbench.engine.estimate import counts
from unlearnbench.models import shapes
from unlearnbench.models.source import card_for

SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real shapes with fewer and narrower layers; pictures keep their resolution."""
    small = copy.deepcopy(shapes.SHAPES)
    qwen, llama = small["qwen2.5-vl-7b"], small["llama-3.2-11b-vision"]
    qwen["text_config"].update(SMALL_TEXT, num_hidden_layers=2)
    qwen["text_config"]["rope_parameters"]["mrope_section"] = [4, 2, 2]
    qwen["vision_config"].update(
        depth=1, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=64, fullatt_block_indexes=[0]
    )
    llama["text_config"].update(SMALL_TEXT, num_hidden_layers=3, cross_attention_layers=[1])
    llama["vision_config"].update(
        hidden_size=32,
        intermediate_size=48,
        attention_heads=2,
        num_hidden_layers=1,
        num_global_layers=1,
        intermediate_layers_indices=[0],
        vision_output_dim=64,
    )
    monkeypatch.setattr(shapes, "SHAPES", small)


@pytest.mark.timeout(300)
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
