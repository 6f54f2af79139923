"""The formula, by itself: against loops over numbers, and what holds of any numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from unlearnbench.leaderboard.ranking import Clusters, Resampling, differ, forgotten, keeps, leads, lost, ranks

shares = st.floats(0, 1, width=32)


def test_the_score_is_the_mean_share_of_the_way_and_no_more_than_all_of_it():
    value, nothing, ideal = np.array([0.5, 0.0, 1.0]), np.array([1.0, 0.9, 0.2]), np.array([0.0, 0.3, 0.6])
    # halfway, past the ideal (counts as 1), past it where higher is better
    assert forgotten(value, nothing, ideal) == pytest.approx((0.5 + 1 + 1) / 3)
    assert forgotten(np.array([1.1]), np.array([1.0]), np.array([0.5])) == pytest.approx(-0.2)


@given(arrays(float, (3, 2), elements=shares), arrays(float, (3, 2), elements=shares))
def test_doing_nothing_is_0_and_the_ideal_is_1_whatever_they_know(nothing, gap):
    ideal = nothing - (gap + 0.1)
    assert (forgotten(nothing, nothing, ideal) == 0).all()
    assert (forgotten(ideal, nothing, ideal) == 1).all()


@given(arrays(float, (3, 4), elements=shares), arrays(float, (3, 4), elements=shares))
def test_both_references_keep_utility_whatever_it_is(nothing, ideal):
    higher = [True, False, True, False]
    for reference in (nothing, ideal):
        assert keeps(lost(reference, nothing, ideal, higher), np.zeros(4)).all()


def test_utility_is_lost_below_the_worse_reference_in_the_metrics_own_direction():
    nothing, ideal = np.array([0.9, 0.1]), np.array([0.8, 0.3])
    losses = lost(np.array([[0.7, 0.5], [0.9, 0.0]]), nothing, ideal, [True, False])
    assert losses == pytest.approx(np.array([[0.1, 0.2], [0.0, 0.0]]))  # a gain makes up for no loss
    assert keeps(losses, np.array([0.05, 0.05])).tolist() == [True, False]


def scores_one_by_one(value, nothing, ideal, sampling):
    """The bootstrap as loops: people drawn with replacement, then replicates."""
    found = []
    for weights, picks in zip(sampling.weights, sampling.picks, strict=True):
        of_replicates = []
        for r in range(value.sums.shape[0]):
            shares = []
            for m in range(value.sums.shape[1]):
                means = []
                for part in (value, nothing, ideal):
                    drawn = [
                        (s, n)
                        for s, n, w in zip(part.sums[r, m], part.counts[r, m], weights, strict=True)
                        for _ in range(int(w))
                    ]
                    means.append(sum(s for s, _ in drawn) / sum(n for _, n in drawn))
                shares.append(min(1.0, (means[1] - means[0]) / (means[1] - means[2])))
            of_replicates.append(sum(shares) / len(shares))
        chosen = [of_replicates[int(pick * len(of_replicates))] for pick in picks[: len(of_replicates)]]
        found.append(sum(chosen) / len(chosen))
    return found


def test_the_bootstrap_is_the_loops():
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 6, (2, 2, 5)).astype(float)
    value, nothing, ideal = (Clusters(rng.random((2, 2, 5)) + low, counts) for low in (1.0, 3.0, 0.0))
    sampling = Resampling.of(5, 3, resamples=40)
    assert (sampling.weights.sum(axis=1) == 5).all()
    assert sampling.scores(value, nothing, ideal) == pytest.approx(scores_one_by_one(value, nothing, ideal, sampling))


def test_a_rank_counts_those_that_surely_lead_and_equals_share_it():
    ahead, level, behind = np.full(1000, 0.9), np.full(1000, 0.9), np.full(1000, 0.5)
    ahead[:24] = 0.0  # leads in 97.6%
    beats = leads([ahead, level, behind])
    assert beats.tolist() == [[False, False, True], [False, False, True], [False, False, False]]
    assert ranks(beats) == [1, 1, 3]
    unsure = ahead.copy()
    unsure[:26] = 0.0  # 97.4%
    assert ranks(leads([unsure, behind])) == [1, 1]


def by_seed(*scores, first=0):
    return {(first + place, first + place): score for place, score in enumerate(scores)}


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=6))
def test_differences_over_common_seeds_are_students_paired_test(pairs):
    one, other = zip(*pairs, strict=True)
    gaps = np.subtract(one, other)
    if gaps.std() < 1e-6:
        expected = abs(gaps.mean()) > 1e-6
    else:
        test = stats.ttest_rel(one, other)
        if abs(test.pvalue - 0.05) < 1e-6:
            return
        expected = test.pvalue < 0.05
    found = differ([by_seed(*one), by_seed(*other)])
    assert found.tolist() == [[False, expected], [expected, False]]


@given(st.lists(shares, min_size=2, max_size=6), st.lists(shares, min_size=2, max_size=6))
def test_differences_over_other_seeds_are_welchs_test(one, other):
    if np.std(one) < 1e-6 or np.std(other) < 1e-6:
        return
    test = stats.ttest_ind(one, other, equal_var=False)
    if abs(test.pvalue - 0.05) > 1e-6:
        assert differ([by_seed(*one), by_seed(*other, first=10)])[0, 1] == (test.pvalue < 0.05)


def test_a_single_seed_tells_nothing():
    assert not differ([by_seed(0.9), by_seed(0.1, first=5)]).any()
    assert not differ([by_seed(0.9), by_seed(0.1)]).any()


def test_equal_methods_are_rarely_called_different():
    """Two methods of the same skill: people and seeds vary, the truth does not (5% is the promise)."""
    rng, wrong, boards = np.random.default_rng(0), 0, 400
    nothing, ideal = (Clusters(np.full((3, 1, 40), value), np.ones((3, 1, 40))) for value in (1.0, 0.0))
    sampling = Resampling.of(40, 3, resamples=200)
    for _ in range(boards):
        known = 0.5 + 0.1 * rng.standard_normal((2, 3, 1, 1)) + 0.3 * rng.standard_normal((2, 3, 1, 40))
        methods = [Clusters(each, np.ones((3, 1, 40))) for each in known]
        scores = [by_seed(*(1 - each.sums.mean(axis=(1, 2)))) for each in methods]
        beats = leads([sampling.scores(each, nothing, ideal) for each in methods]) & differ(scores)
        wrong += bool(beats.any())
    assert wrong / boards < 0.07
