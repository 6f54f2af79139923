"""What a likelihood says of each of an answer's tokens, beside how likely it is."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenFacts:
    """Facts about the tokens of one answer, its end token included; every tensor is [tokens].

    ``log_probability`` is natural and float32; ``is_argmax`` tells whether it is the likeliest, the first of equals.
    ``mean`` and ``std`` are of the log-probabilities that tokens of the vocabulary have at that place, each as likely
    as the model finds it: minus the entropy, and by how much a drawn token's would vary (what Min-K%++ standardises by,
    arXiv:2404.02936).
    """

    log_probability: Tensor
    is_argmax: Tensor
    mean: Tensor
    std: Tensor


def facts(logits: Tensor, ids: Tensor) -> TokenFacts:
    """Of tokens ``ids`` [tokens] the facts, from the logits [tokens, vocabulary] that predict them; differentiable."""
    logs = logits.float().log_softmax(-1)
    chances = logs.exp()
    mean = -torch.special.entr(chances).sum(-1)
    spread = (logs - mean[:, None]).masked_fill(chances == 0, 0.0)  # an impossible token is infinitely far, and never
    return TokenFacts(
        log_probability=logs.gather(1, ids[:, None])[:, 0],
        is_argmax=logits.argmax(-1) == ids,
        mean=mean,
        std=(chances * spread.square()).sum(-1).sqrt(),
    )
