"""What chance does to scores and losses, by itself: against loops over numbers, and boards of equal methods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from unlearnbench.analysis.score.conditions import keeps, lost
from unlearnbench.analysis.score.levels import leaks
from unlearnbench.analysis.score.verdict import ERASED
from unlearnbench.leaderboard.ranking import (
    LEVEL,
    Clusters,
    Leaked,
    Resampling,
    chances,
    half_width,
    ranks,
    surely_better,
)

shares = st.floats(0, 1, width=32)


@given(arrays(float, (3, 4), elements=shares), arrays(float, (3, 4), elements=shares))
def test_both_references_keep_utility_whatever_it_is(nothing, ideal):
    higher = [True, False, True, False]
    for reference in (nothing, ideal):
        assert keeps(lost(reference, nothing, ideal, higher).mean(axis=0), np.zeros(4), np.zeros(4)).all()


def test_utility_is_lost_below_the_worse_reference_in_the_metrics_own_direction():
    nothing, ideal = np.array([0.9, 0.1]), np.array([0.8, 0.3])
    losses = lost(np.array([[0.7, 0.5], [0.9, 0.0]]), nothing, ideal, [True, False])
    assert losses == pytest.approx(np.array([[0.1, 0.2], [0.0, 0.0]]))  # a gain makes up for no loss
    assert keeps(losses.mean(axis=0), np.array([0.05, 0.05])).tolist() == [True, False]


def test_a_loss_that_could_be_twice_as_large_as_tolerable_is_not_kept():
    loss, tolerance = np.array([0.04, 0.04]), np.array([0.05, 0.05])
    assert keeps(loss, tolerance, np.array([0.1, 0.11])).tolist() == [True, False]


def weighted(sums, counts, weights):
    return sum(s * w for s, w in zip(sums, weights, strict=True)) / sum(
        n * w for n, w in zip(counts, weights, strict=True)
    )


def test_the_bootstrap_is_the_loops():
    rng = np.random.default_rng(3)
    leaked = Leaked(rng.random((2, 2, 5)), rng.random((2, 2, 5)) + 1)
    sampling = Resampling.of(5, 2, resamples=40)
    expected = []
    for weights, picks in zip(sampling.weights, sampling.picks, strict=True):
        of = [
            min(1 - sum(leaked.own[r, m] * weights) / sum(leaked.nothing[r, m] * weights) for m in range(2))
            for r in range(2)
        ]
        expected.append(sum(of[pick] for pick in picks) / 2)
    assert sampling.scores(leaked) == pytest.approx(expected)


def test_the_bootstrap_of_losses_is_the_loops():
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 6, (2, 2, 5)).astype(float)
    parts = [Clusters(rng.random((2, 2, 5)), counts) for _ in range(3)]
    sampling, higher = Resampling.of(5, 2, resamples=20), [True, False]
    found = sampling.losses(*(part.resampled(sampling.weights) for part in parts), higher)
    for draw, (weights, picks) in enumerate(zip(sampling.weights, sampling.picks, strict=True)):
        for m in range(2):
            sign = 1 if higher[m] else -1
            of = []
            for r in range(2):
                own, nothing, ideal = (sign * weighted(p.sums[r, m], p.counts[r, m], weights) for p in parts)
                of.append(max(0.0, min(nothing, ideal) - own))
            assert found[draw, m] == pytest.approx(sum(of[pick] for pick in picks) / 2)


def test_half_a_width_is_the_wider_of_students_and_the_bootstraps():
    scores = [0.2, 0.5, 0.9]
    students = stats.t.ppf(0.975, 2) * np.std(scores, ddof=1) / np.sqrt(3)
    assert half_width(scores, np.full(100, 0.5)) == pytest.approx(students)
    wide = np.linspace(-3, 3, 1000)
    assert half_width(scores, wide) == pytest.approx(stats.norm.ppf(0.975) * wide.std())
    assert half_width([0.5], wide) is None


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=6))
def test_chances_are_students_paired_test_where_the_bootstrap_is_sure(pairs):
    one, other = np.array(pairs, dtype=float).T
    if (one - other).std() < 1e-6:
        return
    found = chances(np.array([one, other]), np.array([[0.0, 0.0], [0.0, 0.0]]))
    assert found[0, 1] == pytest.approx(stats.ttest_rel(one, other).pvalue, abs=1e-6)
    assert found[0, 1] == found[1, 0]


def test_seeds_that_agree_say_nothing_of_other_people():
    """Three equal differences of a hundredth: Student's test is sure, and the people are not."""
    rng = np.random.default_rng(0)
    scores = np.array([[0.50, 0.60, 0.55], [0.51, 0.61, 0.56]])
    draws = np.array([0.55, 0.56])[:, None] + 0.05 * rng.standard_normal((2, 1000))
    assert chances(scores, draws)[0, 1] > 0.5


def test_a_single_seed_tells_nothing():
    assert not surely_better(np.array([[0.9], [0.1]]), np.array([[0.9, 0.9], [0.1, 0.1]])).any()


def holm(chance):
    """As in a textbook."""
    left = sorted(((p, pair) for pair, p in chance.items()))
    found = set()
    for place, (p, pair) in enumerate(left):
        if p > LEVEL / (len(left) - place):
            break
        found.add(pair)
    return found


def test_who_surely_beats_whom_is_holms_over_all_pairs():
    rng = np.random.default_rng(1)
    for _ in range(30):
        scores = np.sort(rng.random(5) * ERASED)[:, None] + 0.01 * rng.standard_normal((5, 3)) - 0.02
        draws = scores.mean(axis=1)[:, None] + 0.02 * rng.standard_normal((5, 200))
        chance = chances(scores, draws)
        expected = holm({(i, j): chance[i, j] for i in range(5) for j in range(i + 1, 5)})
        found = surely_better(scores, draws)
        assert {(min(i, j), max(i, j)) for i, j in np.argwhere(found)} == expected
        for i, j in np.argwhere(found):
            assert scores[i].mean() > scores[j].mean()


def test_a_rank_counts_those_that_surely_lead_and_equals_share_it():
    beats = np.array([[False, False, True], [False, False, True], [False, False, False]])
    assert ranks(beats) == [1, 1, 3]


def test_from_erased_on_nobody_is_better():
    scores = np.array([[1.0, 1.0, 1.0], [0.93, 0.94, 0.92], [0.1, 0.1, 0.1]])
    draws = scores.mean(axis=1)[:, None] + 1e-4 * np.random.default_rng(0).standard_normal((3, 100))
    assert surely_better(scores, draws).tolist() == [[False, False, True], [False, False, True], [False] * 3]


def board_of_equals(rng, methods=8, seeds=3, people=8, questions=10):
    """Scores of methods that each leave a question alone with the same chance, through leaks and the bootstrap.

    Seeds have people of their own, and each run its luck; what is known is known wholly, as text is.
    """
    known = rng.random((methods, seeds, people * questions)) < np.clip(
        0.35 + 0.12 * rng.standard_normal((methods, seeds, 1)) + 0.1 * rng.standard_normal((1, seeds, 1)), 0, 1
    )
    ideal = (rng.random((seeds, people * questions)) < 0.15).astype(float)
    sums = np.zeros((2, methods, seeds, 1, people * seeds))
    for s in range(seeds):
        mine = slice(s * people, (s + 1) * people)
        for m in range(methods):
            sums[0, m, s, 0, mine] = leaks(known[m, s].astype(float), ideal[s]).reshape(people, questions).sum(axis=1)
            sums[1, m, s, 0, mine] = leaks(np.ones(people * questions), ideal[s]).reshape(people, questions).sum(axis=1)
    return [Leaked(own, nothing) for own, nothing in zip(*sums, strict=True)]


def test_eight_equal_methods_are_told_apart_in_fewer_than_one_board_in_twenty():
    rng, wrong, boards = np.random.default_rng(0), 0, 300
    sampling, plain = Resampling.of(24, 3, resamples=200), np.ones((1, 24))
    for _ in range(boards):
        leaked = board_of_equals(rng)
        scores = np.array([each.shares(plain)[0].min(axis=-1) for each in leaked])
        wrong += bool(surely_better(scores, np.array([sampling.scores(each) for each in leaked])).any())
    assert wrong / boards < 0.05


def test_a_large_difference_is_seen_among_eight():
    rng = np.random.default_rng(2)
    sampling, plain = Resampling.of(24, 3, resamples=200), np.ones((1, 24))
    leaked = board_of_equals(rng)
    leaked[0] = Leaked(0 * leaked[0].own, leaked[0].nothing)
    leaked[1] = Leaked(leaked[1].nothing, leaked[1].nothing)
    scores = np.array([each.shares(plain)[0].min(axis=-1) for each in leaked])
    beats = surely_better(scores, np.array([sampling.scores(each) for each in leaked]))
    assert beats[0, 1]
    assert not beats[1].any()


def test_who_leaks_half_shares_no_rank_with_those_who_surely_erase_however_many_there_are():
    """Seeds differ so much that Holm's correction over all pairs calls nobody better."""
    rng = np.random.default_rng(0)
    scores = np.array([[0.99, 0.98, 1.0]] * 2 + [[0.37, 0.44, 0.36]] + [[0.80, 0.86, 0.97]] * 9)
    draws = scores.mean(axis=1)[:, None] + 0.01 * rng.standard_normal((12, 200))
    beats = surely_better(scores, draws)
    assert [*map(tuple, np.argwhere(beats))] == [(0, 2), (1, 2)]
    assert ranks(beats) == [1, 1, 3] + [1] * 9


def test_of_equals_on_the_brink_of_erasing_none_is_better_in_more_than_one_board_in_twenty():
    rng, boards = np.random.default_rng(5), 300
    wrong = 0
    for _ in range(boards):
        scores = ERASED + 0.03 * rng.standard_normal((8, 3))
        draws = scores[np.arange(8)[:, None], rng.integers(3, size=(8, 100))]  # no wider than the seeds
        wrong += bool(surely_better(scores, draws / np.sqrt(3)).any())
    assert wrong / boards < 0.05
