"""Processes that were launched together wait for each other for as long as was said, and then say so."""

import socket

import pytest

from unlearnbench.errors import UnlearnbenchError
from unlearnbench.runtime import distributed


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    two = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(number)}
    for name, value in two.items():
        monkeypatch.setenv(name, value)
    return int(number)


@pytest.mark.parametrize("rank", [0, 1])
def test_waiting_is_said_and_ends_in_a_sentence(
    port: int, rank: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setattr(distributed, "SAID_AFTER", 0.1)
    who = f"process {rank + 1} of 2"
    with pytest.raises(UnlearnbenchError) as caught:
        distributed.start("cpu", join_seconds=1.2)
    assert str(caught.value).startswith(
        f"{who} could not meet the others at 127.0.0.1:{port}: not all had come after 0.02 minutes; "
    )
    assert "--join-minutes" in str(caught.value)
    said = [record.getMessage() for record in caplog.records if record.name == distributed.__name__]
    assert said == [f"{who} waits for the others at 127.0.0.1:{port}, for up to 0.02 minutes (--join-minutes)"]
    assert distributed.processes() == 1


def test_an_address_that_is_taken_is_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    with socket.create_server(("", port)), pytest.raises(UnlearnbenchError, match="that address is taken"):
        distributed.start("cpu", join_seconds=1.2)
