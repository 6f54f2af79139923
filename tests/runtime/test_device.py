"""Which variables of the environment make a launch, and which are what schedulers and shells leave behind."""

import pytest

from unlearnbench.cli.parts import launch as cli_launch
from unlearnbench.errors import UsageError
from unlearnbench.runtime.device import LAUNCH, Launch, alone, ignored, launch, launched

WHOLE = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node-1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *LAUNCH,
        "SLURM_STEP_NUM_TASKS",
        "SLURM_PROCID",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "PMI_SIZE",
    ):
        monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_a_whole_launch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, WHOLE)
    assert launch() == Launch(rank=3, local_rank=1, processes=4, meeting="node-1:29500")
    assert ignored() == ""


@pytest.mark.parametrize("missing", LAUNCH)
@pytest.mark.parametrize("left", [None, "", " ", "x", "-1", "4.0"])
def test_a_launch_that_lacks_something_is_none(monkeypatch: pytest.MonkeyPatch, missing: str, left: str | None) -> None:
    given(monkeypatch, WHOLE)
    if left is None:
        monkeypatch.delenv(missing)
    elif missing != "MASTER_ADDR" or not left.strip():  # any word may be a host
        monkeypatch.setenv(missing, left)
    else:
        return
    assert not launched()
    assert "is no launch and counts for nothing" in ignored()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "3"}, "RANK=3 in the environment, without LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, is no"),
        ({"WORLD_SIZE": "4"}, "WORLD_SIZE=4 in the environment, without RANK, "),
        ({"WORLD_SIZE": "four"}, "WORLD_SIZE=four"),
        ({**WHOLE, "RANK": "4"}, "RANK=4, LOCAL_RANK=1, WORLD_SIZE=4 in the environment, whose values do not agree"),
        ({**WHOLE, "WORLD_SIZE": "1"}, "whose values do not agree"),
        ({"WORLD_SIZE": ""}, ""),
        ({"WORLD_SIZE": "1", "RANK": "0"}, ""),
        ({"MASTER_ADDR": "node-1", "MASTER_PORT": "29500"}, ""),
        ({**WHOLE, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, ""),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}, "srun runs this command 4 times (this is 2)"),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, "mpirun runs this command 2 times (this is 1)"),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, "mpirun runs this command 2 times (this is 1)"),
        ({"SLURM_STEP_NUM_TASKS": "1"}, ""),
    ],
)
def test_what_counts_for_nothing_is_said_where_it_tells_something(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    given(monkeypatch, environment)
    assert not launched()
    assert ignored().startswith(said) if said.startswith(("RANK", "WORLD", "srun", "mpirun")) else said in ignored()
    assert bool(ignored()) == bool(said)


def test_a_process_that_is_alone_is_told_nothing_of_a_launch() -> None:
    environment = {**WHOLE, "TORCHELASTIC_USE_AGENT_STORE": "True", "GROUP_RANK": "0", "HOME": "/root"}
    assert alone(environment) == {"HOME": "/root"}


def test_a_run_forgets_and_says_what_is_no_launch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import os

    given(monkeypatch, {"RANK": "3", "WORLD_SIZE": ""})
    cli_launch.heed(1, "local")
    assert [record.getMessage().partition(" in the")[0] for record in caplog.records] == ["RANK=3"]
    assert not {"RANK", "WORLD_SIZE"} & os.environ.keys()
    cli_launch.heed(1, "local")
    assert len(caplog.records) == 1


def test_processes_launched_together_start_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, WHOLE)
    with pytest.raises(UsageError, match="--gpus 2: this is process 4 of 4 that were launched together already"):
        cli_launch.heed(2, "local")
    with pytest.raises(UsageError, match="--executor slurm: jobs are submitted by one process"):
        cli_launch.heed(1, "slurm")
    cli_launch.heed(1, "local")
    assert launched()
