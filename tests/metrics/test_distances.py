"""Distances to the retrained model against plain counting and against scipy's own test."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, mannwhitneyu

from unlearnbench.metrics.distances import auc, forget_quality, gap, told_apart

VALUES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


@given(VALUES, VALUES)
def test_auc_counts_pairs(own, retrained):
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(own, retrained)]
    assert auc(own, retrained) == pytest.approx(np.mean(won))
    statistic = mannwhitneyu(own, retrained).statistic
    assert auc(own, retrained) == pytest.approx(statistic / len(own) / len(retrained))
    assert told_apart(own, retrained) == pytest.approx(2 * abs(np.mean(won) - 0.5))
    assert told_apart(own, retrained) == pytest.approx(told_apart(retrained, own))


@given(VALUES, VALUES)
def test_the_gap_is_that_of_the_means(own, retrained):
    assert gap(own, retrained) == pytest.approx(np.mean(own) - np.mean(retrained))


@given(VALUES, VALUES)
def test_forget_quality_is_the_two_sample_ks_test_and_goes_by_ranks(own, retrained):
    found, expected = forget_quality(own, retrained), ks_2samp(own, retrained, alternative="two-sided")
    assert (found.statistic, found.p_value) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert forget_quality([*map(math.exp, own)], [*map(math.exp, retrained)]) == found


def test_the_same_model_cannot_be_told_from_itself_and_another_is_told_at_once():
    same, above = [0.1, 0.4, 0.2, 0.9], [7.0, 8.0, math.inf]
    assert (gap(same, same), auc(same, same), told_apart(same, same)) == (0, 0.5, 0)
    assert forget_quality(same, same).p_value == 1
    assert (auc(above, same), auc(same, above)) == (1, 0)
    assert told_apart(above, same) == told_apart(same, above) == 1
    assert forget_quality(above, same).statistic == 1


def test_figures_of_fiubench_a_distance_of_30_in_100_over_400_questions():
    # FIUBench tabulates log p: of 400 questions against 400, this far apart in their distribution functions.
    retrained = [*range(400)]
    own = [each + 120 for each in retrained]
    found = forget_quality(own, retrained)
    assert found.statistic == pytest.approx(0.30)
    assert found.p_value == pytest.approx(1.5e-16, rel=0.1)


@pytest.mark.parametrize("wrong", [[], [math.nan, 1.0]])
@pytest.mark.parametrize("distance", [gap, auc, told_apart, forget_quality])
def test_no_values_no_distance(distance, wrong):
    assert distance(wrong, [1.0]) is None
    assert distance([1.0], wrong) is None
