"""Models beside the attacked one: asked the very same, they give answers of their own, and only once a store."""

from pathlib import Path
from typing import Any

import pytest

from unlearnbench import Attack, AttackParams, Weigh, ask, attack
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.attacking import attacked
from unlearnbench.engine.planning import plan
from unlearnbench.engine.runner import Runner
from unlearnbench.models.contract.vlm import VLM, hearing
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run, Silent


@attack("beside-both", reference="a test")
class Both(Attack):
    """Asks the attacked model and the pretrained one the same."""

    access = "logits"
    needs = ("pretrained",)
    Params = AttackParams

    def ask(self, model: VLM, target: Any, run: Run) -> dict[str, list[dict[str, Any]]]:
        asked = {"forget": target.victims[:3]}
        found = {"own": target.records(model, asked), "other": target.records(target.beside("pretrained"), asked)}
        return found | {"again": target.records(model, asked)}


def test_each_model_has_answers_of_its_own(random_model: Path, small_data: Path, shared_store: Path) -> None:
    config = RunConfig(
        methods=("finetune",),
        attacks=("beside-both",),
        models=(str(random_model),),
        tasks=("fiubench",),
        data=str(small_data),
        forget=(2,),
        device="cpu",
        settings={"base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)}},
    )
    store = Store(shared_store)
    [cell] = [each for each in plan(config, store) if each.aimed]

    def found() -> dict[str, dict[str, list[float]]]:
        records = attacked(cell, Runner(store, Silent())).evaluation.records
        names = ("own", "other", "again")
        return {name: {r["id"]: r["logprobs"] for r in records if r["variant"] == name} for name in names}

    first = found()
    assert first["own"] == first["again"] != first["other"]
    pretrained = load(card_for(str(random_model)), "cpu")
    samples = cell.sets.forget[:3]
    weighed = ask(pretrained, [Weigh(sample.id, sample, sample.answer) for sample in samples], Run())
    for sample in samples:
        assert first["other"][sample.id] == pytest.approx(weighed[sample.id], abs=1e-4)
    with hearing() as heard:
        assert found() == first
    assert heard == [], "all of it was written down"
