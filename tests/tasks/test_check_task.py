"""Our tasks pass their check, and what is wrong with one is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.test_choice_benchmark import PLUGIN, write
from tests.tasks.qa.tables import pictures, rows, write_csv
from unlearnbench import Evaluation, task
from unlearnbench.registry import load_plugin, tasks
from unlearnbench.testing import CheckError, check_task


@pytest.mark.parametrize("name", ["fiubench", "mme", "pope"])
def test_ours_pass(name: str, small_data: Path) -> None:
    check_task(name, small_data)


def test_tables_of_one_s_own_pass(tmp_path: Path) -> None:
    pictures(tmp_path)
    write_csv(tmp_path / "t.csv", [{**each, "private": "yes"} for each in rows()])
    check_task("qa", tmp_path, forget=1)


@pytest.fixture
def creatures(tmp_path: Path) -> Any:
    load_plugin(PLUGIN)
    write(tmp_path)
    return tasks.get("creatures")


def test_a_benchmark_from_outside_passes(creatures: Any, tmp_path: Path) -> None:
    check_task("creatures", tmp_path, forget=2)


def no_outputs(wrong: Any) -> str:
    wrong.outputs = ()
    return "outputs should name all of a record that comes from the model"


def no_scores(wrong: Any) -> str:
    plain = wrong.evaluate
    wrong.evaluate = lambda self, model, data, run: replace(plain(self, model, data, run), metrics={})
    return r"headlines should be among its scores; \['forget.choice', 'retain.choice'\] are not"


def scores_by_order(wrong: Any) -> str:
    plain = wrong.measured
    wrong.measured = lambda self, records: replace(plain(self, records), metrics=plain(self, records[:5]).metrics)
    return "the order of records should not matter to its scores"


def sets_that_overlap(wrong: Any) -> str:
    plain = wrong.sets
    wrong.sets = lambda self, data: replace(plain(self, data), held_out=plain(self, data).forget)
    return "a sample should be in one set, under an id of its own; 'blick/colour' is there 2 times"


def forgotten_and_kept(wrong: Any) -> str:
    plain = wrong.sets
    wrong.sets = lambda self, data: replace(
        plain(self, data), others=tuple(replace(each, cluster="blick") for each in plain(self, data).others)
    )
    return r"clusters of the forget set should be in no other set but nonprivate: \['blick'\]"


def other_views(wrong: Any) -> str:
    wrong.metric_sets = ("all", "forget")
    wrong.headlines = ()
    wrong.measured = lambda self, records: Evaluation([*records], {})
    wrong.views = lambda self, records: {"forget": []}
    return "views should have an entry for each of metric_sets"


def records_without(key: str) -> Callable[[Any], Any]:
    """A way of asking whose records lack it."""

    def evaluate(self: Any, model: Any, data: Any, run: Any) -> Evaluation:
        records = super(type(self), self).evaluate(model, data, run).records
        return self.measured([{name: value for name, value in each.items() if name != key} for each in records])

    return evaluate


def records_of_no_set(wrong: Any) -> str:
    wrong.evaluate = records_without("set")
    return "records should say of which set they are: none is of forget, retain"


def records_without_id(wrong: Any) -> str:
    wrong.evaluate = records_without("id")
    return "task 'wrong-records_without_id': a record has no id"


def silent_load(wrong: Any) -> str:
    plain = wrong.load
    wrong.load = lambda self, source, forget, seed: plain(self, source, None if forget == "no-such-split" else forget)
    return "load, of a split that is not there: raise UsageError"


def known_and_kept_apart(wrong: Any) -> str:
    plain = wrong.sets
    wrong.sets = lambda self, data: replace(
        plain(self, data), acquaintances=tuple(replace(each, id=f"{each.id}!") for each in plain(self, data).others)
    )
    return r"clusters of acquaintances should be in no other set: \['"


def learned_by_the_seed(wrong: Any) -> str:
    plain, sets = wrong.load, wrong.sets
    wrong.load = lambda self, source, forget, seed: replace(plain(self, source, forget), of=seed)
    wrong.sets = lambda self, data: replace(sets(self, data), others=sets(self, data).others[data.of :])
    return "what the base learns, and its order, should not depend on the seed"


FAULTS = (
    no_outputs, no_scores, scores_by_order, sets_that_overlap, forgotten_and_kept, other_views, silent_load,
    known_and_kept_apart, learned_by_the_seed, records_of_no_set, records_without_id,
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_wrong_is_told(creatures: Any, tmp_path: Path, fault: Callable[[Any], str]) -> None:
    name = f"wrong-{fault.__name__}"
    wrong = task(name)(type("Wrong", (creatures,), {}))
    with pytest.raises(CheckError, match=f"^task {name}: {fault(wrong)}"):
        check_task(wrong, tmp_path)
