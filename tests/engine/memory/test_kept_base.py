"""A base that is in the store already counts as one that fits, and what is said and done says so."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.place import Done, Place, assert_one_line
from tests.place import place as place
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.memory import in_store, machine
from unlearnbench.engine.memory.choice import settle
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import Machine
from unlearnbench.engine.planning import plan
from unlearnbench.errors import ModelError
from unlearnbench.models.files.source import card_for
from unlearnbench.results.store import RowStore

FULL = "base full (all weights, AdamW in float32): it is in the store; to be made here, it would be lora"

SMALL = ("--set", "base.epochs=1", "--set", "base.lora.rank=2", "--set", "pope.max_new_tokens=2")
OF_RETRAIN = ("--set", "retrain.epochs=1", "--set", "retrain.lora.rank=2")


def small(model: Path) -> Machine:
    """A machine that fits an adapter, and not all weights with whatever optimiser."""
    count = counts(card_for(str(model)))
    settings = {"base": {"lora.rank": (2,)}}
    config = RunConfig(methods=("finetune",), models=(str(model),), tasks=("pope",), device="cpu", settings=settings)
    for share in range(10, 60):
        made = Machine(1, share * count.total / 2, "cpu", held=0)
        found = settle(config, {str(model): made})
        if not found.problems:
            assert "base lora" in found.lines[0]
            return made
    raise AssertionError("nothing fits")


@pytest.fixture
def based(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A small machine, with a base and a retrained model of all weights in its store."""
    assert run(place, base="full").code == 0
    made = small(place.model)
    monkeypatch.setattr(machine, "cpu_machine", lambda names, processes=1: made)
    return place


def run(place: Place, *words: str, **options: str) -> Done:
    given = {"method": "finetune,retrain", "task": "pope"} | options
    return place.run("run", *SMALL, *OF_RETRAIN, *words, **given)


def kinds(place: Place, *words: str, **options: str) -> dict[str, Any]:
    """The kind of base of each row that a command shows, by method and seed."""
    done = run(place, *words, "--json", **options)
    assert done.code == 0, done.err
    return {f"{row['method']['name']} {row['seed']}": (row["base"] or {}).get("kind") for row in json.loads(done.out)}


def test_the_stronger_kind_is_taken_from_the_store_and_nothing_is_made(based: Place) -> None:
    before = RowStore(based.results).read()
    done = run(based, base="auto")
    assert done.code == 0
    assert f"{based.model}: {FULL}\n" in done.err
    assert RowStore(based.results).read() == before, "the very cells of the machine that made it"
    planned = based.run("plan", "--json", *SMALL, method="cagul", task="pope", base="auto")
    assert [(each["base"], each["unlearned"]) for each in json.loads(planned.out)] == [("cached", "to do")]


def test_not_all_of_a_run_in_the_store_is_nothing(based: Place) -> None:
    """All rows of a run are of one kind: where a seed's base is missing, all are finetuned as it can be here."""
    found = kinds(based, seed="0,1", base="auto")
    assert found == {"finetune 0": "lora", "finetune 1": "lora", "retrain 0": None, "retrain 1": None}
    assert kinds(based, seed="0", base="auto")["finetune 0"] == "full"


def test_what_is_asked_for_by_name_need_not_fit_where_it_is_in_the_store(based: Place) -> None:
    model = str(based.model)

    def problems(seed: int) -> list[str]:
        config = RunConfig(
            methods=("finetune", "retrain"), models=(model,), tasks=("pope",), data=str(based.data), forget=(2,),
            seeds=(seed,), device="cpu", settings={
                "base": {"epochs": (1,), "lora.rank": (2,), "full": (True,)},
                "retrain": {"epochs": (1,), "lora.rank": (2,), "full": (True,)},
                "pope": {"max_new_tokens": (2,)},
            },
        )  # fmt: skip
        return settle(config, {model: small(based.model)}, Store(based.store)).problems

    assert problems(seed=0) == []
    (problem,) = problems(seed=5)
    assert "its base, full as asked for, does not fit" in problem
    assert "--base lora" in problem


def test_a_base_in_the_store_needs_no_library_to_make_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchao")
    options = {"method": "finetune", "task": "pope"}
    assert place.run("run", *SMALL, base="8bit", **options).code == 0
    made = small(place.model)
    monkeypatch.setattr(machine, "cpu_machine", lambda names, processes=1: made)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torchao" else find(name, *rest)
    )
    done = place.run("run", *SMALL, base="auto", **options)
    assert done.code == 0, done.err
    assert "base 8bit (all weights, 8-bit states): it is in the store; to be made here, it would be lora" in done.err


def test_a_store_can_be_told_only_when_all_files_are_there(based: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are fetched it is counted; then the line is said that holds."""
    tried = list[Callable[..., Any]]()

    def first_without_files(*given: Any, **named: Any) -> Any:
        tried.append(plan)
        if len(tried) == 1:
            raise ModelError("not here")
        return plan(*given, **named)

    monkeypatch.setattr(in_store, "plan", first_without_files)
    done = run(based, base="auto")
    assert done.code == 0
    said = [line for line in done.err.splitlines() if ": base " in line]
    assert len(said) == 2
    assert "base lora" in said[0]
    assert said[1].endswith(FULL)
    assert len(RowStore(based.results).read()) == 3, "the cells that were there, and the place's own"


def test_a_plan_is_made_of_what_does_not_fit_and_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_machine", lambda names, processes=1: Machine(1, 1e6, "cpu", held=0))
    for verb in (("plan",), ("run", "--dry-run")):
        done = place.run(*verb, "--json", method="finetune", task="pope", base="auto")
        assert (done.code, len(json.loads(done.out))) == (0, 1)
        said = [line for line in done.err.splitlines() if line.startswith("run would refuse this: ")]
        assert len(said) == 2, "the base, and evaluation"
        assert all(line.endswith("a machine with more memory, or a smaller model") for line in said)
        assert f"{place.model}: no kind of base fits, not even" in said[0]
    refused = run(place, base="auto")
    assert_one_line(refused, 2, "no kind of base fits")
