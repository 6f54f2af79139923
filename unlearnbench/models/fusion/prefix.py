"""Questions about the same pictures: what their prompts have in common is read once, the rest of each by itself.

A prompt begins with the template and the pictures. The language model reads that beginning once for every sequence of
pictures in a batch and keeps its keys and values; each row then continues from its own. The maths is that of reading
every prompt from its start: `transformers` itself continues generation so, from one token to the next.
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

    A row without a picture is not among them, nor one whose text has a picture's own token in it: where its pictures
    end could not be told. Nor is any where layers look at a window of the last tokens: padding behind a beginning would
    push others out of it.
    """
    if (window := _window(model)) and window <= 2 * batch.input_ids.shape[1]:
        return []
    own = Counter[int]()
    for row, picture in zip(batch.row_of, batch.pictures, strict=True):
        own[row] += picture.ids.count(model.image_token_id)
    counts = batch.image_mask.sum(1).tolist()
    sound = [row for row in own if counts[row] == own[row]]
    keys = _beginnings(batch, visual)
    seen = Counter(keys[row] for row in sound)
    return [row for row in sound if seen[keys[row]] > 1]


def _window(model: "DecoderVLM") -> int | None:
    """How many tokens back some layer looks, where not all layers look at all."""
    config = model.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    used = any(kind != "full_attention" for kind in kinds) if kinds else True
    return getattr(config, "sliding_window", None) if used else None


def _beginnings(batch: Batch, visual: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """What each row begins with: which tensors of visual tokens, and the text before the last of them."""
    text = batch.attention_mask.bool() & ~batch.image_mask & (_ends(batch)[:, None] > _columns(batch))
    before = [ids[its].tolist() for ids, its in zip(batch.input_ids.cpu(), text.cpu(), strict=True)]
    return [(*(id(visual[place]) for place in places), *ids) for places, ids in zip(batch.by_row, before, strict=True)]


def _ends(batch: Batch) -> Tensor:
    """Where each row's last picture ends [B]: the column behind it, 0 where there is none."""
    return (batch.image_mask * (_columns(batch) + 1)).amax(1)


def _columns(batch: Batch) -> Tensor:
    return torch.arange(batch.input_ids.shape[1], device=batch.input_ids.device)


def spared(batch: Batch) -> float:
    """The share of the batch's tokens that need not be read if pictures are read once."""
    lengths = (_ends(batch) - (batch.attention_mask == 0).sum(1)).clamp_min(0).tolist()
    pictures = [tuple(id(batch.pictures[place]) for place in places) for places in batch.by_row]
    once = dict(zip(pictures, lengths, strict=True))
    return float((sum(lengths) - sum(once.values())) / int(batch.attention_mask.sum()))


@dataclass
class AfterBeginnings:
    """A batch whose rows go on from their pictures' beginnings.

    ``whole`` is the batch; ``cache`` holds the beginnings, a row for each of its own; ``seen`` [B, P] marks their real
    tokens; ``rest`` is the batch without them; ``delta`` [B, 1] shifts positions where pictures count otherwise than by
    tokens (M-RoPE). ``beginning`` [B] says which of the distinct ones is whose.
    """

    whole: Batch
    cache: Any
    seen: Tensor
    rest: Batch
    delta: Tensor | None
    beginning: Tensor

    def put_together(self, row: int, beginnings: Tensor, rests: Tensor) -> Tensor:
        """What there is of a row's real tokens, of what was found of the beginnings [.., P, d] and of the rest."""
        first = beginnings[self.beginning[row]][self.seen[row].bool()]
        return torch.cat([first, rests[row][self.rest.attention_mask[row].bool()]])

    @property
    def mask(self) -> Tensor:
        """[B, P + L]."""
        return torch.cat([self.seen, self.rest.attention_mask], dim=1)

    def positions(self, mask: Tensor, count: int) -> Tensor:
        """Of the last ``count`` tokens [B, count], or [3, B, count] with M-RoPE."""
        positions = (mask.cumsum(1) - 1).clamp_min(0)[:, -count:]
        return positions if self.delta is None else (positions + self.delta).expand(3, -1, -1)


def begin(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> AfterBeginnings:
    """Read the beginning of every distinct sequence of pictures in ``batch`` once; differentiable."""
    keys, first = _beginnings(batch, visual), dict[tuple[int, ...], int]()
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    last = (_ends(batch) - 1).tolist()
    rows = [*first.values()]
    beginnings = _cut(batch.take(rows), [last[row] + 1 for row in rows], model)
    inputs = model._inputs(beginnings, [visual[place] for place in batch.places(rows)])
    if not hasattr(model.model.model, "rope_deltas"):  # those models find positions by themselves
        inputs["position_ids"] = (beginnings.attention_mask.cumsum(1) - 1).clamp_min(0)
    output = model.model(**inputs, use_cache=True, logits_to_keep=1)
    place = {key: at for at, key in enumerate(first)}
    index = torch.tensor([place[key] for key in keys], device=batch.input_ids.device)
    cache = output.cache if "cache" in output else output.past_key_values
    cache.batch_select_indices(index)
    deltas = getattr(model.model.model, "rope_deltas", None)
    delta = None if deltas is None else deltas[index].to(index.device)
    start = min(last) + 1
    return AfterBeginnings(batch, cache, beginnings.attention_mask[index], _from(batch, last, start), delta, index)


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
    after = _columns(batch) > torch.tensor(last, device=batch.input_ids.device)[:, None]
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
    return _go_on(model, continued, continued.rest.answer_mask.roll(-1, dims=1)).logits  # type: ignore[no-any-return]


def read(model: "DecoderVLM", batch: Batch, visual: Sequence[Tensor]) -> AfterBeginnings:
    """Read rows that share pictures in two passes, first the beginnings and then the rest, for what blocks make."""
    continued = begin(model, batch, visual)
    _go_on(model, continued, 1)
    return continued


def _go_on(model: "DecoderVLM", continued: AfterBeginnings, logits_to_keep: Tensor | int) -> Any:
    """What the model says of what comes after the beginnings."""
    inputs = _inputs(model, continued, continued.rest.input_ids, continued.mask)
    return model.model(**inputs, logits_to_keep=logits_to_keep)


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
