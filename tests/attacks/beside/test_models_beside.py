"""Models beside the attacked one: asked the very same, they give answers of their own, and only once a store."""

from pathlib import Path
from typing import Any, ClassVar

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


@attack("beside-the-base", reference="a test")
class BesideTheBase(Attack):
    """Writes down something that is found by looking at the base, in the journal of the attacked model."""

    access = "weights-read"
    needs = ("base",)
    Params = AttackParams
    looked: ClassVar[list[float]] = []

    def ask(self, model: VLM, target: Any, run: Run) -> dict[str, list[dict[str, Any]]]:
        def look() -> float:
            weights = target.beside("base").model.get_input_embeddings().weight
            self.looked.append(float(weights.double().sum()))
            return self.looked[-1]

        found = run.journal.once("what is found beside the base", look)
        return {"": [{**each, "found": found} for each in target.records(model, {"forget": target.victims[:1]})]}


def test_what_is_found_beside_one_base_is_not_taken_for_another(
    random_model: Path, small_data: Path, shared_store: Path
) -> None:
    """The retrained model is the same whatever the base, and so is its journal."""
    store, found = Store(shared_store), []
    for epochs in (1, 2, 1):
        settings: dict[str, Any] = {
            "base": {"epochs": (epochs,)},
            "retrain": {"epochs": (1,)},
            "fiubench": {"max_new_tokens": (2,)},
        }
        config = RunConfig(
            methods=("retrain",), attacks=("beside-the-base",), models=(str(random_model),), tasks=("fiubench",),
            data=str(small_data), forget=(2,), device="cpu", settings=settings,
        )  # fmt: skip
        [cell] = [each for each in plan(config, store) if each.aimed and each.cell.method == "retrain"]
        found.append({each["found"] for each in attacked(cell, Runner(store, Silent())).evaluation.records})
    assert found[0] == found[2] != found[1]
    assert len(BesideTheBase.looked) == 2
