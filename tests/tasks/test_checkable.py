"""What a leaderboard needs of a task: its metrics again from records, sums by cluster, the same samples as examples."""

import pytest

from tests.leaderboard.made_up import fiubench_records, pope_records
from unlearnbench.contracts import EXAMPLE, Task
from unlearnbench.engine.keys import canonical
from unlearnbench.errors import UsageError
from unlearnbench.metrics.refusals import is_refusal
from unlearnbench.registry import tasks


def made(name):
    kind = tasks.get(name)
    return kind(kind.Options())


def test_examples_are_the_same_samples_whatever_the_model_and_each_of_another_person():
    task = made("fiubench")
    one, other = (task.examples(fiubench_records(share, share, seed)) for share, seed in ((1.0, 1), (0.0, 2)))
    assert [each["id"] for each in one] == [each["id"] for each in other]
    assert all(set(each) == set(EXAMPLE) for each in one)
    forget = [each for each in one if each["set"] == "forget"]
    assert len({each["id"].split("/")[0] for each in forget}) == len(forget) == 4
    assert len({each["id"].split("/")[1] for each in forget}) == 4  # and another question


def test_yes_no_tasks_measure_records_with_their_baselines():
    task = made("pope")
    found = task.measured(pope_records(0.9, seed=0))
    assert found.metrics == {f"pope.{name}": value for name, value in task.score(pope_records(0.9, seed=0)).items()}
    assert found.baselines["always yes"]["pope.yes_ratio"].value == 1


def test_a_task_that_offers_no_check_says_so():
    class Silent(Task):
        name = "silent"

        def load(self, source, forget, seed=0):
            raise NotImplementedError

        def evaluate(self, model, data, run):
            raise NotImplementedError

    with pytest.raises(UsageError, match="define measured"):
        Silent(Silent.Options()).measured([])


@pytest.mark.parametrize(("name", "records"), [("pope", pope_records(0.9, seed=0)), ("fiubench", None)])
def test_further_metrics_are_taken_over_the_sets_that_the_task_names(name, records):
    records = records or fiubench_records(0.5, 0.8, seed=4)
    kind = tasks.get(name)
    task = kind(kind.Options(metrics=("refusal_rate", "min_k")))
    found = task.measured(records).metrics
    assert {f"{of}.refusal_rate" for of in kind.metric_sets} <= set(found)
    for of, own in task.views(records).items():
        value = found[f"{of}.refusal_rate"]
        refused = sum(is_refusal(each["prediction"]) for each in own)
        assert value.value == (refused / len(own) if own else None)
        assert value.of_questions == len(own)
    if name == "pope":
        assert found["all.min_k"].reason == "no all sample has logprobs"
    assert set(task.protocol["metrics"]) == {"refusal_rate", "min_k"}
    assert "metrics" not in kind(kind.Options()).protocol


def test_metrics_that_are_not_asked_for_leave_no_trace_in_options():
    kind = tasks.get("mme")
    assert "metrics" not in kind.Options().model_dump()
    assert kind.Options(metrics=("ape",)).model_dump()["metrics"] == ("ape",)
    assert canonical(kind.Options(metrics=())) == canonical(kind.Options()) != canonical(kind.Options(metrics=("ape",)))
