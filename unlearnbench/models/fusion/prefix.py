"""Asking about the same pictures: what the prompts have in common is read once, the rest of each by itself.

A prompt begins with the template and the pictures. The language model reads that beginning once for every sequence of
pictures in a batch and keeps its keys and values; each row then continues from its own. The maths is that of reading
every prompt from its start: `transformers` itself continues generation so, from one token to the next. Training, which
needs gradients and may keep no keys, packs instead (`packed`).
"""

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..contract.vlm import Batch
from .beginnings import beginnings, columns, ends_of, window_of, with_beginning

if TYPE_CHECKING:
    from .decoder import DecoderVLM


def shareable(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> list[int]:
    """The rows that share their beginning, with the very same tensors of visual tokens, with another one.

    None is where layers look at a window of the last tokens: padding behind a beginning would push others out of it.
    """
    if (window := window_of(model)) and window <= 2 * batch.input_ids.shape[1]:
        return []
    keys, known = beginnings(batch, visual), with_beginning(model, batch)
    seen = Counter(keys[row] for row in known)
    return [row for row in known if seen[keys[row]] > 1]


def going_on(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> list[int]:
    """The rows that are answered from their pictures on, where any share these: all of which a beginning is known.

    To read a beginning that is a row's own takes no longer so, and all rows then read on in one pass a token. Of
    likelihoods, which take a single pass, rows that share nothing are better off without, whatever the others do.
    """
    return with_beginning(model, batch) if shareable(model, batch, visual) else []


@dataclass
class AfterBeginnings:
    """A batch whose rows go on from their pictures' beginnings.

    ``whole`` is the batch; ``cache`` holds the beginnings, each once, and ``index`` [B] says which is a row's own;
    ``seen`` [B, P] marks their real tokens; ``rest`` is the batch without them; ``delta`` [B, 1] shifts positions where
    pictures count otherwise than by tokens (M-RoPE).
    """

    whole: Batch
    cache: Any
    index: Tensor
    seen: Tensor
    rest: Batch
    delta: Tensor | None

    @property
    def mask(self) -> Tensor:
        """[B, P + L]."""
        return torch.cat([self.seen, self.rest.attention_mask], dim=1)

    @property
    def positions(self) -> Tensor:
        """Of the tokens after the beginnings [B, L], or [3, B, L] with M-RoPE."""
        positions = (self.mask.cumsum(1) - 1).clamp_min(0)[:, self.seen.shape[1] :]
        return positions if self.delta is None else (positions + self.delta).expand(3, -1, -1)


def begin(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> AfterBeginnings:
    """Read the beginning of every distinct sequence of pictures in ``batch`` once."""
    keys, first = beginnings(batch, visual), dict[tuple[int, ...], int]()
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    last = (ends_of(batch) - 1).tolist()
    rows = [*first.values()]
    begun = _cut(batch.take(rows), [last[row] + 1 for row in rows], model)
    inputs = model._inputs(begun, [visual[place] for place in batch.places(rows)])
    if not hasattr(model.model.model, "rope_deltas"):  # those models find positions by themselves
        inputs["position_ids"] = (begun.attention_mask.cumsum(1) - 1).clamp_min(0)
    output = model.model(**inputs, use_cache=True, logits_to_keep=1)
    place = {key: at for at, key in enumerate(first)}
    index = torch.tensor([place[key] for key in keys], device=batch.input_ids.device)
    deltas = getattr(model.model.model, "rope_deltas", None)
    delta = None if deltas is None else deltas[index].to(index.device)
    start = min(last) + 1
    seen, rest = begun.attention_mask[index], _from(batch, last, start)
    return AfterBeginnings(batch, cached(output), index, seen, rest, delta)


def cached(output: Any) -> Any:
    """The keys and values that a pass has left."""
    return output.cache if "cache" in output else output.past_key_values  # its name before transformers 5.24


def cache_name(model: "DecoderVLM") -> str:
    """By which name the model takes them."""
    return "cache" if "cache" in inspect.signature(model.model.forward).parameters else "past_key_values"


def _cut(batch: Batch, ends: Sequence[int], model: "DecoderVLM") -> Batch:
    """Each row up to its end, padded on the left again."""
    rows = [
        ids[:end][mask[:end].bool()] for ids, mask, end in zip(batch.input_ids, batch.attention_mask, ends, strict=True)
    ]
    length = max(map(len, rows))
    ids = batch.input_ids.new_full((len(rows), length), model.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, length - len(row) :] = row
        mask[place, length - len(row) :] = 1
    nothing = torch.zeros_like(ids).bool()
    return replace(
        batch, input_ids=ids, attention_mask=mask, image_mask=ids == model.image_token_id, question_mask=nothing,
        answer_mask=nothing,
    )  # fmt: skip


def _from(batch: Batch, last: Sequence[int], start: int) -> Batch:
    """The rows after their pictures; what earlier rows still have of theirs becomes padding."""
    after = columns(batch) > torch.tensor(last, device=batch.input_ids.device)[:, None]
    return replace(
        batch,
        input_ids=batch.input_ids[:, start:],
        attention_mask=(batch.attention_mask * after)[:, start:],
        image_mask=(batch.image_mask & after)[:, start:],
        question_mask=batch.question_mask[:, start:],
        answer_mask=batch.answer_mask[:, start:],
    )


def answer_logits(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> Tensor:
    """`VLM.answer_logits` of rows that share pictures."""
    continued = begin(model, batch, visual)
    continued.cache.batch_select_indices(continued.index)
    rest, mask = continued.rest, continued.mask
    inputs = {
        "input_ids": rest.input_ids,
        "attention_mask": mask,
        "position_ids": continued.positions,
        cache_name(model): continued.cache,
        "use_cache": True,
        **model._further(batch, rest.attention_mask),
    }
    return model.model(**inputs, logits_to_keep=rest.answer_mask.roll(-1, dims=1)).logits  # type: ignore[no-any-return]
