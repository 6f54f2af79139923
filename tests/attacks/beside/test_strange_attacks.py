"""Attacks beside others: what a stranger's raises, what other tasks have at hand, and a base that only one looks at."""

from pathlib import Path
from typing import Any

import pytest

from tests.attacks.beside.grids import asked_of
from unlearnbench import Attack, AttackParams, Task, attack
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.executors.job import Job
from unlearnbench.engine.executors.local import Local
from unlearnbench.engine.executors.process import Limits
from unlearnbench.engine.executors.slurm import waves
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.errors import PluginError
from unlearnbench.registry import tasks
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent


class StrangeParams(AttackParams):
    fails: str = ""
    utility: int = 1


@attack("strange-planned")
class Strange(Attack):
    """Fails where a run is planned."""

    access = "prompt"
    Params = StrangeParams
    params: StrangeParams

    def tasks(self) -> Any:
        return {}["other"] if self.params.fails == "tasks" else ()

    def victims(self, sets: Any) -> Any:
        return sets.forgotten if self.params.fails == "samples" else sets.private_ones

    def ask(self, model: Any, target: Any, run: Any) -> Any:
        return {}


@attack("strange-scenes")
class Scenes(Attack):
    """Looks which scenes there are."""

    access = "prompt"

    def ask(self, model: Any, target: Any, run: Any) -> Any:
        run.notes["scenes"] = {name: len(paths) for name, paths in target.scenes().items()}
        return {"": target.records(model, {"forget": target.victims[:1]})}


@attack("strange-beside")
class Beside(Scenes):
    """Looks at the base too."""

    needs = ("base",)


@pytest.fixture
def options(random_model: Path, small_data: Path) -> dict[str, Any]:
    settings = {"base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)}}
    return asked_of(random_model, small_data) | {"settings": settings, "methods": ("pretrain",)}


def planned(options: dict[str, Any], store: Path, **more: Any) -> list[Plan]:
    settings = options["settings"] | more.pop("settings", {})
    return plan(RunConfig(**(options | {"settings": settings} | more)), Store(store))


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("tasks", "attack 'strange-planned': its tasks failed: KeyError: 'other'"),
        ("victims", "attack 'strange-planned': its victims failed: AttributeError: 'People' object has no attribute"),
        ("samples", "attack 'strange-planned': victims returned what are no samples; return some of the sets'"),
    ],
)
def test_what_a_strangers_attack_raises_while_a_run_is_planned_is_said_in_a_line(
    options: dict[str, Any], tmp_path: Path, fails: str, said: str
) -> None:
    with pytest.raises(PluginError) as caught:
        planned(options, tmp_path, attacks=("strange-planned",), settings={"strange-planned": {"fails": (fails,)}})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


class Unloadable(Task):
    """A task of somebody's, installed and broken."""

    name = "strange-unloadable"

    def load(self, source: str, forget: Any, seed: int = 0) -> Any:
        raise KeyError("no such column")

    def pictures(self, data: Any) -> Any:
        return []


def test_a_row_says_of_which_data_scenes_were_and_no_other_task_can_break_it(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, get = tasks.names(), tasks.get

    def got(name: str) -> Any:
        if name == "strange-broken":
            raise PluginError("it cannot be imported")
        return Unloadable if name == Unloadable.name else get(name)

    monkeypatch.setattr(tasks, "names", lambda: ["strange-broken", Unloadable.name, *known])
    monkeypatch.setattr(tasks, "get", got)
    found = planned(options, tmp_path / "store", attacks=("strange-scenes",), tasks=("fiubench", "pope"))
    [cell] = [each for each in found if each.aimed]
    [finished] = run_grid([cell], RowStore(tmp_path), Store(tmp_path / "store"), Silent())
    assert finished.row.status == "ok", finished.row.error
    assert finished.row.attack
    told = finished.row.attack.scenes or {}
    assert {each.data.fingerprint for each in found if each.cell.task == "pope"} == {told["pope"]}
    assert told.keys() == finished.row.notes["scenes"].keys() == {"mme", "pope"}


def test_cells_wait_for_a_base_that_only_an_attack_looks_at(options: dict[str, Any], tmp_path: Path) -> None:
    """Of models that were not made from it the second one's attack comes after the job that makes it."""
    found = planned(options, tmp_path, methods=("pretrain", "retrain"), attacks=("strange-beside",))
    told = [[(each.cell.method, each.cell.attack) for each in wave] for wave in waves(found, Store(tmp_path))]
    assert told == [
        [("pretrain", None), ("retrain", None)],
        [("pretrain", "strange-beside")],
        [("retrain", "strange-beside")],
    ]
    attacked = [each for each in found if each.aimed]
    assert [[stage.name for stage in each.needed] for each in attacked] == [["base", "unlearned"]] * 2
    config = RunConfig(**options)
    local = Local(Job(results=tmp_path, store=tmp_path, config=config, command=()), [], Limits())
    assert local._waits_for(attacked[1], attacked[0])
