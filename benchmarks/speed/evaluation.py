"""Answers and likelihoods: through `transformers` alone, with every shortcut off, and as the package runs."""

from typing import Any

import torch

from unlearnbench.contracts.request import Request
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.runtime.run import Run

from .case import Case
from .measure import Clock, Way, compare

NEW_TOKENS = 24
PRECISION = 1e-4
"""Nats by which log-probabilities may differ in float32."""


def ours(case: Case, what: str, *, shared: bool, batch_size: int | None = None) -> Way:
    """As a run asks, pictures not seen before."""

    @torch.no_grad()
    def run(clock: Clock) -> Any:
        case.model.let_go(case.images)
        case.model.shares_prefixes = case.model.static_cache = shared
        with clock:
            requests: list[Request[int, Any]] = [Ask(row, query, NEW_TOKENS) for row, query in enumerate(case.queries)]
            if what != "generation":
                pairs = zip(case.queries, case.answers, strict=True)
                requests = [Weigh(row, query, answer) for row, (query, answer) in enumerate(pairs)]
            return [*ask(case.model, requests, Run(), batch_size=batch_size).values()]

    return run


def theirs(case: Case, what: str, size: int) -> Way:
    """`transformers` alone, ``size`` questions at a time."""

    @torch.no_grad()
    def run(clock: Clock) -> Any:
        with clock:
            return case.generated(size, NEW_TOKENS) if what == "generation" else case.weighed(size)

    return run


def compared(case: Case, repeats: int, rate: float) -> dict[str, Any]:
    """Both kinds of asking, four ways each; raises AssertionError where they must agree and do not."""
    found = {}
    for what in ("generation", "likelihoods"):
        ways = {
            "transformers, one at a time": theirs(case, what, 1),
            "transformers, a picture's in a batch": theirs(case, what, case.questions),
            "--exact": ours(case, what, shared=False),
            "unlearnbench": ours(case, what, shared=True),
        }
        lines, results = compare(ways, repeats, case.device, rate)
        found[what] = {"ways": lines, **agreement(what, results, case.must_agree)}
    return {"model": case.name, "visual_tokens": case.visual_tokens, "questions": len(case.queries), **found}


def agreement(what: str, results: dict[str, Any], must: bool) -> dict[str, float]:
    """How well the ways agree with the fast one; raises AssertionError where they ``must`` and do not."""
    *others, fast = results.values()
    if what == "generation":
        equal = min(sum(map(str.__eq__, fast, other)) / len(fast) for other in others)
        assert equal == 1 or not must, f"{1 - equal:.0%} of the answers differ"
        return {"equal_answers": equal}
    worst = max(
        abs(x - y) for other in others for a, b in zip(fast, other, strict=True) for x, y in zip(a, b, strict=True)
    )
    assert worst < PRECISION or not must, f"log-probabilities differ by {worst}"
    return {"largest_difference": worst}
