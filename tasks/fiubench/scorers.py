"""The two ways of scoring FIUBench: the published arithmetic with its quirks, and the same repaired."""

from collections.abc import Sequence

from unlearnbench import Scorer
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.words import blind

FIUBENCH = Scorer(
    "fiubench",
    "1",
    any_script=False,
    cut_at_period=True,
    whole_words=False,
    no_keywords=0.0,
    least_k=0,
    extra_tokens=1,
)
"""As published (Ma et al. 2024, arXiv:2411.03554, and its code)."""

SCORERS = {scorer.name: scorer for scorer in (STRICT, FIUBENCH)}


def blindness(texts: Sequence[str]) -> str | None:
    """To how many of ``texts`` ROUGE as published is `blind`, in one line; None where to none."""
    if not (number := sum(map(blind, texts))):
        return None
    return (
        f"scorer fiubench is blind to {number:,} of {len(texts):,} true answers, whose words have no ASCII letter or "
        "digit: their ROUGE-L is 0 whatever is said, which reads as forgotten; scorer strict reads them"
    )
