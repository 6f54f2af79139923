"""Min-K% and the truth ratio against the formulas written out in numpy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from unlearnbench.contracts.metric import Record
from unlearnbench.metrics.likelihood import (
    MinK,
    Probability,
    TruthChoice,
    TruthOdds,
    TruthPreference,
    TruthRatio,
    ValueProbability,
    log_truth_ratio,
    mean_nll,
)
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.tasks.fiubench.scorers import FIUBENCH

SCORERS = pytest.mark.parametrize("scorer", [FIUBENCH, STRICT], ids=lambda s: s.name)
LOGPROBS = st.lists(st.floats(-40, 0), min_size=1, max_size=45)
ANY_LOGPROBS = st.lists(st.floats(max_value=0) | st.just(math.nan), max_size=12)

ALL = (MinK(), Probability(), ValueProbability(), TruthRatio(), TruthOdds(), TruthPreference(), TruthChoice())


def record(logprobs=(), paraphrased=None, perturbed=(), set_name="forget", value=None) -> Record:
    return Record(
        set=set_name,
        id="a/0",
        cluster="a",
        question="?",
        answer="",
        keywords=[],
        prediction="",
        paraphrased_predictions=[],
        logprobs=list(logprobs),
        value_logprobs=value,
        paraphrased_logprobs=paraphrased,
        perturbed_logprobs=list(perturbed),
    )


@given(LOGPROBS)
def test_min_k(logprobs):
    published = strict = 0.0
    for ratio, weight in zip((0.1, 0.2, 0.3, 0.4, 0.5), (0.3, 0.3, 0.2, 0.1, 0.1), strict=True):
        k = int(len(logprobs) * ratio)
        if k > 0:
            published += weight * np.exp(np.mean(np.sort(logprobs)[:k]))
        strict += weight * np.exp(np.mean(np.sort(logprobs)[: max(1, k)]))
    assert MinK().values(record(logprobs), FIUBENCH) == [pytest.approx(published)]
    assert MinK().values(record(logprobs), STRICT) == [pytest.approx(strict)]


def test_a_short_certain_answer_reaches_1_only_when_strict():
    assert MinK().values(record([0.0] * 9), FIUBENCH) == [pytest.approx(0.7)]
    assert MinK().values(record([0.0]), FIUBENCH) == [0]
    assert MinK().values(record([0.0]), STRICT) == [pytest.approx(1)]


def mean_loss(logprobs, extra):
    return -np.sum(logprobs) / (len(logprobs) + extra)


@pytest.mark.parametrize(("scorer", "extra"), [(FIUBENCH, 1), (STRICT, 0)])
@given(paraphrased=LOGPROBS, perturbed=st.lists(LOGPROBS, min_size=1, max_size=3))
def test_truth_ratio(scorer, extra, paraphrased, perturbed):
    x = np.exp(np.mean([mean_loss(p, extra) for p in perturbed]) - mean_loss(paraphrased, extra))
    [forget] = TruthRatio().values(record((), paraphrased, perturbed), scorer)
    assert forget == pytest.approx(min(x, 1 / x))
    for name in ("retain", "nonprivate"):
        [value] = TruthRatio().values(record((), paraphrased, perturbed, name), scorer)
        assert value == pytest.approx(max(0, 1 - 1 / x), abs=1e-12)


@pytest.mark.parametrize(("scorer", "extra"), [(FIUBENCH, 1), (STRICT, 0)])
@given(logprobs=LOGPROBS, value=LOGPROBS)
def test_probability_of_the_answer_and_of_its_value(scorer, extra, logprobs, value):
    told = record(logprobs, value=value)
    assert Probability().values(told, scorer) == [pytest.approx(np.exp(np.sum(logprobs) / (len(logprobs) + extra)))]
    assert ValueProbability().values(told, scorer) == [pytest.approx(np.exp(np.mean(value)))]
    assert mean_nll(told, scorer) == pytest.approx(mean_loss(logprobs, extra))


@pytest.mark.parametrize(("scorer", "extra"), [(FIUBENCH, 1), (STRICT, 0)])
@given(paraphrased=LOGPROBS, perturbed=st.lists(LOGPROBS, min_size=1, max_size=3))
def test_truth_preference(scorer, extra, paraphrased, perturbed):
    p = np.exp(np.longdouble([-mean_loss(each, extra) for each in (paraphrased, *perturbed)]))
    told = record((), paraphrased, perturbed)
    assert TruthPreference().values(told, scorer) == [pytest.approx(float(p[0] / p.sum()))]
    geometric = np.log(p[0]) - np.mean(np.log(p[1:]))
    assert log_truth_ratio(told, scorer) == pytest.approx(float(geometric), abs=1e-9)
    x = np.exp(np.longdouble(geometric))
    assert TruthOdds().values(told, scorer) == [pytest.approx(float(x / (1 + x)), abs=1e-12)]


@SCORERS
def test_truth_preference_of_who_cannot_tell_and_of_hopeless_likelihoods(scorer):
    even, likely, hopeless, impossible = [-1.0] * 4, [-0.1] * 3, [-5000.0] * 3, [-math.inf]
    for said, perturbed, value in (
        (even, [even] * 3, 1 / 4),
        (likely, [hopeless], 1),
        (hopeless, [likely], 0),
        (impossible, [impossible] * 2, 1 / 3),
    ):
        assert TruthPreference().values(record((), said, perturbed), scorer) == [pytest.approx(value)]
    (value,) = TruthPreference().values(record((), impossible, [[math.nan]]), scorer)
    assert math.isnan(value)


@SCORERS
@given(
    paraphrased=LOGPROBS,
    perturbed=st.lists(LOGPROBS, min_size=1, max_size=3),
    temperature=st.sampled_from([0.5, 2.0, 4.0, 32.0]),
)
def test_truth_choice_whatever_the_temperature(scorer, paraphrased, perturbed, temperature):
    true, false = np.mean(paraphrased), [np.mean(each) for each in perturbed]
    assume(min(abs(true - each) for each in false) > 1e-9)  # last digits decide nothing
    value = float(all(true > each for each in false))
    assert TruthChoice().values(record((), paraphrased, perturbed), scorer) == [value]
    softer, *others = ([each / temperature for each in of] for of in (paraphrased, *perturbed))
    assert TruthChoice().values(record((), softer, others), scorer) == [value]


@SCORERS
def test_truth_choice_is_the_likeliest_alone_by_the_mean_a_token(scorer):
    for said, perturbed, value in (
        ([-1.0, -2.0], [[-1.75], [-1.5, -1.5, -1.75]], 1),
        ([-1.0, -2.0], [[-1.75], [-1.5, -1.5, -1.5]], 0),  # as likely
        ([-1.0, -1.0, -1.0], [[-1.5]], 1),  # less likely in all, but more so a token
        ([-math.inf], [[-math.inf]], 0),
    ):
        assert TruthChoice().values(record((), said, perturbed), scorer) == [value]


@SCORERS
def test_truth_ratio_of_hopeless_likelihoods_does_not_overflow(scorer):
    likely, hopeless = [-0.1] * 3, [-5000.0] * 3
    for set_name, truth_wins, falsehood_wins in (("forget", 0, 0), ("retain", 1, 0)):
        assert TruthRatio().values(record((), likely, [hopeless], set_name), scorer) == [pytest.approx(truth_wins)]
        assert TruthRatio().values(record((), hopeless, [likely], set_name), scorer) == [pytest.approx(falsehood_wins)]


@pytest.mark.parametrize(
    "lacking",
    [
        record([-1.0]),
        record((), [-1.0]),
        record((), None, [[-1.0]]),
        record((), [], [[-1.0]]),
        record((), [-1.0], [[]]),
    ],
)
def test_truth_ratio_is_undefined_without_its_answers(lacking):
    assert TruthRatio().values(lacking, STRICT) == [None]
    assert TruthPreference().values(lacking, STRICT) == [None]
    assert TruthChoice().values(lacking, STRICT) == [None]
    assert TruthOdds().values(lacking, STRICT) == [None]
    assert log_truth_ratio(lacking, STRICT) is None


def test_without_tokens_nothing_is_likely_or_unlikely():
    for metric in (MinK(), Probability(), ValueProbability()):
        assert metric.values(record(), STRICT) == [None]
    assert mean_nll(record(), STRICT) is None


@SCORERS
def test_nan_is_never_hidden(scorer):
    broken = [-1.0, math.nan]
    for metric in (MinK(), Probability(), ValueProbability()):
        assert math.isnan(metric.values(record(broken, value=broken), scorer)[0])
    for set_name in ("forget", "retain"):
        for one, other in ((broken, [-1.0]), ([-1.0], broken)):
            assert math.isnan(TruthRatio().values(record((), one, [other], set_name), scorer)[0])
            for metric in (TruthPreference(), TruthChoice(), TruthOdds()):
                assert math.isnan(metric.values(record((), one, [other], set_name), scorer)[0])


@SCORERS
@given(ANY_LOGPROBS, ANY_LOGPROBS, st.lists(ANY_LOGPROBS, max_size=3), st.sampled_from(["forget", "retain"]))
def test_values_lie_between_0_and_1(scorer, logprobs, paraphrased, perturbed, set_name):
    for metric in ALL:
        [value] = metric.values(record(logprobs, paraphrased, perturbed, set_name, value=logprobs), scorer)
        assert value is None or math.isnan(value) or 0 <= value <= 1 + 1e-12


def test_directions():
    for metric in ALL:
        assert {metric.direction(each) for each in ("forget", "other_view")} == {"retrained"}
        assert {metric.direction(each) for each in ("nonprivate", "retain", "held_out")} == {"higher"}
