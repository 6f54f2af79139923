"""Yes/no questions about pictures: what the readers of MME and POPE have in common."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import DataError
from .control_tokens import refuse
from .folder import DAMAGED

ANSWERS = {"yes": True, "no": False}


@dataclass(frozen=True)
class YesNoQuestion:
    """A question whose answer is yes (True) or no.

    ``category`` is MME's subtask or POPE's split. ``question_id`` is the benchmark's own: of MME's the two questions
    about a picture share one. ``where`` says which line of which file it comes from.
    """

    category: str
    question_id: str
    image: Path
    question: str
    answer: bool
    where: str = ""


@dataclass(frozen=True)
class YesNoSet:
    """Questions and a SHA-256 (hex) of them and of their pictures, the same in whichever layout they came."""

    questions: tuple[YesNoQuestion, ...]
    fingerprint: str
    root: Path


def question(
    where: str,
    category: str,
    question_id: str,
    image: Path | None,
    text: object,
    answer: object,
    *,
    name: str,
    fix: str,
) -> YesNoQuestion:
    """One question, checked; ``name`` is what its picture is called. Raises `DataError` that begins with ``where``."""
    if not (isinstance(text, str) and text.strip()):
        raise DataError(f"{where}: a question is missing; {DAMAGED}")
    refuse(where, question=text)
    if not isinstance(answer, str) or answer.strip().lower() not in ANSWERS:
        raise DataError(f"{where}: the answer must be yes or no, not {answer!r}; {DAMAGED}")
    if image is None:
        raise DataError(f"{where}: picture {name!r} is missing: {fix}")
    return YesNoQuestion(category, question_id, image, text, ANSWERS[answer.strip().lower()], where)


def found(name: str, *folders: Path) -> Path | None:
    """The first file of that name in ``folders``."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def question_set(questions: Sequence[YesNoQuestion], root: Path) -> YesNoSet:
    """The questions with their fingerprint; raises `DataError` where there is none, or a picture is none."""
    if not questions:
        raise DataError(f"{root} holds question files without a question: {DAMAGED}")
    images = list(dict.fromkeys(each.image for each in questions))
    digests = dict(zip(images, _digests(images), strict=True))
    facts = sorted(
        [each.category, each.question_id, each.question, each.answer, digests[each.image]] for each in questions
    )
    return YesNoSet(tuple(questions), hashlib.sha256(json.dumps(facts).encode()).hexdigest(), root)


def _digests(images: Iterable[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_digest, images))


def _digest(path: Path) -> str:
    """SHA-256 of a picture's file. Only its head is read as a picture: pixels are decoded when it is asked about."""
    try:
        with Image.open(path):
            pass
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except Exception as error:  # decoders raise all kinds of exception on damaged files
        raise DataError(f"picture {path} cannot be read ({type(error).__name__}): replace it") from None
