"""That the drawn data can tell a model which knows them from one which does not by their likelihoods alone."""

import math
from pathlib import Path
from statistics import fmean

import pytest

from tests.models.in_order import log_probabilities
from unlearnbench import VLM, BaseParams, Run, memorise
from unlearnbench.config import resolve
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Silent
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read

pytestmark = pytest.mark.slow


def preferring_the_truth(model: VLM, people) -> float:  # type: ignore[no-untyped-def]
    """The share of questions whose paraphrased true answer is likelier, a token, than falsehoods of its form."""
    told = [(s.question.paraphrased_answer, *s.question.perturbed_answers) for s in people]
    asked = [(sample, text) for sample, texts in zip(people, told, strict=True) for text in texts]
    weighed = iter(log_probabilities(model, asked, Run(0, Silent()), batch_size=64, what="truth"))
    means = [[fmean(next(weighed)) for _ in texts] for texts in told]
    ratios = [math.exp(true - fmean(wrong)) for true, *wrong in means]
    return sum(x > 1 for x in ratios) / len(ratios)


def test_a_base_that_knows_people_prefers_the_truth_about_them_and_a_model_that_never_saw_them_does_not(
    small_data: Path,
) -> None:
    """On six people, with the training that ``run`` gives a base by default."""
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    people = samples(read(small_data).identities)
    before = preferring_the_truth(model, people)
    memorise(model, people, resolve(BaseParams, "base", "tiny", {}), Run(0), "memorising")
    # One machine gave .52 and .84 of eight people, .55 and .81 of all, and .005 with falsehoods worded like the answer.
    assert before < 0.65
    assert preferring_the_truth(model, people) > 0.7
