"""What is in memory while a cell is attacked: one attacked model, as its attack wants it, and those beside it."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.attacks.beside.grids import asked_of
from unlearnbench import Attack, Weights, attack
from unlearnbench.attacks.quantise.rounding import quantisable, quantised, restored
from unlearnbench.config import RunConfig
from unlearnbench.engine import runner as engine
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.attacking import attacked
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.engine.runner import Runner
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.results.store import RowStore
from unlearnbench.runtime import device
from unlearnbench.runtime.garbage import no_garbage_collection
from unlearnbench.runtime.run import Silent


@attack("one-at-a-time")
class Halves(Attack):
    """Makes two models by weights, and looks at the base beside each of them."""

    access = "weights-write"
    needs = ("base",)

    def change(self, model: VLM, sets: Any, run: Any) -> dict[str, Weights]:
        own = Weights.of(model.projector_parameters()).tensors
        return {name: Weights({key: each * by for key, each in own.items()}) for name, by in (("a", 1.0), ("b", 0.5))}

    def ask(self, model: VLM, target: Any, run: Any) -> Any:
        assert target.beside("base") is target.beside("base")
        asked = {"forget": target.victims[:1]}
        return {"": target.records(model, asked), "base": target.records(target.beside("base"), asked)}


@pytest.fixture
def options(random_model: Path, small_data: Path) -> dict[str, Any]:
    return asked_of(random_model, small_data)


def planned(options: dict[str, Any], store: Store, attacks: dict[str, Any], **more: Any) -> list[Plan]:
    settings = {"base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)}} | attacks
    settings |= more.pop("settings", {})
    return plan(RunConfig(**options, settings=settings, attacks=tuple(attacks), **more), store)


class Loaded:
    """Every model that was loaded, and how many of them were still there when the next one was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models: list[weakref.ref[Any]] = []
        self.there: list[int] = []

        def counted(*words: Any) -> VLM:
            self.there.append(sum(each() is not None for each in self.models))
            model = load(*words)
            self.models.append(weakref.ref(model.model))
            return model

        monkeypatch.setattr(engine, "load", counted)


def test_the_last_model_is_gone_when_the_next_one_is_loaded(
    options: dict[str, Any], shared_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a wait for the garbage collector, which knows nothing of a GPU's memory."""
    store, loaded = Store(shared_store), Loaded(monkeypatch)
    attacks = {"one-at-a-time": {"utility": (1,)}, "relearn": {"utility": (1,), "steps": ((0, 1, 2),)}}
    plans = planned(options, store, attacks, methods=("finetune",))
    made = {each.cell.attack: each for each in plans}
    runner = Runner(store, Silent())
    with no_garbage_collection():
        runner.made(made[None])
        loaded.there.clear()
        runner.ready(made[None])
        assert loaded.there == [0]
        attacked(made["one-at-a-time"], runner)
        # To make edits of; the first variant, the base beside it, then the second one beside that.
        assert loaded.there[1:] == [0, 0, 1, 1]
        attacked(made["relearn"], runner)
        assert loaded.there[5:] == [0, 0], "to be trained, and for all that came of it, one adapter after the other"


def test_a_base_that_only_an_attack_looks_at_is_trained_beside_nothing(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the attacked model is loaded, and after the one that was asked last has gone."""
    store, loaded = Store(tmp_path / "store"), Loaded(monkeypatch)
    cells = planned(options, store, {"one-at-a-time": {"utility": (1,)}}, methods=("pretrain",))
    with no_garbage_collection():
        [finished] = run_grid(cells[1:], RowStore(tmp_path), store, Silent())
    assert finished.row.status == "ok", finished.row.error
    # The pretrained model's own stage, the base, the edits; then variants and the base beside them.
    assert loaded.there == [0, 0, 0, 0, 1, 1]


def test_what_rounds_weights_is_given_them_before_anything_is_rounded(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In half precision: of every adapted layer the float32 sum is rounded to 8 bits, whatever 16 keep of it."""
    monkeypatch.setitem(device.DTYPES, "cpu", "bfloat16")
    store = Store(tmp_path)
    quick = {"ga": {"epochs": (1,), "lora.rank": (2,), "lora.alpha": (32.0,), "learning_rate": (1e-5,)}}
    attacks = {"quantise": {"utility": (1,), "bits": ((8,),)}}
    [_, cell] = planned(options, store, attacks, methods=("ga",), settings=quick)
    model = Runner(store, Silent()).ready(cell, 0).model
    base = Runner(store, Silent()).beside(cell, cell.base_stage.chain).model
    adapter = load_file(next((tmp_path / "unlearned").glob("*/adapter_model.safetensors")))
    scale = 32.0 / 2
    lost = 0
    for (name, own), (_, other) in zip(quantisable(model), quantisable(base), strict=True):
        down, up = (adapter[f"base_model.model.{name}.lora_{each}.weight"] for each in "AB")
        total = other.detach().float() + scale * up @ down
        assert own.dtype == torch.bfloat16
        assert torch.equal(own, restored(*quantised(total, 8, 32), total.shape[1]).bfloat16())
        twice = quantised(total.bfloat16(), 8, 32)[0] != quantised(total, 8, 32)[0]
        lost += int(twice.sum())
    assert lost, "where the sum is rounded to half precision first, some codes are others"
