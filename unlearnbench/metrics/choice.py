"""Multiple choice by likelihood: the option that a model finds likeliest, accuracy, and what guessing would give.

A record holds ``option_logprobs``, the log-probabilities of every option's tokens as an answer, and ``right_option``,
the place of the true one. Long options have a smaller sum and rare words a smaller mean: neither way is fair to all, so
a task says which one it takes.
"""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from ..contracts.metric import Metric, Record
from .scorers import Scorer
from .statistics import MetricValue, over_questions

Weighing = Literal["mean", "sum"]
"""Whether options are compared by the mean log-probability of their tokens, or by that of the whole option."""


def likeliest(option_logprobs: Sequence[Sequence[float]], how: Weighing = "mean") -> list[int]:
    """The places of the likeliest options: one, or several that are equally likely.

    None at all where a likelihood is no number: nothing was chosen then. Raises `ValueError` for an option without a
    token, which no likelihood can be compared with.
    """
    if not all(option_logprobs):
        raise ValueError("an option has no token, so no likelihood")
    sums = [sum(each) / (len(each) if how == "mean" else 1) for each in option_logprobs]
    if any(map(math.isnan, sums)):
        return []
    return [place for place, value in enumerate(sums) if value == max(sums)]


def share_right(record: Record, how: Weighing = "mean") -> float:
    """1 where the right option is the likeliest, 0 where another is, and a share where several are equally likely."""
    chosen = likeliest(record["option_logprobs"], how)
    return (record["right_option"] in chosen) / len(chosen) if chosen else 0.0


def chance(records: Iterable[Record]) -> MetricValue:
    """The accuracy of guessing blindly: the mean of one over the number of options. No side of it is better."""
    values = [(each["cluster"], [1 / len(each["option_logprobs"])]) for each in records]
    return over_questions(values, seed=0, higher_is_better=None)


class Choice(Metric):
    """Whether the right option is the likeliest by the mean log-probability of its tokens; ties share the point."""

    name = "choice"
    requires = ("option_logprobs", "right_option")
    how: ClassVar[Weighing] = "mean"

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value."""
        return [share_right(record, self.how)]


class ChoiceBySum(Choice):
    """The same by the log-probability of the whole option, which short options gain by."""

    name = "choice_by_sum"
    how = "sum"
