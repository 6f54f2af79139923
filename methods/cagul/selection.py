"""Which visual tokens CAGUL replaces: those to which the question attends least (eq. 7)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from unlearnbench import VLM, Batch, Picture, Query

from .modules import least_attended
from .params import CAGULParams


class Selector:
    """Chooses k visual tokens of each picture of a question: once for all layers, or for each cross-attention layer.

    Scores come from the frozen model with the original visual tokens, so they are constants of a query: each is
    computed once and kept. Random ones (an ablation) are constants of picture, question and ``seed``. Where a model
    is trained on behind an edit that chooses, scores change from step to step, and none is kept.
    """

    def __init__(self, model: VLM, params: CAGULParams, seed: int = 0) -> None:
        self.model, self.params, self.seed = model, params, seed
        self._known: dict[tuple[str, ...], list[Tensor]] = {}

    def scores(self, batch: Batch) -> list[Tensor] | None:
        """The scores that the choice is made by, per picture [choices, N_v]; None where it is made at random."""
        if self.params.selection == "random":
            return None
        visual = [picture.tokens for picture in batch.pictures]
        scores = self.model.attention(batch, visual, self._layers())
        return scores if self._own_choices() else [score.mean(0, keepdim=True) for score in scores]

    def select(self, batch: Batch) -> list[Tensor]:
        """Indices of the chosen tokens, per picture: [min(k, N_v)], or [layers, min(k, N_v)] if layers choose."""
        network = self.model.model
        if any(parameter.requires_grad for parameter in network.parameters()):  # a look in between may be in eval mode
            training = network.training
            network.eval()  # what is chosen rests on no dropout
            try:
                return self._choose(batch)
            finally:
                network.train(training)
        new = [row for row, query in enumerate(batch.queries) if query.images and key(query) not in self._known]
        if new:
            part = batch.take(new)
            chosen = self._choose(part)
            for query, places in zip(part.queries, part.by_row, strict=True):
                self._known[key(query)] = [chosen[place] for place in places]
        return [indices for query in batch.queries if query.images for indices in self._known[key(query)]]

    def forget(self) -> None:
        """Choose anew, since the model has changed."""
        self._known.clear()

    def _choose(self, batch: Batch) -> list[Tensor]:
        texts = [batch.queries[row].text for row in batch.row_of]
        pictures = zip(batch.images, texts, batch.pictures, strict=True)
        scores = self.scores(batch) or [self._drawn(image, text, picture) for image, text, picture in pictures]
        chosen = [
            least_attended(score, self.params.k, picture.valid)
            for score, picture in zip(scores, batch.pictures, strict=True)
        ]
        return chosen if self._own_choices() else [indices[0] for indices in chosen]

    def _drawn(self, image: Path, text: str, picture: Picture) -> Tensor:
        """Scores in a random order [choices, N_v], a constant of the picture, the question and the seed."""
        generator = drawing("selection", image, text, self.seed)
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


def key(query: Query) -> tuple[str, ...]:
    """What the selections of a query's pictures depend on."""
    return query.text, *map(str, query.images)


def drawing(what: str, image: Path, text: str, seed: int) -> torch.Generator:
    """A generator for what is drawn for a picture and a question in a run of this seed, the same on any machine.

    So every sample has draws of its own and every seed others, and a stored edit draws again what training drew.
    """
    digest = hashlib.sha256(f"{what}\n{seed}\n{image.name}\n{text}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
