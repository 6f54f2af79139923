"""Reading on token by token, with keys and values in memory that stays where it is, so that a step can be recorded.

`transformers` lets its cache grow, by copying it for every token. Here it has its full length from the start, and a
mask says which of its columns count so far.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import StaticLayer

from ..contract.vlm import Batch
from . import prefix
from .beginnings import window_of
from .recording import Recorded
from .rope import Frequencies

if TYPE_CHECKING:
    from .decoder import DecoderVLM

ROUND = 64
"""Columns come in multiples of it, so that batches of about one length can go on with one recording."""


class Static(Cache):  # type: ignore[misc]
    """Keys and values [B, H, S, D] of every layer; ``at`` [n] says which columns of them those of a pass become.

    Layers of cross-attention, the ``crossing``, hold those of pictures, which no pass changes.
    """

    def __init__(self, layers: int, width: int, crossing: Sequence[int], at: Tensor) -> None:
        """Room for ``width`` columns, taken when it is filled."""
        super().__init__(layers=[StaticLayer(width) for _ in range(layers)])
        self.width, self.crossing, self.at = width, frozenset(crossing), at

    def fill(self, read: Cache, index: Tensor | None, end: int) -> None:
        """Take over what was ``read``, up to the column ``end``: a row's is that at its ``index``, or its own.

        What was read is let go, layer by layer. Of a layer that looks at a window only the last columns are there.
        """
        for number, (layer, own) in enumerate(zip(read.layers, self.layers, strict=True)):
            if not layer.is_initialized:  # as cross-attention is without pictures
                continue
            rows, count = len(layer.keys if index is None else index), layer.keys.shape[2]
            crosses = number in self.crossing
            if not own.is_initialized:
                length = count if crosses else self.width
                own.keys, own.values = (_zeros(of, rows, length) for of in (layer.keys, layer.values))
                own.is_initialized = True
            columns = slice(count) if crosses else slice(end - count, end)
            for to, of in ((own.keys, layer.keys), (own.values, layer.values)):
                to[:, :, columns] = of if index is None else of[index]
            layer.keys = layer.values = None

    @property
    def dtype(self) -> torch.dtype:
        """That in which attention computes."""
        return next(layer.keys.dtype for layer in self.layers if layer.is_initialized)  # type: ignore[no-any-return]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many columns a layer has; how many of them count so far, a mask says.

        Cross-attention of older `transformers` goes by whether there are any.
        """
        layer = self.layers[layer_idx]
        return int(layer.keys.shape[2]) if layer.is_initialized else 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Called by a layer's attention with what it makes of the tokens that it reads."""
        layer = self.layers[layer_idx]
        layer.keys.index_copy_(2, self.at, keys)
        layer.values.index_copy_(2, self.at, values)
        return layer.keys, layer.values


def _zeros(like: Tensor, rows: int, columns: int) -> Tensor:
    """No other numbers: what a mask hides is multiplied by zero, and must be finite."""
    return torch.zeros(rows, like.shape[1], columns, like.shape[3], dtype=like.dtype, device=like.device)


class Decoding:
    """Rows that read on, one token each at a time, from prompts that `begun` has read.

    What a step reads and writes stays where it is: ``ids`` [B, 1] are the tokens to read, ``positions`` [B, 1] or
    [3, B, 1] theirs, ``at`` [1] their column, and ``seen`` [B, S] marks the columns that hold, or will hold, real ones.
    """

    def __init__(self, model: "DecoderVLM", cache: Static, positions: Tensor, shapes: tuple[int, ...]) -> None:
        """Of prompts with such ``positions``; ``shapes`` tells what else would fit in the same memory."""
        self.network, self.cache, self.at, self.shapes = model.model, cache, cache.at, shapes
        rows, device = shapes[0], self.at.device
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.positions = torch.zeros_like(positions[..., -1:])
        self.seen = torch.zeros(rows, cache.width, dtype=torch.bool, device=device)
        self.further: dict[str, Tensor] = {}
        self._window, self._name = window_of(model), prefix.cache_name(model)
        self._frequencies = Frequencies(model.language_model(), cache.width)
        self.recorded = Recorded(record=self._frequencies.steady and model.may_record())

    def start(self, seen: Tensor, positions: Tensor, further: dict[str, Tensor]) -> None:
        """Go on behind prompts of which ``seen`` [B, L] marks the real tokens, at their ``positions``."""
        self.seen[:, : seen.shape[1]] = seen.bool()
        self.seen[:, seen.shape[1] :] = True
        self.at.fill_(seen.shape[1])
        self.positions.copy_(positions[..., -1:] + 1)  # a prompt's last token is text, at the furthest place of all
        for name, value in further.items():
            self.further.setdefault(name, value.clone()).copy_(value)

    def following(self, ids: Tensor) -> Tensor:
        """Read ``ids`` [B, 1]: the logits of what follows [B, vocabulary], which the next call may overwrite."""
        self.ids.copy_(ids)
        return self.recorded(self._step)

    def _step(self) -> Tensor:
        """Read ``ids``, and say what follows [B, vocabulary]."""
        logits = self.read(self.ids, self.positions, self.at, self.further)
        self.at.add_(1)
        self.positions.add_(1)
        return logits

    def read(self, ids: Tensor, positions: Tensor, at: Tensor, further: dict[str, Any]) -> Tensor:
        """Read tokens ``ids`` [B, n] into the columns ``at`` [n]: logits of what follows the last [B, vocabulary]."""
        self.cache.at = at
        inputs = {
            "input_ids": ids,
            "attention_mask": self._mask(at),
            "position_ids": positions,
            self._name: self.cache,
            "use_cache": True,
            **further,
        }
        with self._frequencies.held():
            return self.network(**inputs, logits_to_keep=1).logits[:, -1]  # type: ignore[no-any-return]

    def _mask(self, at: Tensor) -> Tensor | dict[str, Tensor]:
        """What tokens in the columns ``at`` see, as numbers to add [B, 1, n, S]; by the kind of layer, if several."""
        columns = torch.arange(self.seen.shape[1], device=at.device)
        seen = self.seen[:, None] & (columns <= at[:, None])
        masks = {"full_attention": seen}
        if self._window:
            masks["sliding_attention"] = seen & (columns > at[:, None] - self._window)
        dtype = self.cache.dtype
        added = {
            kind: torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)[:, None]
            for kind, mask in masks.items()
        }
        several = self._window and getattr(self.network.config.get_text_config(), "layer_types", None)
        return added if several else [*added.values()][-1]


def begun(
    model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor], new_tokens: int, *, shared: bool
) -> tuple[Decoding, Tensor]:
    """Read the prompts of a batch, with room for ``new_tokens`` after them, and say what follows [B, vocabulary].

    With ``shared`` what they begin with is read once; all rows must then have pictures of which that is known.
    """
    further = model._further(batch, torch.ones_like(batch.attention_mask[:, :1]))
    if shared:
        _let_go(model, (len(batch),))  # how wide it will be depends on the beginnings
        begin = prefix.begin(model, batch, visual)
        decoding = _room(model, begin.cache, begin.mask, begin.positions, new_tokens)
        decoding.start(begin.mask, begin.positions, further)
        decoding.cache.fill(begin.cache, begin.index, end := begin.seen.shape[1])
        at = torch.arange(end, begin.mask.shape[1], device=decoding.at.device)
        own = model._further(batch, begin.rest.attention_mask)
        return decoding, decoding.read(begin.rest.input_ids, begin.positions, at, own)
    mask, positions = batch.attention_mask, model._positions(batch)
    _let_go(model, (len(batch), _width(mask, new_tokens)))
    inputs = {**model._inputs(batch, [*visual]), "position_ids": positions}
    output = model.model(**inputs, use_cache=True, logits_to_keep=1)
    read = prefix.cached(output)
    decoding = _room(model, read, mask, positions, new_tokens)
    decoding.start(mask, positions, further)
    decoding.cache.fill(read, None, mask.shape[1])
    return decoding, output.logits[:, -1]


def _width(seen: Tensor, new_tokens: int) -> int:
    """Columns for prompts of which ``seen`` [B, L] marks the real tokens, and their answers."""
    return -(-(seen.shape[1] + new_tokens) // ROUND) * ROUND


def _let_go(model: "DecoderVLM", shapes: tuple[int, ...]) -> None:
    """Let what is kept of a batch of other ``shapes`` go before prompts are read, as that takes memory too."""
    kept = model.unchanging
    if kept and kept.decoding and kept.decoding.shapes[: len(shapes)] != shapes:
        kept.decoding = None


def _room(model: "DecoderVLM", read: Cache, seen: Tensor, positions: Tensor, new_tokens: int) -> Decoding:
    """What the model keeps of the last batch, its recording with it, where all shapes are the same; else a new one."""
    rows, width = len(seen), _width(seen, new_tokens)
    crossing = model.attention_layers if model.layered else ()
    pictures = [layer.keys.shape[2] for number in crossing if (layer := read.layers[number]).is_initialized]
    shapes = (rows, width, positions.ndim, *pictures)
    kept = model.unchanging if model.unchanging and not model.unchanging.over else None  # a copy's may be over
    if kept and kept.decoding and kept.decoding.shapes == shapes and kept.decoding.network is model.model:
        return kept.decoding
    if kept:
        kept.decoding = None  # its memory goes before more is taken
    at = torch.zeros(1, dtype=torch.long, device=seen.device)
    decoding = Decoding(model, Static(len(read.layers), width, crossing, at), positions, shapes)
    if kept:
        kept.decoding = decoding
    return decoding
