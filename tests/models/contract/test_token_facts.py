"""Facts about an answer's tokens against sums over the vocabulary."""

import math

import pytest
import torch

from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.models.contract.token_facts import facts
from unlearnbench.models.contract.vlm import VLM


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_facts_are_sums_over_the_vocabulary(tiny: VLM, asked: list[Sample], *, shared: bool) -> None:
    """Token by token, in Python's own arithmetic."""
    queries = [Asked(sample.text, asked[0].images) for sample in asked[:4]]
    batch = tiny.prepare(queries, [sample.answer for sample in asked[:4]])
    weighed, logits = tiny.answer_log_probabilities(batch), tiny.answer_log_distributions(batch)
    for row, found in enumerate(tiny.answer_token_facts(batch, shared=shared)):
        torch.testing.assert_close(found.log_probability, weighed[row], atol=1e-4, rtol=0)
        ids = batch.input_ids[row][batch.answer_mask[row]].tolist()
        for place, (own, token) in enumerate(zip(logits[row].double().tolist(), ids, strict=True)):
            assert bool(found.is_argmax[place]) == (own.index(max(own)) == token)
            mean = math.fsum(math.exp(value) * value for value in own)
            variance = math.fsum(math.exp(value) * (value - mean) ** 2 for value in own)
            assert float(found.mean[place]) == pytest.approx(mean, abs=1e-4)
            assert float(found.std[place]) == pytest.approx(math.sqrt(variance), abs=1e-3)


def test_what_is_impossible_counts_nothing() -> None:
    """Two tokens of a half each: the mean is the logarithm of a half, and nothing varies."""
    found = facts(torch.tensor([[0.0, 0.0, -math.inf]]), torch.tensor([1]))
    assert float(found.mean) == float(found.log_probability) == pytest.approx(-math.log(2))
    assert float(found.std) == pytest.approx(0, abs=1e-6)
    assert not found.is_argmax  # the first of equals is
