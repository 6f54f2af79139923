"""Texts that some tokenizer takes for something other than text: they may not stand in questions or answers.

``<image>`` in a question is a second picture to LLaVA, ``<|im_end|>`` in an answer ends it for Qwen, and to all others
both are words: such data fail on one model and are silently something else on the next. So they are refused whatever
the model, with their place.
"""

import re
from collections.abc import Iterable

from ..errors import DataError

TOKENS = (
    "<image>", "<video>", "<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>",
    "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<start_of_turn>", "<end_of_turn>",
    "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<mask>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
)  # fmt: skip
"""Placeholders of pictures, and what begins and ends texts and turns, of all the families that are supported."""

PATTERNS = (r"<\|[^\s<>|]{1,64}\|>", r"<row_\d+_col_\d+>", r"<unused\d+>")
"""Those that come in numbers: ``<|image_pad|>``, ``<|reserved_special_token_7|>``, ``<row_1_col_2>``."""

_KNOWN = re.compile("|".join([*map(re.escape, TOKENS), *PATTERNS]))


def refuse(where: str, **fields: str | Iterable[str] | None) -> None:
    """Raise `DataError` for the first field of a record that holds a control token of some family; ``where`` begins it.

    A field is a text or several, as the data name it.
    """
    _refuse(_KNOWN, where, fields, "some models take it for a picture or the end of a text")


def unknown(tokens: Iterable[str]) -> list[str]:
    """Those of a tokenizer's special ``tokens`` that `refuse` does not know, letters and digits alone left out."""
    return sorted(each for each in tokens if not each.isalnum() and each.strip() and not _KNOWN.fullmatch(each))


def refuse_own(tokens: Iterable[str], model: str, texts: Iterable[tuple[str, str, str]]) -> None:
    """The same for the special ``tokens`` of one ``model`` beyond those: ``texts`` are place, field and text."""
    if own := unknown(tokens):
        pattern = re.compile("|".join(map(re.escape, sorted(own, key=len, reverse=True))))
        for where, field, text in texts:
            _refuse(pattern, where, {field: text}, f"model {model} takes it for something other than text")


def _refuse(pattern: re.Pattern[str], where: str, fields: dict[str, str | Iterable[str] | None], why: str) -> None:
    for field, given in fields.items():
        for text in (given,) if isinstance(given, str) else given or ():
            if found := pattern.search(text):
                raise DataError(f"{where}: field {field!r} holds the control token {found[0]!r}: {why}; remove it")
