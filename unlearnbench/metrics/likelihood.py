"""Metrics of how likely a model finds an answer: its probability, Min-K%, and the truth beside falsehoods."""

import math
from collections.abc import Sequence
from typing import ClassVar

from ..contracts.metric import FORGOTTEN, Direction, Metric, Record
from .choice import likeliest
from .scorers import Scorer


class _Likelihood(Metric):
    """A metric that is best near the retrained model's value on the forget set, and rises elsewhere."""

    def direction(self, set_name: str) -> Direction | None:
        """Higher, but near the retrained model's value on the forget set: below it, unlearning has left a trace."""
        return "retrained" if set_name in FORGOTTEN else "higher"


class Probability(_Likelihood):
    """The geometric mean probability of the true answer's tokens: ``exp(- mean NLL)``."""

    name = "probability"
    requires = ("logprobs",)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where a log-probability is NaN."""
        return [_exp(-scorer.mean_nll(record["logprobs"]))]


class ValueProbability(_Likelihood):
    """The geometric mean probability of the tokens that hold the value: of the fact, not of the sentence around it."""

    name = "value_probability"
    requires = ("value_logprobs",)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where a log-probability is NaN."""
        return [_likelihood(record["value_logprobs"] or [])]


class TruthPreference(_Likelihood):
    """The share that the true answer, in other words, has of the probability of itself and of its false variants.

    ``p / (p + sum of p_perturbed)`` with ``p = exp(- mean NLL)``: one over the number of answers where the model cannot
    tell, towards 1 where it prefers the truth, towards 0 where it prefers a falsehood.
    """

    name = "truth_preference"
    requires = ("paraphrased_logprobs", "perturbed_logprobs")

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where the likelihoods are; undefined where a perturbed answer has no token."""
        paraphrased, perturbed = record["paraphrased_logprobs"] or [], record["perturbed_logprobs"]
        if not all(perturbed):
            return [None]
        nlls = [scorer.mean_nll(each) for each in (paraphrased, *perturbed)]
        if any(map(math.isnan, nlls)):
            return [math.nan]
        likeliest = min(nlls)
        # All impossible: nothing is preferred to anything.
        if likeliest == math.inf:
            return [1 / len(nlls)]
        shares = [math.exp(likeliest - nll) for nll in nlls]
        return [shares[0] / sum(shares)]


class TruthChoice(_Likelihood):
    """Whether the true answer, in other words, is likelier than every false variant of it, by the mean a token.

    1 where it is and 0 where a false one is as likely: on average one over the number of answers where the model cannot
    tell. Only the order counts, which stays as it is where a temperature makes all of them more or less alike.
    """

    name = "truth_choice"
    requires = ("paraphrased_logprobs", "perturbed_logprobs")

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where a log-probability is NaN; undefined where a perturbed answer has no token."""
        answers = [record["paraphrased_logprobs"] or [], *record["perturbed_logprobs"]]
        if not all(answers):
            return [None]
        if any(math.isnan(each) for of in answers for each in of):
            return [math.nan]
        return [float(likeliest(answers) == [0])]


class MinK(_Likelihood):
    """Min-K% probability: the geometric mean probability of an answer's least likely tokens, over five ratios.

    ``sum_r w_r exp(mean of the k_r lowest log-probabilities)``, where ``k_r = int(r L)`` for an answer of L tokens. The
    published arithmetic drops a ratio with k = 0 and keeps the other weights, so that an answer of fewer than ten
    tokens cannot exceed 0.7; ``strict`` takes at least one token. On the forget set best is the retrained model's
    value: far below it, unlearning has left a trace.
    """

    name = "min_k"
    requires = ("logprobs",)
    WEIGHTS: ClassVar = {0.1: 0.3, 0.2: 0.3, 0.3: 0.2, 0.4: 0.1, 0.5: 0.1}

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where a log-probability is NaN."""
        lowest = sorted(record["logprobs"])
        if any(map(math.isnan, lowest)):
            return [math.nan]
        sizes = {ratio: max(scorer.least_k, int(len(lowest) * ratio)) for ratio in self.WEIGHTS}
        return [sum(w * _likelihood(lowest[: sizes[r]]) for r, w in self.WEIGHTS.items() if sizes[r])]


def _likelihood(logprobs: Sequence[float]) -> float:
    return _exp(sum(logprobs) / len(logprobs))


def _exp(mean: float) -> float:
    # Rounding may leave a log-probability a hair above 0; NaN stays NaN.
    return math.exp(0.0 if mean > 0 else mean)


class TruthRatio(_Likelihood):
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

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where the likelihoods are; undefined where a perturbed answer has no token."""
        log_x = log_truth_ratio(record, scorer)
        if log_x is None:
            return [None]
        # Both forms take exp of a number that is not above 0: nothing overflows.
        if record["set"] in FORGOTTEN:
            return [math.exp(-abs(log_x))]
        return [0.0 if log_x <= 0 else -math.expm1(-log_x)]


class TruthOdds(_Likelihood):
    """`TruthRatio`'s x on a scale with an end, ``x / (1 + x)``: 1/2 where the model cannot tell, 1 sure of the truth.

    It grows with x and keeps its side, which `TruthRatio` folds on the forget set: tests that go by ranks, as that of
    forget quality, find the same of either.
    """

    name = "truth_odds"
    requires = ("paraphrased_logprobs", "perturbed_logprobs")

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value; NaN where the likelihoods are; undefined where a perturbed answer has no token."""
        log_x = log_truth_ratio(record, scorer)
        if log_x is None:
            return [None]
        # exp of a number that is not above 0: nothing overflows.
        share = 1 / (1 + math.exp(-abs(log_x)))
        return [1 - share if log_x < 0 else share]


def mean_nll(record: Record, scorer: Scorer) -> float | None:
    """The mean NLL of the true answer, in nats a token; None where it was not weighed."""
    return scorer.mean_nll(record["logprobs"]) if record.get("logprobs") else None


def log_truth_ratio(record: Record, scorer: Scorer) -> float | None:
    """The logarithm of `TruthRatio`'s x; None for a record without a paraphrased answer or perturbed ones."""
    paraphrased, perturbed = record.get("paraphrased_logprobs"), record.get("perturbed_logprobs")
    if not paraphrased or not perturbed or not all(perturbed):
        return None
    return sum(map(scorer.mean_nll, perturbed)) / len(perturbed) - scorer.mean_nll(paraphrased)
