"""Reading text-to-image attention out of any attention kernel, without materialising L x L matrices.

The model's attention function is wrapped for one forward pass. The wrapper takes the rows of the question's tokens
alone: B x H x N_q x L numbers in place of B x H x L x L. What the model computes is untouched.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class EnoughLayersError(Exception):
    """Every wanted layer has been read: the rest of the forward pass is not needed."""


class AttentionReader:
    """Collects, per layer, the mean attention of chosen query rows to every key.

    ``modules`` maps attention modules to their layer numbers; ``rows`` [B, N_q] holds each sample's query positions,
    -1 where a sample has fewer. After the pass ``scores[layer]`` is [B, L], float32: the mean over heads and rows of
    softmax(q k' scale + mask), normalised over *all* keys.
    """

    def __init__(self, modules: Sequence[tuple[int, nn.Module]], rows: Tensor) -> None:
        self._layer_of = {id(module): layer for layer, module in modules}
        self._rows = rows
        self.scores: dict[int, Tensor] = {}

    @torch.no_grad()
    def read(self, module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        """Take the scores of one layer: ``query`` [B, H, L, D], ``key`` [B, H_kv, L, D], any mask form."""
        layer = self._layer_of.get(id(module))
        if layer is None:
            return
        batch, heads, length, size = query.shape
        kv_heads, keys = key.shape[1], key.shape[2]
        real = self._rows >= 0
        rows = self._rows.clamp_min(0)
        index = rows[:, None, :, None]
        chosen = query.gather(2, index.expand(batch, heads, -1, size)).reshape(batch, kv_heads, -1, size)
        logits = (chosen.float() @ key.float().transpose(-1, -2) * scaling).view(batch, heads, -1, keys)
        logits = self._masked(logits, mask, rows, length, causal=getattr(module, "is_causal", False))
        weights = logits.softmax(-1).mean(1).masked_fill(~real[..., None], 0)  # a row of padding may be all NaN
        self.scores[layer] = weights.sum(1) / real.sum(1, keepdim=True).clamp_min(1)
        if len(self.scores) == len(self._layer_of):
            raise EnoughLayersError

    def _masked(self, logits: Tensor, mask: Tensor | None, rows: Tensor, length: int, *, causal: bool) -> Tensor:
        keys = logits.shape[-1]
        if mask is not None and mask.ndim == 4:  # sdpa: booleans; eager: numbers to add
            mask = mask.expand(len(logits), -1, -1, -1)
            index = rows[:, None, :, None].expand(-1, mask.shape[1], -1, mask.shape[-1])
            part = mask.gather(2, index)[..., :keys]
            return logits.masked_fill(~part, float("-inf")) if part.dtype == torch.bool else logits + part
        if not causal:
            return logits
        visible = (torch.arange(keys, device=rows.device) <= (rows[..., None] + keys - length))[:, None]
        if mask is not None:  # flash attention: [B, L], zero for padding
            visible = visible & mask[:, None, None, :keys].bool()
        return logits.masked_fill(~visible, float("-inf"))


@contextmanager
def reading(model: Any, reader: AttentionReader) -> Iterator[None]:
    """Wrap the attention implementation that ``model`` uses for the passes inside the block.

    The function is replaced under its own name, since mask creation goes by the name; the global entry is untouched.
    """
    name = model.config.get_text_config()._attn_implementation
    module_of_decoder = sys.modules[type(model.get_decoder()).__module__]
    plain = module_of_decoder.eager_attention_forward if name == "eager" else ALL_ATTENTION_FUNCTIONS[name]

    def wrapped(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *args: Any, **kwargs: Any
    ) -> Any:
        reader.read(module, query, key, mask, kwargs["scaling"])
        return plain(module, query, key, value, mask, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS[name] = wrapped
    try:
        yield
    except EnoughLayersError:
        pass
    finally:
        del ALL_ATTENTION_FUNCTIONS[name]
