"""Nobody is trained on strangers: by what rows count, and by every sample that a training has put before a model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.engine.runner import Runner
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Silent

METHODS = ("finetune", "retrain", "ga", "npo-gd", "cagul")


def test_no_training_sees_a_stranger(
    monkeypatch: pytest.MonkeyPatch, random_model: Path, small_data: Path, tmp_path: Path
) -> None:
    with_gradients, ever = set[str](), set[str]()
    prepare = VLM.prepare

    def heard(self: VLM, queries: Any, answers: Any = None) -> Any:
        ids = {sample.id for sample in queries if hasattr(sample, "id")}
        ever.update(ids)
        with_gradients.update(ids if torch.is_grad_enabled() else ())
        return prepare(self, queries, answers)

    monkeypatch.setattr(VLM, "prepare", heard)
    quick = {"epochs": (1,), "batch_size": (40,)}
    settings = {"base": {"epochs": (1,)}, "retrain": {"epochs": (1,)}, "ga": quick, "npo-gd": quick}
    settings["cagul"] = quick | {"discriminator_epochs": (1,)}
    config = RunConfig(
        methods=METHODS,
        models=(str(random_model),),
        tasks=("fiubench",),
        data=str(small_data),
        forget=(2,),
        device="cpu",
        settings=settings,  # type: ignore[arg-type]
    )
    store = Store(tmp_path)
    plans, runner = plan(config, store), Runner(store, Silent())
    strangers = {sample.id for sample in plans[0].sets.strangers}
    learned = {sample.id for sample in plans[0].sets.all}
    for each in plans:
        for made in runner.made(each):
            counted = made.said["cost"].get("examples", {})
            assert "strangers" not in counted
            if "epoch" in made.said["cost"]:
                assert sum(counted.values()) > 0, "every sample that was trained on is of a set that the base learns"
    assert len(strangers) == 8 * 20
    assert strangers & ever, "early stopping has looked at them, without gradients"
    assert with_gradients & learned
    assert with_gradients <= learned
