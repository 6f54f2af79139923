"""What plug-ins of other hands note, take as parameters, measure and evaluate: wrong things are named."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.plugins.handed_back.handing_back import HandedBack, leave_alone, why
from unlearnbench import Asked, Evaluation, Metric, Params, Sample, Sets
from unlearnbench.engine.handed import checked_sets
from unlearnbench.errors import PluginError, StoreError
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.statistics import summarise

KNOWN = Sample("a/0", "a", Asked("Who is it?"), "Ann")


def test_notes_of_any_type_are_kept_and_what_is_lost_is_named(computed: Any, caplog: Any) -> None:
    itself: dict[str, Any] = {}
    itself["again"] = itself

    def work(model: Any, run: Any) -> None:
        run.notes |= {
            "losses": [torch.tensor(0.5), np.float32(0.25), 1],
            1: {Path("a"): {3, 1}},
            "where": Path("/tmp/x"),
            "nan": float("nan"),
            "text": "broken \udcff",
            "model": model,
            "large": torch.zeros(200, 200),
            "vector": np.arange(3),
            "itself": itself,
        }
        run.cost["train_seconds"] = torch.tensor(2.5)
        run.cost["seconds_per_epoch"] = "fast"

    with caplog.at_level(logging.WARNING):
        row = computed(work, name="handed-back-reference")
    assert row.status == "ok"
    assert row.cost.train_seconds == 2.5
    assert row.cost.seconds_per_epoch is None
    wanted = {"losses": [0.5, 0.25, 1], "1": {"a": [1, 3]}, "where": "/tmp/x", "nan": None, "text": "broken ?"}
    wanted |= {"vector": [0, 1, 2], "large": "Tensor of shape [200, 200]"}
    assert {name: row.notes[name] for name in wanted} == wanted
    assert "run.notes.model and 2 more cannot be stored as JSON" in caplog.text
    assert "run.cost['seconds_per_epoch'] is a str ('fast') and no number" in caplog.text
    json.loads(row.to_line())


# ---------------------------------------------------------------------------------------------------------------- sets
@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ({"forget": ()}, "its sets are a dict; return unlearnbench.Sets"),
        (Sets(others=(KNOWN,)), "nothing is to be forgotten"),
        (Sets(forget=(KNOWN,), others=(KNOWN,)), "its sets have 2 samples with the id 'a/0'"),
    ],
)
def test_sets_that_nothing_could_be_learnt_from_are_refused(sets: Any, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        checked_sets(SimpleNamespace(name="t"), sets)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- parameters, metrics
def test_parameters_that_cannot_name_a_result_are_named_before_anything_starts(
    computed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Params):
        folder: Path = Path("/somewhere")

    monkeypatch.setattr(HandedBack, "Params", Odd)
    with pytest.raises(StoreError, match=r"^handed-back\.folder: the path /somewhere cannot be part of a key: use"):
        computed(lambda model, run: pytest.fail("it was at work"))


def test_parameters_of_another_kind_are_named(computed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HandedBack, "Params", dict)
    with pytest.raises(PluginError, match=r"'handed-back' .* has Params that are no subclass of unlearnbench\.Params"):
        computed(leave_alone)


@pytest.mark.parametrize(
    ("returned", "values"),
    [([1, None, np.float32(0.5)], [1.0, None, 0.5]), ([torch.tensor(0.25)], [0.25]), ((True,), [1.0]), ([], [])],
)
def test_a_metrics_values_are_numbers_of_any_library(returned: Any, values: Any) -> None:
    assert measured(returned) == values
    assert {type(value) for value in measured(returned)} <= {float, type(None)}


@pytest.mark.parametrize("returned", [0.5, {"a": 1}, "0.5", ["yes"], [torch.ones(2)], None, [{}]])
def test_a_metric_that_returns_something_else_is_named(returned: Any) -> None:
    with pytest.raises(PluginError, match=r"^metric 'odd': its evaluate returned .*; return a list of numbers"):
        measured(returned)


def measured(returned: Any) -> Any:
    class Odd(Metric):
        name = "odd"

        def evaluate(self, record: Any, scorer: Any) -> Any:
            return returned

    return Odd().values({}, STRICT)  # type: ignore[typeddict-item]


# -------------------------------------------------------------------------------------------------------------- tasks
def value(number: Any) -> Any:
    return summarise([0.5, 1.0], clusters=None, seed=0, higher_is_better=True).__class__(number, None, None, 2, True)


EVALUATED = {
    "a dict": (lambda records: {"accuracy": 0.5}, "its evaluate returned a dict; return Evaluation(records, metrics)"),
    "nothing": (lambda records: None, "its evaluate returned a NoneType"),
    "a bare number": (
        lambda records: Evaluation(records, {"accuracy": 0.5}),
        "metric 'accuracy' is a float (0.5); make",
    ),  # type: ignore[dict-item]
    "a list of metrics": (
        lambda records: Evaluation(records, [value(1.0)]),
        "the metrics of its Evaluation are a list",
    ),  # type: ignore[arg-type]
    "text for a number": (lambda records: Evaluation(records, {"a": value("0.5")}), "metric 'a' holds a str ('0.5')"),
    "a vector": (lambda records: Evaluation(records, {"a": value(np.ones(2))}), "metric 'a' holds a ndarray"),
    "records by name": (lambda records: Evaluation({"a": 1}, {}), "the records of its Evaluation are a dict"),  # type: ignore[arg-type]
    "a record of text": (lambda records: Evaluation(["yes"], {}), "record 0 is a str ('yes'); give a dict with an id"),  # type: ignore[list-item]
    "no id": (lambda records: Evaluation([{"total": 1}], {}), "record 0 has no id; give each a string of its own"),
    "a number for an id": (lambda records: Evaluation([{"id": 7}], {}), "record 0 has the id 7; give each a string"),
    "one id twice": (
        lambda records: Evaluation(records * 2, {}),
        "2 records have the id 'all'; give each one of its own",
    ),
    "a wrong baseline": (
        lambda records: Evaluation(records, {}, {}, {"yes": {"a": 1}}),
        "metric 'yes: a' is an int (1)",
    ),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("what", EVALUATED)
def test_what_a_task_returns_wrongly_is_named(computed: Any, what: str) -> None:
    work, said = EVALUATED[what]
    message = why(computed(leave_alone, lambda records, run: work(records), name="handed-back-reference"))
    assert message.startswith("task 'handed-sizes'")
    assert said in message


def test_numbers_of_other_libraries_are_numbers(computed: Any) -> None:
    def evaluate(records: Any, run: Any) -> Evaluation:
        run.notes["seen"] = np.int64(3)
        record = records[0] | {"logprobs": torch.tensor([0.5, -1.0]), "size": np.float32(0.5)}
        metrics = {"numpy": value(np.float32(0.25)), "torch": value(torch.tensor([0.75])), "nan": value(float("nan"))}
        return Evaluation([record], metrics, {"asked": np.int64(1)})

    row = computed(leave_alone, evaluate, name="handed-back-reference")
    assert row.status == "ok"
    assert {name: metric.value for name, metric in row.metrics.items()} == {"numpy": 0.25, "torch": 0.75, "nan": None}
    assert row.metrics["nan"].reason == "it was nan"
    assert (row.notes["seen"], row.task.protocol["asked"]) == (3, 1)
    json.loads(row.to_line())
