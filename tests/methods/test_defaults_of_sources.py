"""Defaults for large models that a source gives: they are the source's (docs/methods.md says which)."""

import pytest

from unlearnbench.config import resolve
from unlearnbench.registry import methods

RATES = {
    # FIUBench's scripts: LLaVA-Phi, Llama-3.2-Vision; GA has no rate for Llama there.
    "ga": (1e-4, 1e-4),
    "ga-gd": (1e-4, 2e-5),
    "ga-kl": (1e-4, 6e-5),
    "po-gd": (3e-4, 3e-4),
}


@pytest.mark.parametrize("name", RATES)
def test_learning_rates_are_fiubenchs(name: str) -> None:
    found = [resolve(methods.get(name).Params, name, "large", {}, of).learning_rate for of in ("qwen2_5_vl", "mllama")]
    assert tuple(found) == RATES[name]


def test_simnpos_weights_are_those_of_its_authors_for_forget05() -> None:
    params = resolve(methods.get("simnpo-gd").Params, "simnpo-gd", "large", {})
    told = {name: getattr(params, name) for name in ("beta", "gamma", "forget_weight", "retain_weight")}
    assert told == {"beta": 2.5, "gamma": 0.0, "forget_weight": 0.1375, "retain_weight": 1.0}
