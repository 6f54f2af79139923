"""What is said of the metrics that somebody ranks by."""

import pytest

from tests.metrics_check.made_up_models import check_of
from unlearnbench.metrics_check.trusted import RankedBy

ONE = RankedBy("m", "any", ("forget.exact_match",), ("f",), None)


def test_a_metric_that_passes_is_not_doubted() -> None:
    assert [*ONE.doubts([check_of((0.9, 0.8, 0.85, 0.1, 0.12, 0.1))])] == [
        "all 1 metrics tell models that know from models that do not (metrics-check)"
    ]


def test_one_that_fails_or_that_nobody_checked_is() -> None:
    fooled = check_of((0.9, 0.1, 0.85, 0.1, 0.8, 0.1))
    more = RankedBy("m", "any", ("forget.exact_match", "forget.ape"))
    failed, unchecked = more.doubts([fooled])
    assert failed.startswith("forget.exact_match ranks here and does not pass the check of metrics: tells who knows")
    assert unchecked == "forget.ape ranks here and does not pass the check of metrics: it was not checked"


@pytest.mark.parametrize(
    "other",
    [
        RankedBy("other", "any", ONE.metrics, ("f",)),
        RankedBy("m", "other", ONE.metrics, ("f",)),
        RankedBy("m", "any", ONE.metrics, ("other data",)),
        RankedBy("m", "any", ONE.metrics, ("f",), "0" * 64),
    ],
)
def test_a_check_of_something_else_counts_for_nothing(other: RankedBy) -> None:
    (said,) = other.doubts([check_of((0.9, 0.8, 0.85, 0.1, 0.12, 0.1))])
    assert "was not checked" in said
