"""That the drawn data can tell a model which knows them from one which does not by their likelihoods alone."""

import math
from pathlib import Path
from statistics import fmean

import pytest

from tests.models.in_order import log_probabilities
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.engine.runner import Runner
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run, Silent

pytestmark = pytest.mark.slow


def preferring_the_truth(model: VLM, samples) -> float:  # type: ignore[no-untyped-def]
    """The share of questions whose paraphrased true answer is likelier, a token, than falsehoods of its form."""
    told = [(s.question.paraphrased_answer, *s.question.perturbed_answers) for s in samples]
    asked = [(sample, text) for sample, texts in zip(samples, told, strict=True) for text in texts]
    weighed = iter(log_probabilities(model, asked, Run(0, Silent()), batch_size=64, what="truth"))
    means = [[fmean(next(weighed)) for _ in texts] for texts in told]
    ratios = [math.exp(true - fmean(wrong)) for true, *wrong in means]
    return sum(x > 1 for x in ratios) / len(ratios)


def test_a_base_that_knows_everything_prefers_the_truth_and_a_model_that_never_saw_it_does_not(
    shared_store: Path,
) -> None:
    """On the people that ship, with the base that ``run`` trains by default."""
    config = RunConfig(
        methods=("finetune", "pretrain"), models=("tiny-qwen2.5-vl",), tasks=("fiubench",), data="embedded",
        device="cpu",
    )  # fmt: skip
    store = Store(shared_store)
    plans = {each.cell.method: each for each in plan(config, store)}
    runner, samples = Runner(store, Silent()), plans["finetune"].sets.all
    assert len(samples) == 20 * 20
    share = {name: preferring_the_truth(runner.ready(each).model, samples) for name, each in plans.items()}
    # One machine gave .81 and .55, and a base .005 with falsehoods worded like the original answer.
    assert share["finetune"] > 0.7, share
    assert share["pretrain"] < 0.6, share
