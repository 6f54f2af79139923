"""Metrics of how likely a model finds an answer: Min-K% probability and the truth ratio."""

import math
from typing import ClassVar

from ..contracts.metric import FORGET, Direction, Metric, Record
from .scorers import Scorer


class MinK(Metric):
    """Min-K% probability: the geometric mean probability of an answer's least likely tokens, over five ratios.

    ``sum_r w_r exp(mean of the k_r lowest log-probabilities)``, where ``k_r = int(r L)`` for an answer of L tokens. The
    published arithmetic drops a ratio with k = 0 and keeps the other weights, so that an answer of fewer than ten
    tokens cannot exceed 0.7; ``strict`` takes at least one token. On the forget set best is the retrained model's
    value: far below it, unlearning has left a trace.
    """

    name = "min_k"
    requires = ("logprobs",)
    WEIGHTS: ClassVar = {0.1: 0.3, 0.2: 0.3, 0.3: 0.2, 0.4: 0.1, 0.5: 0.1}

    def direction(self, set_name: str) -> Direction | None:
        """Higher, but near the retrained model's value on the forget set."""
        return _of_likelihoods(set_name)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where a log-probability is NaN."""
        lowest = sorted(record["logprobs"])
        if any(map(math.isnan, lowest)):
            return [math.nan]
        sizes = {ratio: max(scorer.least_k, int(len(lowest) * ratio)) for ratio in self.WEIGHTS}
        return [sum(w * _likelihood(lowest[: sizes[r]]) for r, w in self.WEIGHTS.items() if sizes[r])]


def _of_likelihoods(set_name: str) -> Direction:
    return "retrained" if set_name == FORGET else "higher"


def _likelihood(logprobs: list[float]) -> float:
    # Rounding may leave a log-probability a hair above 0.
    return math.exp(min(0.0, sum(logprobs) / len(logprobs)))


class TruthRatio(Metric):
    """How far the model tells the truth from false variants of it.

    ``x = exp(mean over perturbed answers of their mean NLL - mean NLL of the paraphrased answer)``: above 1 the model
    prefers the truth, at 1 it cannot tell, below 1 it prefers a falsehood.

    - On the forget set the value is ``min(x, 1/x)``: 1 where the model cannot tell, less the more it leans *either*
      way. A model that was driven into falsehoods has not forgotten, and scores low too.
    - Elsewhere it is ``max(0, 1 - 1/x)``: 0 where the model cannot tell or is wrong, towards 1 the surer it is of the
      truth.
    """

    name = "truth_ratio"
    requires = ("paraphrased_logprobs", "perturbed_logprobs")

    def direction(self, set_name: str) -> Direction | None:
        """Higher, but near the retrained model's value on the forget set, on which it is defined otherwise."""
        return _of_likelihoods(set_name)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where the likelihoods are; undefined where a perturbed answer has no token."""
        paraphrased, perturbed = record["paraphrased_logprobs"] or [], record["perturbed_logprobs"]
        if not all(perturbed):
            return [None]
        log_x = sum(map(scorer.mean_nll, perturbed)) / len(perturbed) - scorer.mean_nll(paraphrased)
        # Both forms take exp of a number that is not above 0: nothing overflows.
        if record["set"] == FORGET:
            return [math.exp(-abs(log_x))]
        return [0.0 if log_x <= 0 else -math.expm1(-log_x)]
