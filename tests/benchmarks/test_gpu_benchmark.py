"""`benchmarks.gpu` on shapes cut down to nothing: the way that real shapes take, at their real resolutions."""

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import LARGE, Bench, build, data
from benchmarks.stages import attacks, seeing, steps
from unlearnbench.contracts.sample import Sets
from unlearnbench.engine.memory.counts import counts
from unlearnbench.models.files.source import card_for


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """Questions about pictures at their real resolution."""
    return data(tmp_path_factory.mktemp("faces") / "data", large=True)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("small_shapes")
def test_real_resolutions_go_through_every_measurement(faces: Sets, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "METHODS", ("ga-gd",))  # the others go the same way
    monkeypatch.setattr(gpu, "STEPS", 1)
    monkeypatch.setattr(gpu, "NEW_TOKENS", 2)
    monkeypatch.setattr(gpu, "BATCH", 2)
    model, count = build(name, "cpu"), counts(card_for(name))
    assert model.see(faces.forget[0].image).count == count.visual == {"qwen2.5-vl-7b": 1369}.get(name, 6404)
    table = Bench(model, count, faces, "cpu", (1e11, 1e10)).all()
    assert len(table) == 7
    assert all(line["seconds"] > 0 and line["floor_seconds"] > 0 for line in table.values())


@pytest.mark.usefixtures("small_shapes")
def test_attacks_at_real_resolutions_are_measured_beside_what_is_counted(
    faces: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "STEPS", 1)
    monkeypatch.setattr(attacks, "NEW_TOKENS", 2)
    monkeypatch.setattr(attacks, "BATCH", 1)
    name = next(iter(LARGE))
    found = attacks.measured(name, "cpu", faces)
    for what, seconds in {
        "relearn": ("seconds_a_step", "seconds_to_put_on", "seconds_to_take_off"),
        "quantise": ("seconds_to_round", "seconds_of_questions", "seconds_of_codes"),
    }.items():
        told = found[what]
        assert told["counted_bytes"] > 0
        assert told["peak_over_counted"] == round(told["peak_memory_bytes"] / told["counted_bytes"], 3)
        assert all(told[each] > 0 for each in seconds), told
    assert found["relearn"]["trained"] > 0


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("small_shapes")
def test_packed_steps_at_real_resolutions_have_the_gradients_of_plain_ones_for_less(
    faces: Sets, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 here, where they are asserted to be equal."""
    monkeypatch.setattr(steps, "REPEATS", 1)
    monkeypatch.setattr(steps, "PICTURES", 1)
    monkeypatch.setattr(steps, "QUESTIONS", 4)
    monkeypatch.setattr(steps, "build", lambda name, device: build(name, device, torch.float32))
    found = steps.measured(name, "cpu", faces)
    for kind in steps.KINDS:
        assert found[kind]["plain"]["tflop"] > found[kind]["packed"]["tflop"] > 0
        assert found[kind]["gradients_differ_by"] < steps.PRECISION
    assert found["update"]["numbers"] > 0


def test_pictures_are_seen_as_by_transformers_with_less_to_be_told(
    faces: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That results are equal is asserted by the benchmark itself."""
    monkeypatch.setattr(seeing, "REPEATS", 1)
    monkeypatch.setattr(seeing, "build", lambda name, device: build(name, device, torch.float32))
    found = seeing.measured("tiny-qwen2.5-vl", "cpu", faces)
    for part in ("from files", "tower", "trained tower"):
        assert found[part]["largest_difference"] < seeing.PRECISION
        assert all(line["seconds"] > 0 and line["tflop"] > 0 for line in found[part]["ways"].values())
    assert found["operations"]["own"]["attention"] <= found["operations"]["plain"]["attention"]
