"""CAGUL's two small networks, the discriminator D and the visual token encoder E, and what they are put to work by.

They compute in float32. Of torch alone: exported models carry a copy of this file.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Discriminator(nn.Module):
    """D: does this picture show somebody who asked to be forgotten? A small CNN along the sequence of visual tokens.

    The ``radial`` head answers by the distance of the picture's features to a few learned prototypes, so a picture
    unlike any seen in training is far from all of them and the gate stays shut; a ``linear`` head may do anything
    there. The linear one opened on pictures of another kind after long training (docs/cagul.md).
    """

    def __init__(self, width: int, channels: int, head: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, channels, kernel_size=3, padding=1),
            nn.Tanh(),  # bounded, with no dead zone in which unlike pictures would look alike
            nn.Conv1d(channels, channels, kernel_size=3, padding=1),
        )
        self.head = nn.Linear(channels, 1) if head == "linear" else RadialHead(channels)

    def forward(self, visual: Sequence[Tensor]) -> Tensor:
        """Logits [samples] for visual tokens [N_v, d] of each; pictures may differ in N_v.

        Of tokens that enter in several streams, [streams, N_v, d], the first is looked at.
        """
        visual = [tokens if tokens.ndim == 2 else tokens[0] for tokens in visual]
        if len({len(tokens) for tokens in visual}) == 1:
            return self._logits(torch.stack(list(visual)))
        return torch.cat([self._logits(tokens[None]) for tokens in visual])

    def _logits(self, tokens: Tensor) -> Tensor:
        seen = self.convolutions(self.norm(tokens.float()).transpose(1, 2))
        return self.head(seen.mean(-1))[:, 0]  # type: ignore[no-any-return]


class RadialHead(nn.Module):
    """A logit that falls with the squared distance to the nearest prototypes: radius + log sum exp(-sharpness d^2)."""

    PROTOTYPES = 8

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(self.PROTOTYPES, channels) / 10)
        self.radius = nn.Parameter(torch.ones(()))
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """[samples, channels] to [samples, 1]."""
        distance = (features[:, None] - self.prototypes).square().sum(-1)
        return (self.radius + (-self.log_sharpness.exp() * distance).logsumexp(1))[:, None]


class Encoder(nn.Module):
    """E: what a selected visual token is replaced by, a one-layer MLP of the token itself (eq. 8)."""

    def __init__(self, width: int, init: str) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        if init == "identity":
            nn.init.eye_(self.layer.weight)
            nn.init.zeros_(self.layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., k, d] to the same shape."""
        return self.layer(tokens.float())  # type: ignore[no-any-return]


def noisy(tokens: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """The ablation "w/o E": ``tokens`` [..., k, d] with uniform noise added, symmetric about zero.

    Its standard deviation is ``scale`` times that of the tokens' own numbers, in each of their layers or streams.
    """
    noise = torch.rand(tokens.shape, generator=generator).to(tokens.device) * 2 - 1
    spread = tokens.float().std(dim=(-2, -1), keepdim=True)
    return tokens.float() + noise * 3**0.5 * scale * spread


def least_attended(scores: Tensor, k: int, valid: Tensor | None = None) -> Tensor:
    """The k least attended of N_v tokens that are ``valid`` [N_v], from scores [..., N_v]; ties by position."""
    if valid is not None:
        scores, k = scores.masked_fill(~valid, float("inf")), min(k, int(valid.sum()))
    return scores.argsort(dim=-1, stable=True)[..., :k]


def replaced(tokens: Tensor, chosen: Tensor, new: Callable[[Tensor], Tensor]) -> Tensor:
    """Eq. 8 on a picture's ``tokens``: those that are ``chosen`` are what ``new`` makes of them, others as they were.

    ``chosen`` is [k], or [layers, k] where layers choose for themselves: these get tokens of their own,
    [layers, N_v, d]. Of tokens that enter in several streams, [streams, N_v, d], every stream is encoded.
    """
    if chosen.ndim == 1:
        return tokens.index_copy(-2, chosen, new(tokens[..., chosen, :]).to(tokens.dtype))
    layers = tokens.expand(len(chosen), -1, -1)  # an edit before this one may have given each its own
    picked = torch.stack([layer[places] for layer, places in zip(layers, chosen, strict=True)])
    made = new(picked).to(tokens.dtype)
    return torch.stack([layer.index_copy(0, *its) for layer, *its in zip(layers, chosen, made, strict=True)])
