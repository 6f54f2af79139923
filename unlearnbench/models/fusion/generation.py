"""Answers: prompts are read, and then a token at a time, by the rules of the model's own settings of generation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor

from ...contracts.sample import Sampling
from ..contract.decoding import Drawn, Watch
from ..contract.vlm import Batch
from .steps import begun

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


def generate(
    model: "DecoderVLM",
    batch: Batch,
    visual: Sequence[Tensor],
    max_new_tokens: int,
    samplings: Sequence[Sampling | None],
    *,
    shared: bool,
) -> Tensor:
    """Tokens [B, at most max_new_tokens], padding after a row's end; ``shared`` as `begun` takes it."""
    settings = model.model.generation_config
    ends = settings.eos_token_id
    stop = torch.tensor(ends if isinstance(ends, list) else [ends], device=batch.input_ids.device)
    watch, drawn = Watch(), Drawn(batch.queries, samplings, model.device)
    rules = LogitsProcessorList([watch, *_rules(settings, batch.input_ids.device), drawn])
    # Padding is nothing that was said: rules are shown the last token in its place, which counts as once.
    said = torch.where(batch.attention_mask.bool(), batch.input_ids, batch.input_ids[:, -1:])
    done = torch.zeros(len(batch), dtype=torch.bool, device=said.device)
    decoding, logits = begun(model, batch, visual, max_new_tokens, shared=shared)
    for left in reversed(range(max_new_tokens)):
        ids = rules(said, logits.float()).argmax(-1, keepdim=True)
        ids = ids.masked_fill(done[:, None], model.tokenizer.pad_token_id)
        said = torch.cat([said, ids], dim=1)
        done |= torch.isin(ids[:, 0], stop)
        if not left or bool(done.all()):
            break
        logits = decoding.following(ids)
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
