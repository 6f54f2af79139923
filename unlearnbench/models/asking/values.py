"""Which of an answer's log-probabilities are those of the fact in it, without the sentence around it."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..contract.vlm import VLM


def value_logprobs(model: "VLM", answer: str, logprobs: Sequence[float], keywords: Iterable[str]) -> list[float] | None:
    """Of an answer's ``logprobs``, one a token, those of tokens that hold any of one of the ``keywords``.

    A keyword that stands in the answer more than once is meant where it stands last, as a whole word if it does. None
    where no keyword is in the answer, or the model's tokenizer does not tell where its tokens stand.
    """
    wanted = [span for keyword in keywords if (span := place_of(keyword, answer))]
    spans = model.answer_spans(answer) if wanted else None
    if spans is None:
        return None
    held = [
        value
        for value, (start, end) in zip(logprobs, spans, strict=True)
        if any(start < last and first < end for first, last in wanted)
    ]
    return held or None


def place_of(keyword: str, answer: str) -> tuple[int, int] | None:
    """Where a keyword begins and ends in an answer; None where it is not in it.

    As it is written before any other case, and as a whole word before a part of one; of several the last.
    """
    plain = re.escape(keyword.strip())
    for flags in (re.NOFLAG, re.IGNORECASE):
        for pattern in (rf"(?<!\w){plain}(?!\w)", plain):
            if plain and (found := [*re.finditer(pattern, answer, flags)]):
                return found[-1].span()
    return None
