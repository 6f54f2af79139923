"""What looks at the logits of every step of generation, and what draws from them.

An answer that cannot be computed is no answer: logits that are not finite are an error that names the question. Drawn
answers come from a generator of each query's own, so that others in its batch change nothing about them.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from ...contracts.sample import Query, Sampling
from ...errors import ModelError

SHOWN = 80
"""Characters of a question that an error shows."""


class Watch(LogitsProcessor):  # type: ignore[misc]
    """Looks at the logits of every step of generation and leaves them as they are.

    A row's largest logit is finite just where an answer can be: some may be minus infinity, as where tokens are
    suppressed. What it saw stays on the device until `check`, so no step waits for it.
    """

    def __init__(self) -> None:
        self._broken: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: D102
        broken = ~torch.isfinite(scores.amax(-1))
        self._broken = broken if self._broken is None else self._broken | broken
        return scores

    def check(self, queries: Sequence[Query]) -> None:
        """Raise `ModelError` for the first of the ``queries``, one a row, that has no answer."""
        if self._broken is not None and bool(self._broken.any()):
            raise not_finite(queries[int(self._broken.int().argmax())])


def not_finite(query: Query) -> ModelError:
    """What to say of a question whose answer, or its likelihood, is no number."""
    text = query.text if len(query.text) <= SHOWN else f"{query.text[:SHOWN]}…"
    about = f" about {', '.join(image.name for image in query.images)}" if query.images else ""
    return ModelError(
        f"the model's logits are not finite on {text!r}{about}, so there is no answer: training "
        "diverged (lower the learning rate), or the weights are damaged"
    )


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
        self._cuts = any(rule.top_p < 1 for _, rule in drawn)
        self._top_p = torch.tensor([[rule.top_p] for _, rule in drawn], dtype=torch.double, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: D102
        if not len(self._rows):
            return scores
        numbers = torch.stack([torch.rand(1, generator=each, dtype=torch.double) for each in self._generators])
        own = (scores[self._rows].double() / self._temperature).softmax(-1)
        kept = self._likeliest(own) if self._cuts else own
        total = kept.cumsum(-1)
        # A number below the whole, so that the token found has a probability itself.
        chosen = torch.searchsorted(total, numbers.to(total.device) * total[:, -1:], right=True)
        chosen = torch.minimum(chosen, _last(kept))
        only = torch.full_like(scores[self._rows], float("-inf")).scatter_(-1, chosen, 0.0)
        return scores.index_copy(0, self._rows, only)

    def _likeliest(self, own: Tensor) -> Tensor:
        """The probabilities [rows, vocabulary] without those that likelier tokens need not; sorting takes a while."""
        ordered, places = own.sort(dim=-1, descending=True, stable=True)
        beyond = ordered.cumsum(-1) - ordered >= self._top_p  # what likelier tokens hold is enough already
        beyond &= self._top_p < 1  # else last digits of sums would cut some off
        return own.masked_fill(beyond.gather(-1, places.argsort(-1)), 0)


def _last(kept: Tensor) -> Tensor:
    """The last token [rows, 1] that has a probability."""
    return kept.shape[-1] - 1 - (kept > 0).flip(-1).int().argmax(-1, keepdim=True)


def generator(query: Query, seed: int) -> torch.Generator:
    """Draws of a query's own, the same on any machine and wherever its pictures' files lie."""
    names = "\n".join(image.name for image in query.images)
    digest = hashlib.sha256(f"answer\n{seed}\n{names}\n{query.text}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
