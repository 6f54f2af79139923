"""What a vision tower computes on a sequence of patches that falls into parts: windows, or whole pictures.

`transformers` attends part by part, in a loop of Python that a GPU waits for: a hundred windows a layer at a picture of
1024 pixels in Qwen2.5-VL. Here parts of one length are one batch, without padding or mask.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

RUNS = "flash_in_runs"
"""The name of `attend_in_runs` among the attention functions of `transformers`.

Towers tell only functions that are called "flash" where parts end, and loop over parts for all others.
"""


def attend_in_runs(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    dropout: float = 0.0,
    **further: Any,
) -> tuple[Tensor, None]:
    """Attention [1, L, heads, size] of ``query``, ``key`` and ``value`` [1, heads, L, size] within each part.

    ``cu_seq_lens_q`` are the parts' ends, with 0 before them; on a CPU, a GPU need not be waited for.
    """
    stretches: dict[int, list[slice]] = {}
    for length, stretch in _stretches(cu_seq_lens_q.diff().tolist()):
        stretches.setdefault(length, []).append(stretch)
    found: dict[int, Tensor] = {}
    for length, places in stretches.items():
        q, k, v = (_parts(each, places, length) for each in (query, key, value))
        attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        rows = attended.transpose(1, 2).flatten(0, 1)  # [parts * length, heads, size]
        sizes = [place.stop - place.start for place in places]
        found |= {place.start: part for place, part in zip(places, rows.split(sizes), strict=True)}  # type: ignore[no-untyped-call]
    return torch.cat([found[start] for start in sorted(found)])[None], None


AttentionInterface.register(RUNS, attend_in_runs)


def _stretches(lengths: Sequence[int]) -> list[tuple[int, slice]]:
    """Where neighbouring parts of one length begin and end, with that length."""
    found, start = [], 0
    for length, parts in groupby(lengths):
        end = start + length * sum(1 for _ in parts)
        found.append((length, slice(start, end)))
        start = end
    return found


def _parts(states: Tensor, places: Sequence[slice], length: int) -> Tensor:
    """The parts [parts, heads, length, size] of ``length`` at these places of [1, heads, L, size]."""
    chosen = [states[0, :, place] for place in places]
    whole = chosen[0] if len(chosen) == 1 else torch.cat(chosen, dim=1)
    heads, _, size = whole.shape
    return whole.view(heads, -1, length, size).transpose(0, 1)


class Patches(nn.Conv3d):
    """A convolution of which each input is exactly one kernel: a product of matrices, and computed as one."""

    def forward(self, patches: Tensor) -> Tensor:
        """What becomes of [patches, channels, time, height, width]: [patches, width of the tower, 1, 1, 1]."""
        return functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)[..., None, None, None]
