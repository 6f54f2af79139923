"""A metric over a set of records."""

import pytest

from unlearnbench.errors import PluginError
from unlearnbench.metrics import Metric, Record, measure
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.text import APE, ExactMatch, RefusalRate


def record(unique_id: str, set_name: str, prediction: str, paraphrased: list[str]) -> Record:
    return Record(
        set=set_name,
        id=f"{unique_id}/0",
        cluster=unique_id,
        question="?",
        answer="lupus",
        keywords=["lupus"],
        prediction=prediction,
        paraphrased_predictions=paraphrased,
        logprobs=[-0.1],
        paraphrased_logprobs=None,
        perturbed_logprobs=[],
    )


RECORDS = [
    record("a", "forget", "lupus", ["lupus", "no", "no"]),
    record("b", "forget", "I cannot say", []),
    record("c", "retain", "lupus", []),
    record("d", "retain", "lupus", []),
]


def test_a_metric_is_measured_over_one_set():
    forget = measure(ExactMatch(), RECORDS, STRICT, set_name="forget", seed=0)
    retain = measure(ExactMatch(), RECORDS, STRICT, set_name="retain", seed=0)
    assert (forget.value, forget.n, forget.higher_is_better) == (0.5, 2, False)
    assert (retain.value, retain.n, retain.higher_is_better) == (1, 2, True)
    assert (retain.ci_low, retain.ci_high) == (1, 1)
    assert measure(RefusalRate(), RECORDS, STRICT, set_name="forget", seed=0).higher_is_better is None
    assert measure(RefusalRate(), RECORDS, STRICT, set_name="retain", seed=0).higher_is_better is False


def test_what_a_metric_of_an_earlier_version_said_is_refused_with_what_to_say_instead():
    with pytest.raises(PluginError, match=r"Old: higher_is_better\(set_name\) is now direction"):
        type("Old", (ExactMatch,), {"higher_is_better": lambda self, set_name: True})


def test_n_tells_of_records_without_what_the_metric_requires():
    forget = measure(APE(), RECORDS, STRICT, set_name="forget", seed=0)
    assert (forget.value, forget.n) == (pytest.approx(1 / 3), 3)
    retain = measure(APE(), RECORDS, STRICT, set_name="retain", seed=0)
    assert (retain.value, retain.n) == (None, 0)
    assert retain.reason == "no retain sample has paraphrased_predictions"
    assert measure(APE(), RECORDS, STRICT, set_name="nonprivate", seed=0).reason == "no samples"


def test_a_metric_from_outside_is_one_small_class():
    class Length(Metric):
        name = "length"

        def evaluate(self, record, scorer):
            return [float(len(record["prediction"]))]

    assert measure(Length(), RECORDS, STRICT, set_name="retain", seed=0).value == 5


def test_what_a_record_lacks_is_an_error_that_names_it_unless_the_metric_requires_it():
    class Sure(Metric):
        name = "sure"

        def evaluate(self, record, scorer):
            return [record["certainty"]]

    records = [RECORDS[0], RECORDS[1] | {"certainty": 0.25}]
    with pytest.raises(PluginError, match=r"'sure' reads record\['certainty'\], which a record of .* lacks"):
        measure(Sure(), records, STRICT, set_name="forget", seed=0)
    asking = type("Asking", (Sure,), {"requires": ("certainty",)})
    found = measure(asking(), records, STRICT, set_name="forget", seed=0)
    assert (found.value, found.questions, found.of_questions) == (0.25, 1, 2)


def test_an_empty_answer_is_an_answer():
    silent = RECORDS[0] | {"prediction": ""}
    assert RefusalRate().values(silent, STRICT) == [0.0]
    assert ExactMatch().values(silent, STRICT) == [0.0]
