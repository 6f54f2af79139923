"""Drawing answers: each query from a generator of its own, so that others in its batch change nothing about it."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from ...contracts.sample import Query, Sampling

Samplings = Sampling | Sequence[Sampling | None] | None
"""How a batch is answered: all queries drawn alike, or each by its own rule; none is greedy."""


def each(sampling: Samplings, count: int) -> list[Sampling | None]:
    """The rule of every one of ``count`` queries."""
    if sampling is None or isinstance(sampling, Sampling):
        return [sampling] * count
    if len(sampling) != count:
        raise ValueError(f"{len(sampling)} samplings for {count} queries")
    return [*sampling]


class Drawn(LogitsProcessor):  # type: ignore[misc]
    """Leaves only the drawn token of each row possible, so that greedy generation takes it; the last of processors.

    A step takes one number of a row's generator and looks it up in the cumulative probabilities in the order of the
    vocabulary: last digits of logits, which batches do change, hardly ever change a token.
    """

    def __init__(self, queries: Sequence[Query], samplings: Sequence[Sampling | None], device: torch.device) -> None:
        drawn = [(row, rule) for row, rule in enumerate(samplings) if rule is not None]
        self._rows = torch.tensor([row for row, _ in drawn], dtype=torch.long, device=device)
        self._generators = [generator(queries[row], rule.seed) for row, rule in drawn]
        self._temperature = torch.tensor([[rule.temperature] for _, rule in drawn], device=device)
        self._top_p = torch.tensor([[rule.top_p] for _, rule in drawn], dtype=torch.double, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: D102
        if not len(self._rows):
            return scores
        numbers = torch.stack([torch.rand(1, generator=each, dtype=torch.double) for each in self._generators])
        own = (scores[self._rows].double() / self._temperature).softmax(-1)
        ordered, places = own.sort(dim=-1, descending=True, stable=True)
        beyond = ordered.cumsum(-1) - ordered >= self._top_p  # what likelier tokens hold is enough already
        kept = own.masked_fill(beyond.gather(-1, places.argsort(-1)), 0)
        total = kept.cumsum(-1)
        # A number below the whole, so that the token found has a probability itself.
        chosen = torch.searchsorted(total, numbers.to(total.device) * total[:, -1:], right=True)
        chosen = torch.minimum(chosen, _last(kept))
        only = torch.full_like(scores[self._rows], float("-inf")).scatter_(-1, chosen, 0.0)
        return scores.index_copy(0, self._rows, only)


def _last(kept: Tensor) -> Tensor:
    """The last token [rows, 1] that has a probability."""
    return kept.shape[-1] - 1 - (kept > 0).flip(-1).int().argmax(-1, keepdim=True)


def generator(query: Query, seed: int) -> torch.Generator:
    """Draws of a query's own, the same on any machine and wherever its pictures' files lie."""
    names = "\n".join(image.name for image in query.images)
    digest = hashlib.sha256(f"answer\n{seed}\n{names}\n{query.text}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
