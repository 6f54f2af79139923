"""What attacks that train need is counted with the rest, and one that does not fit is refused before it begins."""

import json

from tests.processes import run as forked

MODEL = "qwen2.5-vl-7b"


def test_an_attack_that_trains_has_a_stage_and_one_that_asks_has_none() -> None:
    words = ["plan", "--memory", "--method", "cagul", "--model", MODEL, "--attack", "relearn,leak,picture"]
    told = json.loads(forked(*words, "--gpu-memory", "80", "--device", "cuda", "--json").stdout)
    stages = {each["stage"]: each for each in told}
    assert {"base", "retrain", "cagul", "relearn", "evaluation"} == stages.keys()
    assert stages["relearn"]["fits"]
    assert 0 < stages["relearn"]["needed_bytes"] < stages["base"]["needed_bytes"]


def test_models_that_an_attack_looks_at_beside_the_attacked_one_are_counted() -> None:
    """One more copy of the weights each; and where that is too much nothing is begun."""
    words = ["plan", "--memory", "--method", "cagul", "--model", MODEL, "--attack", "quantise,leak", "--device", "cuda"]
    told = json.loads(forked(*words, "--gpu-memory", "80", "--json").stdout)
    asked, under = (each for each in told if each["stage"].startswith("evaluation"))
    assert under["stage"] == "evaluation under quantise"
    assert under["parts"]["weights"] == 2 * asked["parts"]["weights"]
    words = ["plan", "--method", "pretrain", "--model", MODEL, "--gpu-memory", "24", "--device", "cuda"]
    words += ["--base", "lora", "--attack"]
    assert "not even one" not in forked(*words, "leak").stderr
    assert "not even one question fits under quantise" in forked(*words, "quantise").stderr


def test_what_run_would_refuse_for_an_attack_is_said_before_anything_is_fetched() -> None:
    words = ["plan", "--method", "pretrain", "--model", MODEL, "--attack", "relearn", "--gpu-memory", "24"]
    words += ["--device", "cuda", "--base", "lora", "--set", "relearn.lora.rank=2048"]
    assert "relearn does not fit" in forked(*words).stderr
