"""Means and bootstrap intervals, against scipy's bootstrap."""

import json
import math
import random
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unlearnbench.metrics.statistics import summarise


def of(values, clusters=None, seed=0, **options):
    return summarise(values, clusters=clusters, seed=seed, higher_is_better=True, **options)


def clustered_sample(seed=3, clusters=60):
    """Values that are alike within a cluster; clusters of different sizes."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"c{i}" for i in range(clusters)], rng.integers(5, 25, clusters))
    level = dict(zip(np.unique(names), rng.random(clusters), strict=True))
    return [float(0.8 * level[n] + 0.2 * rng.random()) for n in names], [str(n) for n in names]


@pytest.mark.parametrize("size", [30, 400])
def test_interval_agrees_with_scipy(size):
    values = np.random.default_rng(1).beta(2, 5, size).tolist()
    got = of(values, resamples=4000)
    scipy = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(5))
    width = scipy.confidence_interval.high - scipy.confidence_interval.low
    assert got.value == pytest.approx(np.mean(values))
    assert got.ci_low == pytest.approx(scipy.confidence_interval.low, abs=width * 0.06)
    assert got.ci_high == pytest.approx(scipy.confidence_interval.high, abs=width * 0.06)


def test_clustered_interval_agrees_with_scipy_and_is_wider():
    values, clusters = clustered_sample()
    groups = {name: [v for v, c in zip(values, clusters, strict=True) if c == name] for name in set(clusters)}
    sums, sizes = [sum(g) for g in groups.values()], [len(g) for g in groups.values()]
    scipy = stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    got = of(values, clusters, resamples=4000)
    assert got.ci_low == pytest.approx(scipy.low, abs=(scipy.high - scipy.low) * 0.06)
    assert got.ci_high == pytest.approx(scipy.high, abs=(scipy.high - scipy.low) * 0.06)
    alone = of(values)
    assert got.value == alone.value
    assert got.ci_high - got.ci_low > 2 * (alone.ci_high - alone.ci_low)


def test_a_seed_decides_the_interval_and_the_order_does_not():
    values, clusters = clustered_sample()
    shuffled = list(zip(values, clusters, strict=True))
    random.Random(0).shuffle(shuffled)
    assert of(values, clusters, seed=1) == of(values, clusters, seed=1)
    assert of(values, clusters, seed=1) == of([v for v, _ in shuffled], [c for _, c in shuffled], seed=1)
    assert of(values, seed=1) == of([v for v, _ in shuffled], seed=1)
    assert of(values, clusters, seed=1).ci_low != of(values, clusters, seed=2).ci_low


def test_undefined_values_are_left_out_and_counted():
    got = of([1.0, None, 0.0, None, 1.0])
    assert (got.value, got.n, got.reason) == (pytest.approx(2 / 3), 3, None)


@pytest.mark.parametrize(
    ("values", "reason", "n"),
    [([], "no samples", 0), ([None, None], "undefined for all 2 samples", 0), ([1.0, math.nan], "1 of 2", 2)],
)
def test_no_value_has_a_reason(values, reason, n):
    got = of(values)
    assert (got.value, got.ci_low, got.ci_high, got.n) == (None, None, None, n)
    assert reason in got.reason


def test_one_cluster_has_a_value_and_no_interval():
    got = of([1.0, 0.0], ["a", "a"])
    assert (got.value, got.ci_low, got.ci_high, got.n) == (0.5, None, None, 2)
    assert got.reason


@settings(max_examples=50)
@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.sampled_from("abcd")), max_size=20), st.randoms())
def test_any_values_make_one_json_safe_summary(marked, rng):
    values, clusters = [v for v, _ in marked], [c for _, c in marked]
    got = of(values, clusters, resamples=50)
    rng.shuffle(marked)
    assert got == of([v for v, _ in marked], [c for _, c in marked], resamples=50)
    assert json.loads(json.dumps(asdict(got), allow_nan=False)) == asdict(got)
    assert got.value is not None or got.reason
    if got.ci_low is not None:
        assert 0 <= got.ci_low <= got.value <= got.ci_high <= 1
