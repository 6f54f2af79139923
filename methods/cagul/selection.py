"""Which visual tokens CAGUL replaces: those to which the question attends least (eq. 7)."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from unlearnbench.models.vlm import VLM, Batch, Query

from .params import CAGULParams


class Selector:
    """Chooses k visual tokens for a question on a picture.

    Scores come from the frozen model with the original visual tokens, so they are constants of a (picture, question)
    pair: each is computed once and kept.
    """

    def __init__(self, model: VLM, params: CAGULParams) -> None:
        self.model, self.params = model, params
        self._known: dict[tuple[str, str], Tensor] = {}

    def scores(self, batch: Batch) -> list[Tensor] | None:
        """The scores [N_v] that the choice is made by, per sample; None where it is made at random."""
        if self.params.selection == "random":
            return None
        visual = [picture.tokens for picture in batch.pictures]
        return [score.mean(0) for score in self.model.attention(batch, visual, self._layers())]

    def select(self, batch: Batch) -> list[Tensor]:
        """Indices [min(k, N_v)] of the chosen tokens, per sample."""
        new = [row for row, query in enumerate(batch.queries) if key(query) not in self._known]
        if new:
            for query, indices in zip((batch.queries[row] for row in new), self._choose(batch.take(new)), strict=True):
                self._known[key(query)] = indices
        return [self._known[key(query)] for query in batch.queries]

    def _choose(self, batch: Batch) -> list[Tensor]:
        scores = self.scores(batch)
        if scores is None:
            return [
                torch.randperm(len(picture.tokens), generator=seeded(query))[: self.params.k].to(picture.tokens.device)
                for query, picture in zip(batch.queries, batch.pictures, strict=True)
            ]
        return [least_attended(score, self.params.k) for score in scores]

    def _layers(self) -> Sequence[int] | None:
        match self.params.layer_reduce:
            case "mean":
                return None
            case "last":
                return [-1]
            case layers:
                return layers


def least_attended(scores: Tensor, k: int) -> Tensor:
    """The k least attended of N_v tokens, from their scores [N_v]; ties by position."""
    return scores.argsort(stable=True)[:k]


def key(query: Query) -> tuple[str, str]:
    """What a selection depends on."""
    return str(query.image), query.text


def seeded(query: Query) -> torch.Generator:
    """A generator that is a constant of the picture's name and the question, on any machine."""
    digest = hashlib.sha256(f"{query.image.name}\n{query.text}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
