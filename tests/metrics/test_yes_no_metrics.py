"""Yes/no parsing as in MME's and POPE's scripts, and their scores against counts by hand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearnbench.errors import DataError
from unlearnbench.metrics.yes_no import YesNoRecord, mme, parse_mme, parse_pope, pope

# What each official script makes of it: MME (None: "other"), POPE.
SAID = [
    ("Yes.", True, True),
    ("yes", True, True),
    ("NO", False, True),
    ("No, there is none.", False, False),
    ("There is no dog in the image.", None, False),
    ("There isn't a dog.", None, True),
    ("Yes, there is a dog, but it is not a cat.", True, False),
    ("Yes. It is not a cat.", True, True),
    ("I'm not able to identify people.", None, False),
    ("I cannot provide identification.", None, True),
    ("None", False, True),
    ("Not sure", False, True),
    ("\n\nYes", None, True),
    ("**Yes**", None, True),
    (" no", False, False),
    ("", None, True),
]


@pytest.mark.parametrize(("text", "by_mme", "by_pope"), SAID)
def test_parsers(text, by_mme, by_pope):
    assert parse_mme(text) is by_mme
    assert parse_pope(text) is by_pope


@given(st.text())
def test_parsers_take_any_text(text):
    assert parse_mme(text) in (True, False, None)
    assert parse_pope(text) in (True, False)


def record(kind, image, answer, prediction, number=0):
    return YesNoRecord(id=f"{kind}/{image}/{number}", kind=kind, image=image, answer=answer, prediction=prediction)


def pair(kind, image, to_yes, to_no):
    return [record(kind, image, True, to_yes, 0), record(kind, image, False, to_no, 1)]


def numbers(scores):
    return {name: metric.value for name, metric in scores.items()}


def test_mme_by_hand():
    records = [
        *pair("count", "1.png", "Yes", "No"),
        *pair("count", "2.png", "Yes", "Yes"),
        *pair("color", "1.png", "I cannot answer", "No"),
        *pair("code_reasoning", "1.png", "yes", "no"),
    ]
    assert numbers(mme(records, seed=0)) == {
        "accuracy": 6 / 8,
        "accuracy_plus": 2 / 4,
        "perception": 100 * 3 / 4 + 100 * 1 / 2 + 100 * 1 / 2 + 0,
        "cognition": 200,
    }


def test_mme_without_cognition_says_so():
    scores = mme(pair("count", "1.png", "Yes", "No"), seed=0)
    assert (scores["cognition"].value, scores["cognition"].reason) == (None, "no cognition questions")
    assert mme([], seed=0)["accuracy"].reason == "no samples"


def test_mme_refuses_half_a_pair():
    with pytest.raises(DataError, match=r"'1\.png' of kind 'count'"):
        mme(pair("count", "1.png", "Yes", "No")[:1], seed=0)


def test_constant_answers_get_50_a_kind():
    records = [r for kind in ("count", "color") for i in range(9) for r in pair(kind, f"{i}.png", "yes", "yes")]
    scores = mme(records, seed=0)
    assert (scores["perception"].value, scores["perception"].ci_low, scores["perception"].ci_high) == (100, 100, 100)


def test_the_perception_interval_is_that_of_its_kinds():
    rng = random.Random(0)
    records = [r for i in range(200) for r in pair("count", str(i), *rng.choices(["yes", "no"], [2, 1], k=2))]
    got = mme(records, seed=0)
    plus, accuracy = got["accuracy_plus"], got["accuracy"]
    assert got["perception"].value == pytest.approx(100 * plus.value + 100 * accuracy.value)
    width = got["perception"].ci_high - got["perception"].ci_low
    assert (
        100 * (plus.ci_high - plus.ci_low)
        < width
        < 100 * (plus.ci_high - plus.ci_low + accuracy.ci_high - accuracy.ci_low) + 5
    )


def test_pope_by_hand():
    records = [
        record("random", "1", True, "yes"),
        record("random", "1", False, "yes"),
        record("random", "2", False, "no"),
        record("popular", "1", True, "No"),
        record("popular", "2", False, "No."),
    ]
    assert numbers(pope(records, seed=0)) == {
        "accuracy": 3 / 5,
        "f1": 1 / 2,
        "yes_ratio": 2 / 5,
        "popular.accuracy": 1 / 2,
        "popular.f1": 0,
        "popular.yes_ratio": 0,
        "random.accuracy": 2 / 3,
        "random.f1": 2 / 3,
        "random.yes_ratio": 2 / 3,
    }


def test_pope_of_a_collapsed_model():
    records = [record("random", str(i), i % 2 == 0, "asdf") for i in range(100)]
    scores = pope(records, seed=0)
    assert (scores["accuracy"].value, scores["yes_ratio"].value) == (0.5, 1)
    assert scores["f1"].value == pytest.approx(2 / 3)
    assert scores["f1"].ci_low < 2 / 3 < scores["f1"].ci_high
    assert scores["yes_ratio"].higher_is_better is None


def test_pope_f1_without_any_yes_is_undefined():
    scores = pope([record("random", "1", False, "no"), record("random", "2", False, "no")], seed=0)
    assert scores["accuracy"].value == 1
    assert scores["f1"].value is None
    assert "yes" in scores["f1"].reason
    assert pope([], seed=0)["f1"].reason == "no samples"


QUESTIONS = st.lists(
    st.builds(
        record,
        st.sampled_from(["count", "color", "text_translation"]),
        st.sampled_from("abc"),
        st.booleans(),
        st.sampled_from(["yes", "no"]) | st.text(max_size=5),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(QUESTIONS, st.randoms())
def test_order_never_matters_and_shares_are_shares(records, rng):
    doubled = records * 2
    by_mme, by_pope = mme(doubled, seed=0), pope(records, seed=0)
    rng.shuffle(doubled)
    rng.shuffle(records)
    assert mme(doubled, seed=0) == by_mme
    assert pope(records, seed=0) == by_pope
    for name, metric in {**by_mme, **by_pope}.items():
        if metric.value is not None:
            assert 0 <= metric.value <= (600 if name in ("perception", "cognition") else 1)
    right = [parse_pope(r["prediction"]) == r["answer"] for r in records]
    if records:
        assert by_pope["accuracy"].value == pytest.approx(sum(right) / len(right))
