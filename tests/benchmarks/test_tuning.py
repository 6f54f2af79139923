"""`benchmarks.tune`: what its score rewards, and that every point of its grids is a setting the methods have."""

from statistics import harmonic_mean

import pytest

from benchmarks.tune import SPACES, score
from unlearnbench.config import resolve
from unlearnbench.registry import methods

BASE = {
    "forget.rouge_l": 0.98,
    "forget.exact_match": 0.96,
    "nonprivate.rouge_l": 1.0,
    "retain.rouge_l": 1.0,
    "mme.accuracy": 0.8,
    "pope.accuracy": 0.8,
}
RETRAINED = BASE | {"forget.rouge_l": 0.86, "forget.exact_match": 0.06}


def test_the_retrained_models_forgetting_is_all_there_is_to_be_had() -> None:
    assert score(RETRAINED, BASE, RETRAINED) == 1.0
    assert score(BASE, BASE, RETRAINED) == 0.0
    for rouge, exact in ((0.5, 0.0), (0.0, 0.0)):  # garbage and refusals gain nothing over having never known
        assert score(BASE | {"forget.rouge_l": rouge, "forget.exact_match": exact}, BASE, RETRAINED) == 1.0
    halfway = BASE | {"forget.rouge_l": 0.92, "forget.exact_match": 0.51}
    assert score(halfway, BASE, RETRAINED) == pytest.approx(harmonic_mean([0.5, 1, 1]))


def test_what_forgetting_costs_is_weighed_against_it() -> None:
    gentle = RETRAINED | {"retain.rouge_l": 0.9}
    brutal = BASE | {"forget.rouge_l": 0.0, "forget.exact_match": 0.0, "retain.rouge_l": 0.5}
    assert score(gentle, BASE, RETRAINED) == pytest.approx(harmonic_mean([1, 0.95, 1]))
    assert score(gentle, BASE, RETRAINED) > score(brutal, BASE, RETRAINED)
    assert score(RETRAINED | {"pope.accuracy": 0.4}, BASE, RETRAINED) == pytest.approx(harmonic_mean([1, 1, 0.75]))


def test_a_base_that_knew_no_more_than_a_retrained_model_is_said() -> None:
    with pytest.raises(SystemExit, match=r"forget\.exact_match: base 0\.100, retrained 0\.060"):
        score(BASE, BASE | {"forget.exact_match": 0.1}, RETRAINED)


@pytest.mark.parametrize("name", SPACES)
def test_every_point_is_a_setting_of_its_method(name: str) -> None:
    for parameter, values in SPACES[name].items():
        for value in values:
            resolve(methods.get(name).Params, name, "tiny", {parameter: value})
