"""Which visual tokens CAGUL replaces: those to which the question attends least (eq. 7)."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from unlearnbench.contracts.sample import Query
from unlearnbench.models.contract.vlm import VLM, Batch
from unlearnbench.models.pictures.cache import Picture

from .params import CAGULParams


class Selector:
    """Chooses k visual tokens for a question on a picture: once for all layers, or for each cross-attention layer.

    Scores come from the frozen model with the original visual tokens, so they are constants of a (picture, question)
    pair: each is computed once and kept. Random ones (an ablation) are constants of the pair and of ``seed``. Where a
    model is trained on behind an edit that chooses, scores change from step to step, and none is kept.
    """

    def __init__(self, model: VLM, params: CAGULParams, seed: int = 0) -> None:
        self.model, self.params, self.seed = model, params, seed
        self._known: dict[tuple[str, str], Tensor] = {}

    def scores(self, batch: Batch) -> list[Tensor] | None:
        """The scores that the choice is made by, per sample [choices, N_v]; None where it is made at random."""
        if self.params.selection == "random":
            return None
        visual = [picture.tokens for picture in batch.pictures]
        scores = self.model.attention(batch, visual, self._layers())
        return scores if self._own_choices() else [score.mean(0, keepdim=True) for score in scores]

    def select(self, batch: Batch) -> list[Tensor]:
        """Indices of the chosen tokens, per sample: [min(k, N_v)], or [layers, min(k, N_v)] if layers choose."""
        network = self.model.model
        if network.training:
            network.eval()  # what is chosen rests on no dropout
            try:
                return self._choose(batch)
            finally:
                network.train()
        new = [row for row, query in enumerate(batch.queries) if key(query) not in self._known]
        if new:
            for query, indices in zip((batch.queries[row] for row in new), self._choose(batch.take(new)), strict=True):
                self._known[key(query)] = indices
        return [self._known[key(query)] for query in batch.queries]

    def forget(self) -> None:
        """Choose anew, since the model has changed."""
        self._known.clear()

    def _choose(self, batch: Batch) -> list[Tensor]:
        pairs = list(zip(batch.queries, batch.pictures, strict=True))
        scores = self.scores(batch) or [self._drawn(query, picture) for query, picture in pairs]
        chosen = [
            least_attended(score, self.params.k, picture.valid)
            for score, picture in zip(scores, batch.pictures, strict=True)
        ]
        return chosen if self._own_choices() else [indices[0] for indices in chosen]

    def _drawn(self, query: Query, picture: Picture) -> Tensor:
        """Scores in a random order [choices, N_v], a constant of the picture, the question and the seed."""
        generator = drawing("selection", query, self.seed)
        choices = len(self.model.attention_layers) if self._own_choices() else 1
        orders = [torch.randperm(picture.count, generator=generator).argsort() for _ in range(choices)]
        return torch.stack(orders).to(picture.tokens.device, torch.float32)

    def _own_choices(self) -> bool:
        """Whether every layer that attends to visual tokens has a choice of its own."""
        return self.model.layered and self.params.layer_reduce == "paper"

    def _layers(self) -> Sequence[int] | None:
        match self.params.layer_reduce:
            case "paper" | "mean":
                return None
            case "last":
                return self.model.attention_layers[-1:]
            case layers:
                return layers


def least_attended(scores: Tensor, k: int, valid: Tensor | None = None) -> Tensor:
    """The k least attended of N_v tokens that are ``valid`` [N_v], from scores [..., N_v]; ties by position."""
    if valid is not None:
        scores, k = scores.masked_fill(~valid, float("inf")), min(k, int(valid.sum()))
    return scores.argsort(dim=-1, stable=True)[..., :k]


def key(query: Query) -> tuple[str, str]:
    """What a selection depends on."""
    return str(query.images[0]), query.text


def drawing(what: str, query: Query, seed: int) -> torch.Generator:
    """A generator for what is drawn for one sample in a run of this seed, the same on any machine.

    So every sample has draws of its own and every seed others, and a stored edit draws again what training drew.
    """
    digest = hashlib.sha256(f"{what}\n{seed}\n{query.images[0].name}\n{query.text}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
