"""Robustness under attack and agreement of rankings, against sums done by hand and a plain count of pairs."""

from collections.abc import Mapping
from itertools import combinations
from math import sqrt

import pytest

from unlearnbench.metrics_check.rankings import tau
from unlearnbench.metrics_check.result import Robustness
from unlearnbench.metrics_check.stored import Moved


@pytest.mark.parametrize(
    ("moved", "figures"),
    [
        # before, after, retrained before, retrained after: rise, rise symmetric, stay, stay symmetric
        ((0.2, 0.2, 0.1, 0.1), (1, 1, 1, 1)),
        ((0.2, 0.4, 0.1, 0.3), (1, 1, 0.5, 1 - 0.2 / 0.6)),
        ((0.2, 0.6, 0.1, 0.3), (0.5, 1 - 0.2 / 0.6, 1 / 3, 1 - 0.4 / 0.8)),
        ((0.2, 0.6, 0.1, 0.1), (0, 0, 1 / 3, 0.5)),
        ((0.4, 0.2, 0.1, 0.1), (1, 0, 1, 1 - 0.2 / 0.6)),
        ((0.0, 0.0, 0.0, 0.0), (1, 1, 1, 1)),
        ((0.0, 0.3, 0.2, 0.1), (0, 0, 0, 0)),
    ],
)
def test_robustness_as_it_is_defined(moved: tuple[float, ...], figures: tuple[float, ...]) -> None:
    rise, rise_symmetric, stay, stay_symmetric = figures
    found = Moved(*moved).robustness
    expected = Robustness(rise=rise, rise_symmetric=rise_symmetric, stay=stay, stay_symmetric=stay_symmetric)
    assert found.model_dump() == pytest.approx(expected.model_dump())


def counted(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Kendall's tau-b by its definition: pairs in the same order less pairs in the other, ties aside."""
    agree = apart = tied = tied_too = 0
    for a, b in combinations([name for name in one if name in other], 2):
        first, second = one[a] - one[b], other[a] - other[b]
        agree += first * second > 0
        apart += first * second < 0
        tied += first == 0 and second != 0
        tied_too += second == 0 and first != 0
    return (agree - apart) / sqrt((agree + apart + tied) * (agree + apart + tied_too))


@pytest.mark.parametrize(
    "other",
    [
        {"a": 0.9, "b": 0.5, "c": 0.1, "d": 0.4, "lone": 1.0},
        {"a": 0.1, "b": 0.5, "c": 0.9, "d": 0.7},
        {"a": 0.5, "b": 0.5, "c": 0.1, "d": 0.7},
    ],
)
def test_rankings_agree_by_pairs_of_methods(other: dict[str, float]) -> None:
    one = {"a": 1.0, "b": 0.6, "c": 0.2, "d": 0.6, "e": 0.0}
    found = tau("one", one, "other", other)
    assert (found.of, found.against, found.methods) == ("one", "other", 4)
    assert found.tau == pytest.approx(counted(one, other))


def test_there_is_no_agreement_with_what_has_no_order() -> None:
    assert tau("one", {"a": 1.0}, "other", {"a": 0.5}).tau is None
    assert tau("one", {"a": 1.0, "b": 0.5}, "other", {"a": 0.5, "b": 0.5}).tau is None
