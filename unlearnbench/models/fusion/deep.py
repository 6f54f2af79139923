"""Models that read the picture through cross-attention layers of their own: what they have in common.

Visual tokens never stand in the language model's sequence: a placeholder does, and every cross-attention layer reads
all of them. So each of these layers can be given visual tokens of its own.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ...runtime.distributed import is_cut_up
from ..contract.vlm import Batch
from .decoder import DecoderVLM
from .packed import spared_of


class DeepFusionVLM(DecoderVLM):
    """Cross-attention to visual tokens in layers of its own, of which the text config names ``cross_attention_layers``.

    A family says where its projector and a layer's attention are, and how a mask of cross-attention looks. Rows with
    the same number of pictures are read in one pass: tokens before a row's pictures attend to all that is there, so
    pictures that only pad a row would change answers. Rows without a picture pass these layers by.
    """

    layered = True

    def __init__(self, model: nn.Module, processor: Any) -> None:
        super().__init__(model, processor)
        self.model.model.register_forward_pre_hook(_only_at_first, with_kwargs=True)
        for place, layer in enumerate(self.attention_layers):
            self._attention_module(layer).register_forward_pre_hook(_own_of(place), with_kwargs=True)

    @property
    def attention_layers(self) -> tuple[int, ...]:  # noqa: D102
        return tuple(sorted(self.model.config.text_config.cross_attention_layers))

    @abstractmethod
    def _crossing(self, batch: Batch, seen: Tensor) -> dict[str, Any]:
        """The mask of cross-attention for tokens that see which pictures of their row: ``seen`` [B, n, pictures]."""

    def _alike(self, batch: Batch) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for row, query in enumerate(batch.queries):
            groups.setdefault(len(query.images), []).append(row)
        if (len(groups) > 1 or 0 in groups) and is_cut_up(next(self.language_model().parameters())):
            raise UsageError(  # all processes must read the same layers at once, and as often
                f"a model of the family {self.name} that is cut up among processes takes only queries with equally "
                "many pictures, at least one: train it on one GPU, or an adapter of it"
            )
        return [*groups.values()]

    def spared(self, batch: Batch, visual: Sequence[Tensor]) -> float:
        """Keys and values too, which each of these layers makes of a picture's tokens for every row that has it."""
        return spared_of(batch, visual, self._crossing_share) if self._may_pack else 0.0

    @cached_property
    def _crossing_share(self) -> float:
        """What a visual token costs, in tokens of text: by the weights that each goes through."""
        modules: list[Any] = [self._attention_module(layer) for layer in self.attention_layers]
        weights = [each for module in modules for part in (module.k_proj, module.v_proj) for each in part.parameters()]
        layers: Any = self.language_model().layers
        return float(sum(each.numel() for each in weights) / sum(each.numel() for each in layers.parameters()))

    def _visual_part(self, scores: Tensor, batch: Batch) -> list[Tensor]:
        pictures = len(batch.pictures) // len(batch)
        return [part for score in scores for part in score.chunk(pictures, dim=-1)]

    def _further(self, batch: Batch, mask: Tensor) -> dict[str, Any]:
        if not batch.pictures:
            return {}
        return self._crossing(batch, _seen(batch)[:, -1:] & mask.bool()[:, :, None])

    def _inputs(self, batch: Batch, visual: list[Tensor]) -> dict[str, Any]:
        """Text, visual tokens [B, N_v, d] or [B, layers, N_v, d] of all pictures, and what each token may look at.

        The mask is never left out: without one, `transformers` makes cross-attention causal.
        """
        text = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if not visual:
            return text
        layers = max((len(tokens) for tokens in visual if tokens.ndim == 3), default=0)
        if layers:
            visual = [tokens if tokens.ndim == 3 else tokens.expand(layers, -1, -1) for tokens in visual]
        pictures, rows = len(visual) // len(batch), visual
        if pictures > 1:  # one alone is left as it is: gradients of a picture in several rows are added up in one order
            rows = [torch.cat(visual[start : start + pictures], dim=-2) for start in range(0, len(visual), pictures)]
        return {
            **text,
            "cross_attention_states": torch.stack(rows).to(self.dtype),
            **self._crossing(batch, _seen(batch)),
        }


def _seen(batch: Batch) -> Tensor:
    """Which token sees which picture [B, L, pictures], where rows have equally many.

    A picture is seen from its own token on to the next one's. Those that follow each other are seen alike.
    """
    count, begun = len(batch.pictures) // len(batch), batch.image_mask.cumsum(1)
    seen = [begun >= count]
    for number in range(count - 1, 0, -1):
        place = (begun >= number).int().argmax(1, keepdim=True)
        follows = begun.gather(1, (place + 1).clamp_max(begun.shape[1] - 1)) > number
        seen.insert(0, (begun == number) | (follows & seen[0]))
    return torch.stack(seen, dim=2) & batch.attention_mask.bool()[:, :, None]


def _only_at_first(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Drop the visual tokens once their keys are cached: `generate` passes them again with every new token."""
    if kwargs.get("cross_attention_states") is None:
        return args, kwargs
    cache = kwargs.get("cache", kwargs.get("past_key_values"))  # the latter is its name before transformers 5.24
    if cache is not None and cache.get_seq_length() > 0:
        kwargs["cross_attention_states"] = None
    return args, kwargs


def _own_of(place: int) -> Any:
    """A hook that leaves the cross-attention layer at ``place`` its own visual tokens of [B, layers, N_v, d]."""

    def choose(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        states = kwargs.get("cross_attention_states")
        if states is not None and states.ndim == 4:
            kwargs["cross_attention_states"] = states[:, place]
        return args, kwargs

    return choose
