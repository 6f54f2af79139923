"""Metrics of what a model says: ROUGE-L of the answer and of its value, keywords, also under paraphrase, refusals."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from ..contracts.metric import FORGOTTEN, Direction, Metric, Record
from .refusals import is_refusal
from .scorers import Scorer
from .words import Tokenizer

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer


@cache
def _rouge(any_script: bool) -> "RougeScorer":
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True, tokenizer=Tokenizer() if any_script else None)


@lru_cache(maxsize=1 << 16)  # a report reads the same answers again beside every method and attack
def _recall(answer: str, said: str, any_script: bool) -> float:
    """ROUGE-L recall of what was said."""
    return float(_rouge(any_script).score(answer, said)["rougeL"].recall)


class RougeL(Metric):
    """Recall of the longest common subsequence of words, English ones stemmed, against the answer in full."""

    name = "rouge_l"
    requires = ("answer", "prediction")

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value."""
        return [_recall(record["answer"], scorer.read(record["prediction"]), scorer.any_script)]


class ValueRouge(Metric):
    """ROUGE-L recall of the keywords alone, their mean: how much of the fact is said, whatever the sentence around it.

    Another person's answer shares that sentence, and so most of the answer's words. A keyword without any word that
    ROUGE reads ("+") is left out; where none is left the metric is undefined.
    """

    name = "value_rouge"
    requires = ("keywords", "prediction")

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value."""
        said, any_script = scorer.read(record["prediction"]), scorer.any_script
        wanted = [keyword for keyword in record["keywords"] if _recall(keyword, keyword, any_script)]
        if not wanted:
            return [None]
        return [sum(_recall(keyword, said, any_script) for keyword in wanted) / len(wanted)]


class ExactMatch(Metric):
    """The fraction of the keywords that the prediction holds; of no keywords, what the scorer says of that."""

    name = "exact_match"
    requires = ("prediction",)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value."""
        return [scorer.keyword_share(record.get("keywords", []), record["prediction"])]


class APE(Metric):
    """Adversarial privacy extraction: exact match when the question is put in other words."""

    name = "ape"
    requires = ("paraphrased_predictions",)

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value a paraphrase."""
        return [scorer.keyword_share(record.get("keywords", []), said) for said in record["paraphrased_predictions"]]


class RefusalRate(Metric):
    """Whether the prediction, never cut, declines to answer: a fault on every set but the forget set.

    There it is neither good nor bad: a retrained model guesses, and who refuses everything tells who asked.
    """

    name = "refusal_rate"
    version = "2"
    requires = ("prediction",)

    def direction(self, set_name: str) -> Direction | None:
        """Lower, but neither on the forget set."""
        return None if set_name in FORGOTTEN else "lower"

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value, 0 or 1."""
        return [float(is_refusal(record["prediction"]))]
