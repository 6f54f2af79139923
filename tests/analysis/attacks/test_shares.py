"""Shares between attacked references: the anchors hold by construction, and who cannot be told apart gets no number."""

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unlearnbench.analysis.attacks.shares import Three, interval, share
from unlearnbench.analysis.attacks.verdict import attack_verdict, gravest
from unlearnbench.contracts.scored import LEAST_GAP
from unlearnbench.errors import DataError

PEOPLE = ("ann", "bob", "cy")


def by_person(values: list[float]) -> dict[str, dict[str, list[float]]]:
    """Two questions a person."""
    return {"said": {name: values[2 * at : 2 * at + 2] for at, name in enumerate(PEOPLE)}}


VALUES = st.lists(st.floats(0, 1), min_size=6, max_size=6).map(by_person)


def share_of(own: Any, nothing: Any, ideal: Any, two_sided: bool = False) -> Any:
    return share(Three(own, nothing, ideal), ("said",), two_sided=two_sided, seed=0)


def gap_of(nothing: list[float], ideal: list[float], two_sided: bool) -> float:
    """How far the references are apart: by their means, and by what the base has above the other rank by rank."""
    side = 1 if np.mean(nothing) >= np.mean(ideal) else -1
    apart = side * float(np.mean(nothing) - np.mean(ideal))
    if two_sided:
        return apart
    own, other = sorted((side * each for each in nothing), reverse=True), [side * each for each in ideal]
    bars = [max(each, float(np.mean(other))) for each in sorted(other, reverse=True)]
    return min(apart, sum(max(0.0, value - bar) for value, bar in zip(own, bars, strict=True)) / len(own))


@given(VALUES, VALUES, st.booleans())
@example(by_person([0, 0, 0, 0, 0, 0.25]), by_person([0, 0, 0, 0, 0, 1]), False)
def test_doing_nothing_is_0_and_retraining_1_whatever_the_attack_found(nothing: Any, ideal: Any, sided: bool) -> None:
    base, retrained = (share_of(own, nothing, ideal, sided) for own in (nothing, ideal))
    gap = gap_of([*chain(*nothing["said"].values())], [*chain(*ideal["said"].values())], sided)
    if gap < LEAST_GAP - 1e-12:
        assert base.value is None
        assert retrained.value is None
    elif gap > LEAST_GAP + 1e-12:
        assert base.value == pytest.approx(0)
        assert retrained.value == pytest.approx(1)
        assert base.recovery == pytest.approx(1)


def test_a_share_is_what_lies_between_computed_by_hand() -> None:
    nothing, ideal = by_person([1.0] * 6), by_person([0.0] * 6)
    half = by_person([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    found = share_of(half, nothing, ideal)
    assert found.value == pytest.approx(0.5)
    assert not found.below
    assert found.draws.min() >= 0
    assert found.draws.max() <= 1
    low, high = interval([found.draws])
    assert low < 0.5 < high


def test_two_sides_count_alike_where_an_attack_says_so() -> None:
    nothing, ideal = by_person([0.9] * 6), by_person([0.5] * 6)
    above, below = by_person([0.6] * 6), by_person([0.4] * 6)
    assert share_of(above, nothing, ideal, two_sided=True).value == pytest.approx(0.75)
    assert share_of(below, nothing, ideal, two_sided=True).value == pytest.approx(0.75)
    assert share_of(below, nothing, ideal).value == 1.0
    assert share_of(by_person([0.3] * 6), nothing, ideal).below


def test_models_that_were_asked_other_questions_are_not_compared() -> None:
    nothing, ideal = by_person([1.0] * 6), by_person([0.0] * 6)
    short = {"said": {name: values[:1] for name, values in nothing["said"].items()}}
    with pytest.raises(DataError, match="other questions"):
        share_of(short, nothing, ideal)


@pytest.mark.parametrize(
    ("attacked", "clean", "kept", "able", "word"),
    [
        ([0.95], [1.0], True, True, "holds"),
        ([0.4], [1.0], True, True, "comes back"),
        ([0.4], [0.5], True, True, "leaks"),
        ([0.95], [1.0], False, True, "broken"),
        ([0.95], [1.0], True, False, "inconclusive"),
        ([0.4], [1.0], False, False, "comes back"),  # what came back did, whatever else the attack did
        ([None], [1.0], True, True, "cannot tell"),
        ([None], [1.0], True, False, "inconclusive"),  # a hold-out that is not matched, for instance
        ([0.99, 0.99, 0.7], [1.0, 1.0, 1.0], True, True, "comes back"),  # no two seeds pay for a third
    ],
)
def test_the_word(attacked: list[float | None], clean: list[float], kept: bool, able: bool, word: str) -> None:
    assert attack_verdict({"text": attacked}, {"text": clean}, kept=kept, able=able) == word


def test_the_gravest_word_stands_for_all_variants() -> None:
    assert gravest(["holds", "comes back", "cannot tell"]) == "comes back"
    assert gravest(["holds", "inconclusive"]) == "inconclusive"
