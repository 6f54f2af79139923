"""What metrics are told apart by, against what other code computes of the same numbers."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from tests.metrics_check.made_up_models import EACH, PEOPLE, SEEDS, models
from unlearnbench.metrics_check.figures import Valued, d_prime, figures
from unlearnbench.metrics_check.kinds import KINDS


def means(of: Sequence[Valued], knows: bool) -> list[float]:
    return [float(np.mean([*each.values.values()])) for each in of if each.knows is knows]


@pytest.mark.parametrize("known", [(0.9, 0.7, 0.8, 0.1, 0.2, 0.1), (0.5, 0.3, 0.4, 0.35, 0.45, 0.3), (0.4,) * 6])
def test_faithfulness_is_the_area_that_ranks_give(known: Sequence[float]) -> None:
    pool = models(known)
    found = figures("forget.exact_match", pool)
    own, others = means(pool, True), means(pool, False)
    assert found.faithfulness == pytest.approx(mannwhitneyu(own, others).statistic / (len(own) * len(others)))
    assert found.faithfulness_low <= found.faithfulness <= found.faithfulness_high


def test_its_interval_is_that_of_people_and_models_drawn_anew() -> None:
    """As a plain loop draws them: the ends agree within what chance does to a thousand draws."""
    pool = models((0.5, 0.42, 0.46, 0.4, 0.45, 0.38), noise=0.2)
    found, rng, drawn = figures("forget.exact_match", pool), np.random.default_rng(1), []
    values = np.array([[*each.values.values()] for each in pool])
    knows = np.flatnonzero([each.knows for each in pool])
    others = np.flatnonzero([not each.knows for each in pool])
    for _ in range(2000):
        of = values[:, rng.integers(PEOPLE, size=PEOPLE)].mean(axis=(1, 2))
        one, two = of[rng.choice(knows, len(knows))], of[rng.choice(others, len(others))]
        drawn.append(np.mean([(a > b) + (a == b) / 2 for a, b in product(one, two)]))
    ends = np.quantile(drawn, [0.025, 0.975])
    assert (found.faithfulness_low, found.faithfulness_high) == pytest.approx(tuple(ends), abs=0.06)


def test_references_are_so_many_deviations_of_seeds_apart() -> None:
    pool = models((0.9, 0.7, 0.8, 0.1, 0.2, 0.1), shift=0.02)
    found = figures("forget.exact_match", pool)
    by_kind = {kind.name: [m for m in pool if m.kind == kind.name] for kind in KINDS}
    of = {name: [float(np.mean([*each.values.values()])) for each in own] for name, own in by_kind.items()}
    spread = np.sqrt(np.mean([(one - two) ** 2 / 2 for one, two in of.values()]))
    apart = np.mean(of["base"]) - np.mean(of["retrained"])
    assert found.seed_sd == pytest.approx(spread)
    assert found.d_prime == pytest.approx(apart / spread)
    assert (found.nothing, found.ideal) == pytest.approx((np.mean(of["base"]), np.mean(of["retrained"])))


def test_seeds_that_move_nothing_leave_no_number_of_deviations() -> None:
    assert d_prime(0.5, 0.0) is None
    assert d_prime(0.0, 0.0) == 0.0
    assert d_prime(-0.5, 0.25) == -2.0


def whole(values: Sequence[Sequence[float]]) -> list[Valued]:
    """A pool whose models of a kind and seed answer the two questions of one person so: base and retrained by seed."""
    found = []
    for kind in KINDS:
        for seed in SEEDS:
            own = values[seed] if kind.knows else values[2 + seed]
            found.append(Valued(kind.name, kind.knows, kind.clean, seed, {"p": [*own]}))
    return found


def test_two_retrained_models_are_apart_by_what_one_leaks_on_the_others_scale() -> None:
    """Retrained once with [0, 0], once with [.2, 0]; the base says all: the second leaks .2 and 0 of 1 and 1."""
    found = figures("forget.exact_match", whole([[1, 1], [1, 1], [0, 0], [0.2, 0]]))
    assert found.floor == pytest.approx(0.2 / 2)
    assert found.at_nothing == (0.0, 0.0)
    assert found.at_ideal == (1.0, 1.0)


def test_lower_values_of_a_metric_may_tell_more() -> None:
    """Of a metric that nobody registered the references say it."""
    pool = models((0.1, 0.2, 0.15, 0.8, 0.7, 0.9))
    found = figures("forget.of_nobody", pool)
    assert found.higher_knows is False
    assert found.faithfulness == 1.0
    assert found.d_prime is not None
    assert found.d_prime > 3
    declared = figures("forget.exact_match", pool)
    assert declared.faithfulness == 0.0
    assert declared.floor is None


def test_what_is_no_number_is_not_measured() -> None:
    pool = models((0.9,) * 6)
    broken = Valued(pool[0].kind, True, True, 0, pool[0].values | {"p0": [float("nan")] * EACH})
    with pytest.raises(ValueError, match="not finite"):
        figures("forget.exact_match", [broken, *pool[1:]])
