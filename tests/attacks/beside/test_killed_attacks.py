"""An attack that is killed while it asks: run again it asks what is left, and nothing twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.beside.grids import of_a_gate
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.attacking import attacked
from unlearnbench.engine.journal import JournalFile
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.engine.runner import Runner
from unlearnbench.registry import attacks
from unlearnbench.runtime.run import Silent

SMALL: dict[str, dict[str, Any]] = {
    "relearn": {"steps": ((0, 1),)},
    "quantise": {"bits": ((4,),)},
    "leak": {"n": (4,), "k": ((1, 4),)},
    "prompt": {"kinds": (("prefix", "suffix"),)},
    "picture": {"kinds": (("crop",),)},
    "gate": {"kinds": (("crop",),), "pictures": (4,), "timed": (1,)},
    "pgd": {"steps": (1,), "restarts": (1,), "eps": ((8,),), "faces": (1,)},
}
"""As little of each as leaves something to ask; the others ask little as they are."""

OURS = ("relearn", "quantise", "mia", "likelihood", "leak", "prompt", "picture", "gate", "pgd", "depth")


class KilledError(BaseException):
    """As if somebody had pressed Ctrl+C."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, random_model: Path, small_data: Path) -> dict[str, Plan]:
    """By attack, on a model with a gate, which is in the store that is at ``cells[""]``."""
    asked = {name: {"utility": (2,)} | SMALL.get(name, {}) for name in OURS}
    config = of_a_gate(random_model, small_data, asked, 1)
    return {each.cell.attack or "": each for each in plan(config, Store(tmp_path_factory.mktemp("killed")))}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cells: dict[str, Plan]) -> Store:
    store = Store(tmp_path_factory.mktemp("killed-store"))
    Runner(store, Silent()).made(cells[""])
    return store


def entries(store: Store) -> list[str]:
    """What the journals of all models remember, by file and question."""
    files = sorted((store.root / "answers").glob("*.jsonl"))
    return [f"{file.name} {json.loads(line)['question']}" for file in files for line in file.read_text().splitlines()]


def test_all_attacks_of_the_package_are_killed() -> None:
    assert {*OURS} == {name for name in attacks.names() if attacks.origin(name).startswith("unlearnbench ")}


@pytest.mark.parametrize("name", OURS)
def test_what_was_asked_before_the_end_is_not_asked_again(
    name: str, cells: dict[str, Plan], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, before = JournalFile._append, entries(store)

    def once(self: JournalFile, line: bytes) -> None:
        append(self, line)
        if len(entries(store)) > len(before) + 1:
            raise KilledError

    monkeypatch.setattr(JournalFile, "_append", once)
    with pytest.raises(KilledError):
        attacked(cells[name], Runner(store, Silent()))
    monkeypatch.setattr(JournalFile, "_append", append)
    killed = entries(store)
    assert len(killed) == len(before) + 2
    found = attacked(cells[name], Runner(store, Silent())).evaluation
    whole = entries(store)
    assert {*killed} <= {*whole}
    assert len({*whole}) == len(whole), "nothing was asked twice"
    again = attacked(cells[name], Runner(store, Silent())).evaluation
    assert entries(store) == whole, "all of it was written down"
    assert again.records == found.records
    assert again.metrics == found.metrics
