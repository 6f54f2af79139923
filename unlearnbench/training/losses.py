"""Losses of unlearning, one value a sample, from what a model says of the tokens of answers.

Methods compose these; nothing else in the package computes a loss on answers. "Log-probabilities" are one tensor a
sample with the natural-log probability of each answer token (`VLM.answer_log_probabilities`), "log-distributions" one
tensor a sample [tokens, vocabulary] (`VLM.answer_log_distributions`). The prompt never takes part.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def answer_nll(log_probabilities: Sequence[Tensor]) -> Tensor:
    """Negative log-likelihood per token of each answer [samples]: every sample counts alike, short or long.

    Descended it is finetuning, ascended (its negative) gradient ascent.
    """
    return -torch.stack([tokens.mean() for tokens in log_probabilities])


def kl_from_reference(log_distributions: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
    """KL(reference || model) of the next token, the mean over each answer's tokens [samples].

    The forward direction of Yao et al. 2024 (arXiv:2310.10683): the model is to cover what the reference would say.
    """
    divergences = [
        F.kl_div(own, other, log_target=True, reduction="none").sum(-1).mean()
        for own, other in zip(log_distributions, reference, strict=True)
    ]
    return torch.stack(divergences)


def npo(log_probabilities: Sequence[Tensor], reference: Sequence[Tensor], beta: float) -> Tensor:
    """Negative preference optimisation [samples] (Zhang et al. 2024, arXiv:2404.05868, eq. 3).

    (2 / beta) log(1 + (p / p_reference)^beta) with p the probability of the whole answer: gradient ascent whose force
    fades once an answer is less likely than the ``reference`` model has it. ``beta`` towards 0 gives gradient ascent.
    """
    ratios = torch.stack([own.sum() - other.sum() for own, other in zip(log_probabilities, reference, strict=True)])
    return -F.logsigmoid(-beta * ratios) * 2 / beta


def simnpo(log_probabilities: Sequence[Tensor], beta: float, gamma: float) -> Tensor:
    """NPO without a reference [samples] (Fan et al. 2024, arXiv:2410.07163, eq. 4).

    -(2 / beta) log sigmoid(-(beta / tokens) log p - gamma): the likelihood per token takes the place of the ratio, so
    that short and long answers are pushed alike; ``gamma`` is the margin by which an answer must be unlikely.
    """
    return -F.logsigmoid(beta * answer_nll(log_probabilities) - gamma) * 2 / beta
