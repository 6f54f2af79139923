"""On how many of a set's questions a number rests, and the warning where they are few."""

from typing import Any

import pytest

from unlearnbench.metrics import measure
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.statistics import MetricValue, over_questions, thin
from unlearnbench.metrics.text import APE, ExactMatch


def record(person: str, paraphrases: int, keywords: int = 1) -> Any:
    return {
        "set": "forget", "cluster": person, "answer": "lupus", "keywords": ["lupus"] * keywords,
        "prediction": "lupus", "paraphrased_predictions": ["lupus"] * paraphrases,
    }  # fmt: skip


def test_questions_are_counted_and_not_values() -> None:
    records = [record("a", 3), record("a", 0), record("b", 2), record("b", 0), record("b", 0)]
    found = measure(APE(), records, STRICT, set_name="forget", seed=0)
    assert (found.n, found.questions, found.of_questions) == (5, 2, 5)
    found = measure(ExactMatch(), [*records, record("c", 0, keywords=0)], STRICT, set_name="forget", seed=0)
    assert (found.n, found.questions, found.of_questions) == (5, 5, 6)
    empty = measure(APE(), records, STRICT, set_name="retain", seed=0)
    assert (empty.questions, empty.of_questions) == (0, 0)


def test_a_value_that_is_undefined_in_part_still_is_a_questions() -> None:
    found = over_questions([("a", [None, 1.0]), ("b", [None])], seed=0, higher_is_better=True)
    assert (found.value, found.n, found.questions, found.of_questions) == (1.0, 1, 1, 2)


@pytest.mark.parametrize(
    ("questions", "of", "said"), [(209, 500, True), (250, 500, False), (0, 0, False), (0, 1, True)]
)
def test_fewer_than_half_are_said(questions: int, of: int, said: bool) -> None:
    value = MetricValue(0.5, None, None, 3 * questions, None, questions=questions, of_questions=of)
    line = thin({"forget.ape": value, "mme.total": MetricValue(1.0, None, None, 2, None)})
    assert (line is not None) is said
    if line:
        assert f"forget.ape ({questions} of {of})" in line
