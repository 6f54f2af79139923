"""What stands in for a model where a task is checked: it says something to everything, always the same."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from re import finditer

import torch
from torch import Tensor

from ..contracts.sample import Query

_SAID = ("Yes", "No", "I cannot say.", "")


@dataclass(frozen=True)
class Prepared:
    """A batch: queries, and the answers that are weighed."""

    queries: Sequence[Query]
    answers: Sequence[str]


class Voice:
    """Answers and likelihoods that follow from the question's text, its pictures' names and the ``seed`` alone.

    It knows what `unlearnbench.ask` needs of a model; whatever a task asks besides is not there.
    """

    device = torch.device("cpu")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: list[Query] = []

    def prepare(self, queries: Sequence[Query], answers: Sequence[str] | None = None) -> Prepared:
        """The batch as it is; what was asked is kept."""
        self.asked += queries
        return Prepared(queries, answers or [""] * len(queries))

    def generate(self, batch: Prepared, **how: object) -> list[str]:
        """A few short answers by turns, and the question's own words."""
        return [[*_SAID, query.text][self._number(query, "", 5)] for query in batch.queries]

    def answer_log_probabilities(self, batch: Prepared, **how: object) -> list[Tensor]:
        """A number for every word and one for the end."""
        return [
            torch.tensor([-(1 + self._number(query, f"{place} {answer}", 4000)) / 1000 for place in range(words + 1)])
            for query, answer in zip(batch.queries, batch.answers, strict=True)
            for words in [len(answer.split())]
        ]

    def answer_spans(self, answer: str) -> list[tuple[int, int]]:
        """Its tokens are words."""
        return [*(word.span() for word in finditer(r"\S+", answer)), (len(answer), len(answer))]

    def explain(self, batch: Prepared) -> None:
        """No edit of visual tokens is there to be explained."""

    def look_ahead(self, paths: Iterable[Path]) -> None:
        """No picture is read."""

    def let_go(self, paths: Iterable[Path]) -> None:
        """None is kept."""

    def unchanged(self) -> AbstractContextManager[None]:
        """Nothing can change it."""
        return nullcontext()

    def _number(self, query: Query, more: str, below: int) -> int:
        said = f"{self.seed} {query.text} {[image.name for image in query.images]} {more}"
        return int.from_bytes(sha256(said.encode()).digest()[:8]) % below
