"""A run on a hub model that names no tasks: what cannot be fetched is left out, and said."""

from pathlib import Path

import pytest

from unlearnbench.config import RunConfig
from unlearnbench.data import source
from unlearnbench.data.source import Location
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.errors import DataError


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, small_data: Path) -> None:
    """FIUBench as if from the hub; the rest refuses as it does without a network."""
    refuse = source._from_hub

    def fetch(task: str) -> Location:
        return Location(small_data, source.FIUBENCH, "abc") if task == "fiubench" else refuse(task)

    monkeypatch.setattr(source, "_from_hub", fetch)


def test_tasks_that_are_not_on_the_hub_are_left_out(
    random_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = RunConfig(methods=("cagul",), models=(str(random_model),), data="hub")
    assert [cell.cell.task for cell in plan(config, Store(tmp_path))] == ["fiubench"]
    assert "mme and pope: not fetched from the hub in this version" in caplog.text


def test_a_task_asked_for_by_name_is_not_left_out(random_model: Path, tmp_path: Path) -> None:
    config = RunConfig(methods=("cagul",), models=(str(random_model),), data="hub", tasks=("fiubench", "mme"))
    with pytest.raises(DataError, match="task mme cannot fetch its data from the hub"):
        plan(config, Store(tmp_path))
