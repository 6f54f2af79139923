"""How text and likelihoods are read before they are scored: what benchmarks do differently, as switches."""

from collections.abc import Sequence
from dataclasses import dataclass

from .words import folded, holds


@dataclass(frozen=True)
class Scorer:
    """A way of reading; a row names the scorer that made it."""

    name: str
    version: str
    """Raised when it scores otherwise than before."""
    any_script: bool
    """Whether words are those of any script, in text that was normalised; else of ASCII letters and digits."""
    cut_at_period: bool
    """Whether only the text before a prediction's first period counts; without a period all of it does."""
    whole_words: bool
    """Whether a keyword must stand alone, so that "normal" is not found in "abnormal"."""
    no_keywords: float | None
    """The keyword share of a question without keywords."""
    least_k: int
    """The fewest tokens that Min-K% averages; with 0, ratios of short answers drop out."""
    extra_tokens: int
    """Tokens that a mean log-likelihood counts beyond those it sums."""

    def read(self, prediction: str) -> str:
        """The part of a prediction that is scored."""
        return prediction.partition(".")[0] if self.cut_at_period else prediction

    def keyword_share(self, keywords: Sequence[str], prediction: str) -> float | None:
        """The fraction of ``keywords`` that the prediction holds, whatever the case."""
        text, wanted = self._folded(self.read(prediction)), [self._folded(keyword) for keyword in keywords]
        if self.whole_words:
            wanted = [keyword for each in wanted if (keyword := each.strip())]
        if not wanted:
            return self.no_keywords
        return sum(holds(text, each) if self.whole_words else each in text for each in wanted) / len(wanted)

    def _folded(self, text: str) -> str:
        return folded(text) if self.any_script else text.lower()

    @property
    def label(self) -> dict[str, str]:
        """How a row names it."""
        return {"name": self.name, "version": self.version}

    def mean_nll(self, logprobs: Sequence[float]) -> float:
        """The mean negative log-likelihood, in nats, of an answer of at least one token."""
        return -sum(logprobs) / (len(logprobs) + self.extra_tokens)


STRICT = Scorer(
    "strict",
    "2",
    any_script=True,
    cut_at_period=False,
    whole_words=True,
    no_keywords=None,
    least_k=1,
    extra_tokens=0,
)
"""The plain way: nothing is cut, keywords are whole words, every Min-K% ratio counts, means are per token.

Version 2 reads text of any script; of ASCII text it gives what version 1 gave.
"""
