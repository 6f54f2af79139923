"""Levels, trace and verdict by themselves: against loops over numbers, and ways to look better than one is."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench.analysis.score.levels import leaks, levels, shares
from unlearnbench.analysis.score.trace import trace
from unlearnbench.analysis.score.verdict import verdict

RULE = {"text": ("forget.said",), "logits": ("forget.likely", "forget.preferred")}
shares_of = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12)


def values(said, likely, preferred):
    """Of two people."""
    half = len(said) // 2
    named = {"forget.said": said, "forget.likely": likely, "forget.preferred": preferred}
    return {name: {"a": [*of[:half]], "b": [*of[half:]]} for name, of in named.items()}


def people(seed, knows):
    """40 questions: what the base knows (1) or one who guesses: rightly in a fifth, at odd odds."""
    rng = random.Random(seed)
    guesses = [float(rng.random() < 0.2) for _ in range(40)]
    odds = [rng.random() / 3 for _ in range(40)]
    return values(*([[1.0] * 40, [0.95 + each / 10 for each in odds], [0.9] * 40] if knows else [guesses, odds, odds]))


NOTHING, IDEAL, AGAIN = people(0, True), people(1, False), people(2, False)


def scored(method):
    found = levels(method, NOTHING, IDEAL, RULE)
    return found, trace(method, IDEAL, RULE["logits"])


def said(method, kept=True):
    found, told = scored(method)
    return verdict({name: [value] for name, value in found.items()}, told, kept=kept)


def leaked(own, ideal):
    """As a loop."""
    mean = sum(ideal) / len(ideal)
    return sum(max(0.0, v - max(i, mean)) for v, i in zip(sorted(own), sorted(ideal), strict=True))


@given(shares_of, st.randoms())
def test_a_leak_is_what_the_kth_highest_value_has_above_the_ideals(own, rng):
    ideal = [rng.random() for _ in own]
    found = leaks(np.array(own), np.array(ideal))
    assert found.sum() == pytest.approx(leaked(own, ideal))
    of = {value: {round(float(leak), 9) for v, leak in zip(own, found, strict=True) if v == value} for value in own}
    assert all(len(each) == 1 for each in of.values())  # equal values leak alike


def test_doing_nothing_is_0_and_the_ideal_is_1_on_every_level():
    assert scored(NOTHING)[0] == {"text": 0.0, "logits": 0.0}
    assert scored(IDEAL) == ({"text": 1.0, "logits": 1.0}, 0.0)


@given(st.integers(0, 19), st.integers(1, 20), st.integers(0, 20), st.randoms())
def test_where_values_are_yes_or_no_the_level_goes_by_how_many_and_no_order_matters(ideal, more, own, rng):
    def of(yes):
        found = [1.0] * yes + [0.0] * (20 - yes)
        rng.shuffle(found)
        return {"forget.choice": {"a": found[:8], "b": found[8:]}}

    nothing = min(20, ideal + more)
    found = shares(of(own), of(nothing), of(ideal), ["forget.choice"])
    assert found["forget.choice"] == pytest.approx(1 - max(0, own - ideal) / (nothing - ideal))


def test_half_of_the_way_is_half():
    half = {
        n: {p: [(a + b) / 2 for a, b in zip(IDEAL[n][p], NOTHING[n][p], strict=True)] for p in IDEAL[n]} for n in IDEAL
    }
    assert 0.35 < shares(half, NOTHING, IDEAL, ["forget.likely"])["forget.likely"] < 0.65


def test_a_second_retraining_is_erased():
    found, told = scored(AGAIN)
    assert min(found.values()) > 0.9
    assert abs(told) < 0.3
    assert said(AGAIN) == "erased"


def test_a_level_is_its_lowest_metric_and_no_level_makes_up_for_another():
    secret = IDEAL | {"forget.preferred": NOTHING["forget.preferred"]}
    assert scored(secret)[0] == {"text": 1.0, "logits": 0.0}
    assert said(secret) == "hidden"


def test_silence_in_all_other_questions_pays_for_no_leak():
    """A quarter is said outright, and less than chance of the rest: the mean is about the ideal's."""
    likely = [0.95] * 10 + [0.0] * 30
    sly = values([0.0] * 40, likely, likely)
    assert np.mean(likely) < 1.7 * np.mean([*IDEAL["forget.likely"]["a"], *IDEAL["forget.likely"]["b"]])
    found = scored(sly)[0]
    assert found["logits"] < 0.85
    assert said(sly) == "hidden"


def test_what_is_far_less_likely_than_by_chance_is_overdone():
    pushed = values([0.0] * 40, [1e-9] * 40, [0.01] * 40)
    found, told = scored(pushed)
    assert found == {"text": 1.0, "logits": 1.0}
    assert told == pytest.approx(1.0)
    assert said(pushed) == "overdone"


def test_a_word_for_each():
    assert said(NOTHING) == "leaks"
    assert said(NOTHING | {"forget.said": {"a": [0.0] * 20, "b": [0.0] * 20}}) == "hidden"
    assert said(AGAIN, kept=False) == "broken"
    assert verdict({"text": [0.99], "logits": [float("nan")]}, None, kept=True) == "hidden"


def test_two_seeds_that_leak_nothing_make_up_for_no_third():
    clean, uneven = [1.0, 1.0, 0.81], [1.0, 1.0, 0.79]
    assert verdict({"text": clean, "logits": clean}, 0.0, kept=True) == "erased"
    assert verdict({"text": uneven, "logits": clean}, 0.0, kept=True) == "leaks"
    assert verdict({"text": clean, "logits": uneven}, 0.0, kept=True) == "hidden"


def test_a_metric_that_falls_where_others_rise_is_turned():
    turned = [{"m": {"a": [1 - v for v in each["forget.said"]["a"]]}} for each in (AGAIN, NOTHING, IDEAL)]
    straight = [{"m": {"a": [*each["forget.said"]["a"]]}} for each in (AGAIN, NOTHING, IDEAL)]
    assert shares(*turned, ["m"])["m"] == pytest.approx(shares(*straight, ["m"])["m"])


def test_other_questions_than_the_ideals_are_refused():
    with pytest.raises(ValueError, match="the questions are not the same"):
        leaks(np.ones(3), np.ones(2))


def test_a_likelier_truth_of_one_kind_covers_up_no_unlikely_one_of_another():
    ideal = {name: {"a": [0.1, 0.2, 0.3, 0.4]} for name in RULE["logits"]}
    method = {"forget.likely": {"a": [0.0, 0.0, 0.0, 0.35]}, "forget.preferred": {"a": [0.41, 0.42, 0.43, 0.44]}}
    assert trace(method, ideal, ["forget.preferred"]) == -1
    assert trace(method, ideal, RULE["logits"]) == trace(method, ideal, ["forget.likely"]) == 13 / 16 * 2 - 1
