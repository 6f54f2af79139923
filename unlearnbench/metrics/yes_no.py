"""Yes or no in what a model says: as a benchmark's own script reads it, and strictly.

A scorer is a name, a version and a reading: everything else about a benchmark is arithmetic on what it reads.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from .refusals import REFUSALS
from .words import folded, words

_DIGITS = re.compile(r"\d+")
_ANSWERS = {"yes": True, "no": False}

CONSTANTS: Mapping[str, str] = {"always yes": "Yes", "always no": "No", "always refuses": REFUSALS[0]}
"""What needs no model and sees no picture: the scores that any other must be compared with."""


@dataclass(frozen=True)
class YesNoScorer:
    """A way of reading answers; a row names it with its version.

    ``read`` gives True for yes, False for no, and None, which counts as wrong, for neither.
    """

    name: str
    version: str
    read: Callable[[str], bool | None]

    @property
    def label(self) -> dict[str, str]:
        """How a row names it."""
        return {"name": self.name, "version": self.version}


def parse_strict(text: str) -> bool | None:
    """A clear answer alone: the first word is yes or no, whatever its case, and the other is nowhere in the text.

    Full-width letters are letters, and accents part of theirs; a word is without digits.
    """
    said = [letters for word in words(text) for letters in _DIGITS.sub(" ", word).split()]
    if not said or said[0] not in _ANSWERS or _ANSWERS.keys() <= set(said):
        return None
    return _ANSWERS[said[0]]


STRICT = YesNoScorer("strict", "2", parse_strict)
"""Only a clear yes or no counts."""


def truth(answer: str) -> bool:
    """Whether the right answer, in words, is yes; raises ValueError where it is neither yes nor no."""
    try:
        return _ANSWERS[folded(answer).strip()]
    except KeyError:
        raise ValueError(f"the right answer must be yes or no, not {answer!r}") from None


def _yes_or_no(answer: str) -> str:
    truth(answer)
    return answer


YesOrNo = Annotated[str, AfterValidator(_yes_or_no)]
"""A right answer: yes or no, in any case of letters."""
