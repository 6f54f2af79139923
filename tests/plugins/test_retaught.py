"""An attack-shaped method from outside: one file that trains on what another method has unlearned, run by the CLI."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run as forked
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

HERE = Path(__file__).parent / "outside"


class Place:
    """A folder in which commands leave rows and artefacts."""

    def __init__(self, folder: Path, model: Path, data: Path) -> None:
        self.folder, self.model, self.data = folder, model, data

    def words(self, verb: str, methods: str, *more: str, results: str = "results", store: str = "store") -> list[str]:
        words = [verb, "--method", methods, "--model", str(self.model), "--task", "fiubench", "--data", str(self.data)]
        words += ["--plugin", str(HERE / "retaught.py"), "--forget", "2", "--device", "cpu", "--json", *more]
        for setting in ("base.epochs=1", "fiubench.max_new_tokens=2", "ga.epochs=1", "ga.batch_size=40"):
            words += ["--set", setting]
        for setting in ("epochs=1", "discriminator_epochs=1", "batch_size=60") if "cagul" in methods else ():
            words += ["--set", f"cagul.{setting}"]
        return [*words, "--results", str(self.folder / results), "--store", str(self.folder / store)]

    def stored(self, kind: str, store: str = "store") -> set[str]:
        return {path.parent.name for path in (self.folder / store / kind).glob("*/manifest.json")}

    def likelihoods(self, row: Row) -> dict[str, list[float]]:
        records = RowStore(self.folder / "results").read_samples(row)
        return {record["id"]: record["logprobs"] for record in records if record["set"] == "forget"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, random_model: Path, small_data: Path) -> Place:
    return Place(tmp_path_factory.mktemp("retaught"), random_model, small_data)


RUN = ("--executor", "inline", "--quiet")


@pytest.fixture(scope="module")
def rows(place: Place) -> dict[tuple[str, ...], Row]:
    """By the methods that were at the model, the last one last."""
    words = place.words("run", "ga,cagul,retaught", "--set", "retaught.method=ga,cagul", *RUN)
    named: dict[tuple[str, ...], Row] = {}
    for row in map(Row.model_validate, json.loads(forked(*words).stdout)):
        earlier = [row.method.continues.name] if row.method.continues else []
        named[*earlier, row.method.name] = row
    return named


def test_it_goes_on_with_what_the_methods_own_cells_have_made(place: Place, rows: dict[tuple[str, ...], Row]) -> None:
    assert rows.keys() == {("ga",), ("cagul",), ("ga", "retaught"), ("cagul", "retaught")}
    assert {row.status for row in rows.values()} == {"ok"}
    assert [len(place.stored(kind)) for kind in ("base", "unlearned", "attacked")] == [1, 2, 2]


def test_a_row_says_what_it_went_on_with(rows: dict[tuple[str, ...], Row]) -> None:
    for name in ("ga", "cagul"):
        row = rows[name, "retaught"]
        assert row.method.continues == rows[(name,)].method
        assert row.method.params["method"] == name
        assert row.base == rows[(name,)].base
        assert row.cost.examples == {"forget": 4 * 5, "nonprivate": 0, "others": 0, "validation": 0, "held_out": 0}


def test_what_is_relearnt_comes_back_behind_a_guard_too(place: Place, rows: dict[tuple[str, ...], Row]) -> None:
    """Of the four questions that were relearnt, on the weights, and with CAGUL's guard still before them."""
    for name in ("ga", "cagul"):
        before, after = place.likelihoods(rows[(name,)]), place.likelihoods(rows[name, "retaught"])
        assert before.keys() == after.keys()
        gained = sorted(sum(after[sample]) - sum(before[sample]) for sample in before)
        assert gained[-4] > 0, (name, gained)


def test_alone_it_has_the_other_method_at_work_first(place: Place, rows: dict[tuple[str, ...], Row]) -> None:
    """In an empty store: the chain is planned and made from its beginning, under the very same names."""
    alone: Any = {"results": "alone", "store": "empty"}
    words = ("--set", "retaught.method=ga", "--set", "retaught.of=retain")
    [cell] = json.loads(forked(*place.words("plan", "retaught", *words, **alone)).stdout)
    assert [cell[stage] for stage in ("base", "unlearned", "attacked", "row")] == ["to do"] * 4
    [row] = json.loads(forked(*place.words("run", "retaught", *words, *RUN, **alone)).stdout)
    assert row["cost"]["examples"]["forget"] == 0
    assert place.stored("base", "empty") == place.stored("base")
    assert place.stored("unlearned", "empty") < place.stored("unlearned")
    [cell] = json.loads(forked(*place.words("plan", "retaught", *words, **alone)).stdout)
    assert [cell[stage] for stage in ("base", "unlearned", "attacked", "row")] == ["cached"] * 3 + ["done"]
