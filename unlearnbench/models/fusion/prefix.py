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
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor

from ...contracts.sample import Sampling
from ..contract.decoding import Drawn, Watch
from ..contract.vlm import Batch
from .beginnings import beginnings, columns, ends_of, window_of, with_beginning

if TYPE_CHECKING:
    from .decoder import DecoderVLM

_OTHER_PROCESSORS = (
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "begin_suppress_tokens",
    "min_length", "min_new_tokens", "forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty",
    "sequence_bias", "guidance_scale", "stop_strings",
)  # fmt: skip
"""Settings of generation that are not reproduced here; a model that sets one is asked the plain way."""


def can_generate(model: "DecoderVLM") -> bool:
    """Whether the model's own generation settings are among those that are reproduced here."""
    settings = model.model.generation_config
    if settings.eos_token_id is None or getattr(settings, "encoder_repetition_penalty", None) not in (None, 1.0):
        return False
    return not any(getattr(settings, name, None) for name in _OTHER_PROCESSORS)


def shareable(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> list[int]:
    """The rows that share their beginning, with the very same tensors of visual tokens, with another one.

    None is where layers look at a window of the last tokens: padding behind a beginning would push others out of it.
    """
    if (window := window_of(model)) and window <= 2 * batch.input_ids.shape[1]:
        return []
    keys, known = beginnings(batch, visual), with_beginning(model, batch)
    seen = Counter(keys[row] for row in known)
    return [row for row in known if seen[keys[row]] > 1]


@dataclass
class AfterBeginnings:
    """A batch whose rows go on from their pictures' beginnings.

    ``whole`` is the batch; ``cache`` holds the beginnings, a row for each of its own; ``seen`` [B, P] marks their real
    tokens; ``rest`` is the batch without them; ``delta`` [B, 1] shifts positions where pictures count otherwise than by
    tokens (M-RoPE).
    """

    whole: Batch
    cache: Any
    seen: Tensor
    rest: Batch
    delta: Tensor | None

    @property
    def mask(self) -> Tensor:
        """[B, P + L]."""
        return torch.cat([self.seen, self.rest.attention_mask], dim=1)

    def positions(self, mask: Tensor, count: int) -> Tensor:
        """Of the last ``count`` tokens [B, count], or [3, B, count] with M-RoPE."""
        positions = (mask.cumsum(1) - 1).clamp_min(0)[:, -count:]
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
    cache = output.cache if "cache" in output else output.past_key_values
    cache.batch_select_indices(index)
    deltas = getattr(model.model.model, "rope_deltas", None)
    delta = None if deltas is None else deltas[index].to(index.device)
    start = min(last) + 1
    return AfterBeginnings(batch, cache, begun.attention_mask[index], _from(batch, last, start), delta)


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
    inputs = _inputs(model, continued, continued.rest.input_ids, continued.mask)
    predicting = continued.rest.answer_mask.roll(-1, dims=1)
    return model.model(**inputs, logits_to_keep=predicting).logits  # type: ignore[no-any-return]


def generate(
    model: "DecoderVLM",
    batch: Batch,
    visual: Sequence[Tensor],
    max_new_tokens: int,
    samplings: Sequence[Sampling | None],
) -> Tensor:
    """Tokens [B, at most max_new_tokens] of rows that share pictures; padding after a row's end."""
    continued, settings = begin(model, batch, visual), model.model.generation_config
    ends = settings.eos_token_id
    stop = torch.tensor(ends if isinstance(ends, list) else [ends], device=batch.input_ids.device)
    watch, drawn = Watch(), Drawn(batch.queries, samplings, model.device)
    rules = LogitsProcessorList([watch, *_rules(settings, batch.input_ids.device), drawn])
    ids, mask = continued.rest.input_ids, continued.mask
    # Padding is nothing that was said: rules are shown the last token in its place, which counts as once.
    said = torch.where(batch.attention_mask.bool(), batch.input_ids, batch.input_ids[:, -1:])
    done = torch.zeros(len(batch), dtype=torch.bool, device=said.device)
    for _ in range(max_new_tokens):
        logits = model.model(**_inputs(model, continued, ids, mask), logits_to_keep=1).logits[:, -1]
        ids = rules(said, logits.float()).argmax(-1, keepdim=True)
        ids = ids.masked_fill(done[:, None], model.tokenizer.pad_token_id)
        said = torch.cat([said, ids], dim=1)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        done |= torch.isin(ids[:, 0], stop)
        if bool(done.all()):
            break
    watch.check(batch.queries)
    return said[:, batch.input_ids.shape[1] :]


def _rules(settings: Any, device: torch.device) -> LogitsProcessorList:
    """What the model's own settings of generation do to logits, in the order of `transformers`."""
    rules = LogitsProcessorList()
    if settings.repetition_penalty not in (None, 1.0):
        rules.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.suppress_tokens:
        rules.append(SuppressTokensLogitsProcessor(settings.suppress_tokens, device=device))
    return rules


def _inputs(model: "DecoderVLM", continued: AfterBeginnings, ids: Tensor, mask: Tensor) -> dict[str, Any]:
    """What the model takes of further tokens ``ids`` [B, n], of all that ``mask`` [B, P + ... + n] counts."""
    name = "cache" if "cache" in inspect.signature(model.model.forward).parameters else "past_key_values"
    count = ids.shape[1]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": continued.positions(mask, count),
        name: continued.cache,
        "use_cache": True,
        **model._further(continued.whole, mask[:, -count:]),
    }
