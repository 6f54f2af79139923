"""What an attack's ask, or its victims, must not be: an error row that says so, and nothing else is spoiled by it."""

from pathlib import Path
from typing import Any

import pytest

from unlearnbench import Attack, AttackParams, attack
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.errors import PluginError
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent


@attack("asks-wrongly")
class AsksWrongly(Attack):
    """Does in `ask` or `victims` what it must not, or nothing of the kind."""

    class Params(AttackParams):
        """What it does."""

        what: str = ""

    access = "prompt"
    params: Params

    def victims(self, sets: Any) -> Any:
        if self.params.what == "no victims":
            return ()
        return sets.forget[: 1 if self.params.what else 2]  # so that there is something new to be asked afterwards

    def ask(self, model: Any, target: Any, run: Any) -> Any:
        found = super().ask(model, target, run)
        if self.params.what == "weights":
            next(iter(model.projector_parameters().values())).data.add_(1.0)
        if self.params.what == "generates":
            model.generate = lambda *_, **__: ["always this"]
        wrong = {"none": None, "nothing": {}, "empty": {"": []}, "texts": {"": ["said"]}, "name": {"a.b": found[""]}}
        return wrong.get(self.params.what, found)


@pytest.fixture
def options(random_model: Path, small_data: Path) -> dict[str, Any]:
    settings = {"base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)}}
    where = {"models": (str(random_model),), "data": str(small_data), "device": "cpu"}
    return where | {"forget": (2,), "limit": 2, "settings": settings}


FAULTS = {
    "weights": "ask changed the model",
    "generates": "ask changed the model",
    "none": "ask returned a NoneType",
    "nothing": "ask returned a dict",
    "empty": "ask returned a dict",
    "texts": "ask returned a list under ''",
    "name": "name variants by letters",
}


def test_what_ask_must_not_do_is_an_error_row_and_spoils_no_other(options: dict[str, Any], tmp_path: Path) -> None:
    """What was altered is not asked again: the next cell's answers are those of a run of its own."""
    found = [row for row in run(options, tmp_path / "spoiled", (*FAULTS,), utility=(3,)) if row.attack]
    faults = {row.attack.params["what"]: row.error for row in found if row.attack}
    assert [name for name, said in FAULTS.items() if said not in str(faults[name])] == [], faults
    for fault in ("weights", "generates"):
        told, expected = (
            run(options, tmp_path / fault, (fault, ""), utility=(5,)),
            run(options, tmp_path / f"without {fault}", ("",), utility=(5,)),
        )
        assert answers(told[-1], tmp_path / fault) == answers(expected[-1], tmp_path / f"without {fault}")


def test_an_attack_without_victims_is_refused_before_anything_is_computed(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match="nothing that it could bring back"):
        planned(options, Store(tmp_path), what=("no victims",))


def planned(options: dict[str, Any], store: Store, **told: Any) -> list[Plan]:
    settings = options["settings"] | {"asks-wrongly": told}
    chosen = {"tasks": ("fiubench",), "methods": ("finetune",), "attacks": ("asks-wrongly",)}
    return plan(RunConfig(**(options | chosen | {"settings": settings})), store)


def run(options: dict[str, Any], folder: Path, what: tuple[str, ...], **told: Any) -> list[Row]:
    store = Store(folder / "store")
    plans = planned(options, store, what=what, **told)
    return [each.row for each in run_grid(plans, RowStore(folder / "rows"), store, Silent())]


def answers(row: Row, folder: Path) -> list[Any]:
    assert row.status == "ok", row.error
    return [(each["id"], each["prediction"], each["logprobs"]) for each in RowStore(folder / "rows").read_samples(row)]
