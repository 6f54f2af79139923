"""What attacks that train need is counted with the rest, and one that does not fit is refused before it begins."""

import json

from tests.processes import run as forked

MODEL = "qwen2.5-vl-7b"


def test_an_attack_that_trains_has_a_stage_and_one_that_asks_has_none() -> None:
    words = ["plan", "--memory", "--method", "cagul", "--model", MODEL, "--attack", "relearn,quantise,mia"]
    told = json.loads(forked(*words, "--gpu-memory", "80", "--device", "cuda", "--json").stdout)
    stages = {each["stage"]: each for each in told}
    assert {"base", "retrain", "cagul", "relearn", "evaluation"} == stages.keys()
    assert stages["relearn"]["fits"]
    assert 0 < stages["relearn"]["needed_bytes"] < stages["base"]["needed_bytes"]


def test_what_run_would_refuse_for_an_attack_is_said_before_anything_is_fetched() -> None:
    words = ["plan", "--method", "pretrain", "--model", MODEL, "--attack", "relearn", "--gpu-memory", "24"]
    words += ["--device", "cuda", "--base", "lora", "--set", "relearn.lora.rank=2048"]
    assert "relearn does not fit" in forked(*words).stderr
