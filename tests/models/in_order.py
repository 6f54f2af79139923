"""Replies in the order of the queries, where a test has no keys of its own."""

from collections.abc import Sequence
from typing import Any

from unlearnbench.contracts.sample import Query
from unlearnbench.models.asking.requests import Ask, Weigh, ask


def answers(model: Any, queries: Sequence[Query], run: Any, *, max_new_tokens: int, **how: Any) -> list[str]:
    asked = [Ask(place, query, max_new_tokens) for place, query in enumerate(queries)]
    return [*ask(model, asked, run, **how).values()]


def log_probabilities(model: Any, pairs: Sequence[tuple[Query, str]], run: Any, **how: Any) -> list[list[float]]:
    asked = [Weigh(place, query, answer) for place, (query, answer) in enumerate(pairs)]
    return [*ask(model, asked, run, **how).values()]
