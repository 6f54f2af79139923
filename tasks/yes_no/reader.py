"""Yes/no questions about pictures: what the readers of MME and POPE have in common."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearnbench import DataError
from unlearnbench.data.control_tokens import refuse
from unlearnbench.data.folder import damaged, mend
from unlearnbench.data.pictures import picture_digests
from unlearnbench.metrics.yes_no import truth


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
    """Questions and a SHA-256 (hex) of them and of their pictures, the same in whichever layout they came.

    ``left_out`` are files that lie among the questions and are none: neither asked nor in the fingerprint.
    """

    questions: tuple[YesNoQuestion, ...]
    fingerprint: str
    root: Path
    left_out: tuple[Path, ...] = ()


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
        raise DataError(f"{where}: a question is missing; {damaged(where)}")
    refuse(where, question=text)
    try:
        is_yes = truth(str(answer))
    except ValueError:
        raise DataError(f"{where}: the answer must be yes or no, not {answer!r}; {mend(where)}") from None
    if image is None:
        raise DataError(f"{where}: picture {name!r} is missing: {fix}")
    return YesNoQuestion(category, question_id, image, text, is_yes, where)


def found(name: str, *folders: Path) -> Path | None:
    """The first file of that name in ``folders``."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def question_set(questions: Sequence[YesNoQuestion], root: Path, left_out: Sequence[Path] = ()) -> YesNoSet:
    """The questions with their fingerprint; raises `DataError` where there is none, or a picture is none."""
    if not questions:
        raise DataError(f"{root} holds question files without a question: {damaged(root)}")
    images = list(dict.fromkeys(each.image for each in questions))
    digests = {image: digest.hex() for image, digest in zip(images, picture_digests(images), strict=True)}
    facts = sorted(
        [each.category, each.question_id, each.question, each.answer, digests[each.image]] for each in questions
    )
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return YesNoSet(tuple(questions), digest, root, tuple(left_out))
