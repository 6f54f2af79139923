"""Each named loss against the formula of its paper, written out in loops on random logits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench.training.losses import answer_nll, kl_from_reference, npo, simnpo

LENGTHS = (1, 4, 7)


def logits(seed: int, vocabulary: int = 11) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, vocabulary, generator=generator, dtype=torch.float64) * 3 for length in LENGTHS]


def targets() -> list[list[int]]:
    return [[5], [0, 3, 10, 2], [1, 1, 4, 9, 0, 7, 6]]


def log_probabilities(seed: int) -> list[torch.Tensor]:
    return [each.log_softmax(-1)[range(len(rows)), rows] for each, rows in zip(logits(seed), targets(), strict=True)]


def probability(row: torch.Tensor, token: int) -> float:
    """A softmax by hand."""
    weights = [math.exp(value) for value in row.tolist()]
    return weights[token] / sum(weights)


def answer_probability(rows: torch.Tensor, tokens: list[int]) -> float:
    return math.prod(probability(row, token) for row, token in zip(rows, tokens, strict=True))


def test_nll_is_the_mean_over_an_answers_tokens() -> None:
    by_hand = [
        -sum(math.log(probability(row, token)) for row, token in zip(rows, tokens, strict=True)) / len(tokens)
        for rows, tokens in zip(logits(0), targets(), strict=True)
    ]
    assert answer_nll(log_probabilities(0)).tolist() == pytest.approx(by_hand)


def test_kl_is_summed_over_the_vocabulary_with_the_reference_first() -> None:
    by_hand = []
    for own, before in zip(logits(0), logits(1), strict=True):
        tokens = []
        for row, other in zip(own, before, strict=True):
            p, q = ([probability(each, token) for token in range(11)] for each in (other, row))
            tokens.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
        by_hand.append(sum(tokens) / len(tokens))
    own, before = ([each.log_softmax(-1) for each in logits(seed)] for seed in (0, 1))
    assert kl_from_reference(own, before).tolist() == pytest.approx(by_hand)
    assert kl_from_reference(before, own).tolist() != pytest.approx(by_hand)
    assert kl_from_reference(own, own).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_npo_is_equation_3(beta: float) -> None:
    by_hand = [
        2 / beta * math.log(1 + (answer_probability(own, tokens) / answer_probability(before, tokens)) ** beta)
        for own, before, tokens in zip(logits(0), logits(1), targets(), strict=True)
    ]
    assert npo(log_probabilities(0), log_probabilities(1), beta).tolist() == pytest.approx(by_hand)


def test_npo_tends_to_gradient_ascent() -> None:
    """Its gradient at the reference is half of 2/beta * beta = that of the log-likelihood itself, for any beta."""
    own = [each.requires_grad_() for each in log_probabilities(0)]
    npo(own, [each.detach() for each in own], 0.1).sum().backward()
    assert all(torch.allclose(each.grad, torch.ones_like(each)) for each in own)


@pytest.mark.parametrize(("beta", "gamma"), [(2.5, 0.0), (4.5, 1.0)])
def test_simnpo_is_equation_4(beta: float, gamma: float) -> None:
    by_hand = []
    for own, tokens in zip(logits(0), targets(), strict=True):
        argument = -beta / len(tokens) * math.log(answer_probability(own, tokens)) - gamma
        by_hand.append(-2 / beta * math.log(1 / (1 + math.exp(-argument))))
    assert simnpo(log_probabilities(0), beta, gamma).tolist() == pytest.approx(by_hand)


@given(st.integers(0, 50), st.integers(51, 99))
def test_bounds(seed: int, other: int) -> None:
    own, before = ([each.log_softmax(-1) for each in logits(each)] for each in (seed, other))
    assert (kl_from_reference(own, before) >= 0).all()
    assert (npo(log_probabilities(seed), log_probabilities(other), 0.1) > 0).all()
    assert (simnpo(log_probabilities(seed), 2.5, 0.0) > 0).all()
