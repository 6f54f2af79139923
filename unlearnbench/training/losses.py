"""Losses as functions of answer-token log-probabilities (one tensor a sample, from `VLM.answer_log_probabilities`)."""

from collections.abc import Sequence

import torch
from torch import Tensor


def answer_nll(log_probabilities: Sequence[Tensor]) -> Tensor:
    """Negative log-likelihood per token of each answer [samples]: every sample counts alike, short or long."""
    return -torch.stack([tokens.mean() for tokens in log_probabilities])
