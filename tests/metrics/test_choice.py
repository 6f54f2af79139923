"""Multiple choice by likelihood against plain arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench.contracts.metric import record_of
from unlearnbench.metrics import measure
from unlearnbench.metrics.choice import Choice, ChoiceBySum, chance, likeliest
from unlearnbench.metrics.scorers import STRICT


def record(options, right, cluster="a", set_name="retain"):
    return record_of({"option_logprobs": options, "right_option": right}, set_name, cluster)


@given(st.lists(st.lists(st.floats(-40, 0), min_size=1, max_size=6), min_size=2, max_size=5), st.data())
def test_the_right_option_is_right_where_no_other_is_likelier(options, data):
    right = data.draw(st.integers(0, len(options) - 1))
    for metric, score in ((Choice(), lambda each: sum(each) / len(each)), (ChoiceBySum(), sum)):
        best = max(map(score, options))
        tied = [place for place, each in enumerate(options) if score(each) == best]
        wanted = 1 / len(tied) if right in tied else 0
        assert metric.values(record(options, right), STRICT) == [wanted]


def test_length_decides_between_the_two_ways():
    options = [[-1.0], [-0.5, -0.6]]
    assert (likeliest(options, "sum"), likeliest(options, "mean")) == ([0], [1])


def test_what_is_no_number_chooses_nothing_and_an_option_without_a_token_is_refused():
    assert Choice().values(record([[-1.0], [math.nan]], 0), STRICT) == [0.0]
    with pytest.raises(ValueError, match="no token"):
        likeliest([[-1.0], []])


def test_accuracy_resamples_clusters_and_chance_is_that_of_the_options():
    records = [record([[-1.0], [-2.0]], right, cluster) for right, cluster in ((0, "a"), (0, "a"), (1, "b"))]
    records.append(record([[-1.0], [-2.0], [-3.0], [-4.0]], 0, "c"))
    found = measure(Choice(), records, STRICT, set_name="retain", seed=0)
    assert (found.value, found.n, found.higher_is_better) == (0.75, 4, True)
    assert found.ci_low < 0.75 < found.ci_high
    assert chance(records).value == pytest.approx((3 / 2 + 1 / 4) / 4)
    assert chance(records).higher_is_better is None
    lacking = measure(Choice(), [record_of({}, "forget", "a")], STRICT, set_name="forget", seed=0)
    assert lacking.reason == "no forget sample has option_logprobs and right_option"
