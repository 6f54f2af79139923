"""Where a run's tasks find their data: on the hub if they have a dataset there, and each where the command says."""

from pathlib import Path

import pytest

from unlearnbench import Task, task
from unlearnbench.config import RunConfig
from unlearnbench.data import hub
from unlearnbench.data.hub import Snapshot
from unlearnbench.data.source import locate
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.errors import DataError
from unlearnbench.tasks.yes_no.reader import YesNoSet
from unlearnbench.tasks.yes_no.task import YesNoData


@task("nowhere")
class Nowhere(Task):
    """Has nothing on the hub."""

    def load(self, source, forget, seed=0):
        return YesNoData(locate(source, self.name, self.hub), YesNoSet((), "abc", Path()), 0)

    def evaluate(self, model, data, run):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, small_data: Path) -> list[str]:
    """What is asked of the hub, which has MME and POPE alone."""
    names: list[str] = []

    def fetch(dataset: hub.HubDataset, task: str) -> Snapshot:
        names.append(task)
        return Snapshot(small_data, dataset.repositories[0], dataset.revision)

    monkeypatch.setattr("unlearnbench.data.source.fetch", fetch)
    monkeypatch.setattr("unlearnbench.models.files.wanted.cached", lambda dataset: True)  # so it is all there
    return names


def config(model: Path, **more: object) -> RunConfig:
    return RunConfig(methods=("cagul",), models=(str(model),), **more)


def test_a_task_with_nothing_on_the_hub_says_so(random_model: Path, tmp_path: Path, small_data: Path) -> None:
    wanted = config(random_model, data="hub", data_of={"fiubench": str(small_data)}, tasks=("fiubench", "nowhere"))
    with pytest.raises(DataError, match=r"task nowhere names no dataset on the hub: give --data nowhere=DIR"):
        plan(wanted, Store(tmp_path))


def test_it_is_left_out_where_nobody_named_the_tasks(
    random_model: Path,
    tmp_path: Path,
    small_data: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unlearnbench.engine.planning.planner.default_tasks", lambda: ("fiubench", "nowhere"))
    wanted = config(random_model, data="hub", data_of={"fiubench": str(small_data)}, tasks=("fiubench", "nowhere"))
    assert [cell.cell.task for cell in plan(wanted, Store(tmp_path))] == ["fiubench"]
    assert "nowhere: no dataset on the hub, left out; --data TASK=DIR brings them" in caplog.text


def test_each_task_s_data_may_be_elsewhere(
    random_model: Path, tmp_path: Path, small_data: Path, asked: list[str]
) -> None:
    wanted = config(random_model, data_of={"mme": "hub", "fiubench": str(small_data)}, data="embedded")
    plans = {cell.cell.task: cell for cell in plan(wanted, Store(tmp_path))}
    assert {name: cell.data_source for name, cell in plans.items()} == {
        "fiubench": str(small_data), "mme": "hub", "pope": "embedded",
    }  # fmt: skip
    assert asked == ["mme"]
    assert plans["mme"].data.location.id == "lmms-lab-encoder/MME"
    assert {cell.unlearning.location.folder for cell in plans.values()} == {small_data}


def test_a_limit_is_for_the_tasks_that_can(random_model: Path, tmp_path: Path, small_data: Path) -> None:
    plans = {
        cell.cell.task: cell for cell in plan(config(random_model, data=str(small_data), limit=6), Store(tmp_path))
    }
    whole = {cell.cell.task: cell for cell in plan(config(random_model, data=str(small_data)), Store(tmp_path))}
    assert plans["mme"].task.options.limit == plans["pope"].task.options.limit == 6
    assert plans["fiubench"].row_id == whole["fiubench"].row_id
    assert plans["mme"].row_id != whole["mme"].row_id
