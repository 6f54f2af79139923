"""A cell is found by what its user calls it, and an error lists what there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unlearnbench.errors import UsageError
from unlearnbench.results.cells import Announced, Cells
from unlearnbench.results.naming import Narrowed, cell_called, rows_beside
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

MakeRow = Callable[..., Row]


@pytest.fixture
def results(tmp_path: Path, row: MakeRow, fields: dict[str, Any]) -> RowStore:
    """Two seeds of one method, one of which two tasks evaluated; another method; a cell that failed."""
    store = RowStore(tmp_path)
    other = {"method": fields["method"] | {"name": "ga"}}
    mme = {"task": fields["task"] | {"name": "mme"}}
    failed = {"status": "error", "error": {"type": "ModelError", "message": "no room"}, "samples": None}
    for its in (
        {"row_id": "aa11"},
        {"row_id": "aa22", "seed": 1},
        {"row_id": "bb11", **mme},
        {"row_id": "cc11", **other},
        {"row_id": "dd11", "seed": 7, **failed},
    ):
        store.append(row(**its))
    return store


def test_by_an_id_its_beginning_or_a_method(results: RowStore) -> None:
    assert cell_called(results, "aa22").seed == 1
    assert cell_called(results, "cc").method.name == "ga"
    assert cell_called(results, "ga").row_id == "cc11"


def test_a_method_is_narrowed_by_seed_model_and_task(results: RowStore) -> None:
    assert cell_called(results, "cagul", Narrowed(seed=1)).row_id == "aa22"
    assert cell_called(results, "cagul", Narrowed(task="mme")).row_id == "bb11"
    with pytest.raises(UsageError, match=r"no cell 'cagul' on other in .*rows\.jsonl; there are: aa11 \(cagul"):
        cell_called(results, "cagul", Narrowed(model="other"))


def test_tasks_that_evaluated_one_model_do_not_make_it_two(results: RowStore) -> None:
    assert cell_called(results, "cagul", Narrowed(seed=0)).row_id == "aa11"
    assert [each.row_id for each in rows_beside(results, cell_called(results, "aa11"))] == ["aa11", "bb11"]


def test_what_is_ambiguous_is_listed_by_ids_and_settings(results: RowStore) -> None:
    ids = ["aa11", "aa22"]
    Cells(results).announce(
        Announced(row_id=each, method="cagul", model="m", task="t", seed=0, settings="cagul.k=4") for each in ids
    )
    with pytest.raises(UsageError) as told:
        cell_called(results, "cagul")
    assert str(told.value) == (
        "'cagul' is the name of several models; give one's id, or narrow it down with --model or --seed: "
        "aa11 (cagul, tiny-qwen2.5-vl, seed 0, cagul.k=4), aa22 (cagul, tiny-qwen2.5-vl, seed 1, cagul.k=4)"
    )


def test_an_unknown_name_is_answered_by_what_there_is(results: RowStore) -> None:
    with pytest.raises(UsageError, match=r"no cell 'zz' in .*; there are: aa11 \(.*\), aa22 \(.*\), cc11 \(ga.*\)$"):
        cell_called(results, "zz")


def test_a_cell_that_failed_says_why(results: RowStore) -> None:
    with pytest.raises(UsageError, match=r"cell dd11 has no result \(no room\)"):
        cell_called(results, "dd11")


def test_a_folder_without_cells(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no cell that was computed; give the folder of a run with --results"):
        cell_called(RowStore(tmp_path), "cagul")
