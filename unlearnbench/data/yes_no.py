"""Reads yes/no questions on pictures in the layouts of MME (arXiv 2306.13394) and POPE (arXiv 2305.10355)."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from ..errors import DataError
from .folder import DAMAGED, content, files_in, fingerprint, json_records, lines, name_of, picture_digests, validated

_MME = "give a folder with mme/CATEGORY.txt and mme/images/, or write one with `unlearnbench data make DIR`"
_POPE = "give a folder with pope/coco_pope_*.json and pope/images/, or write one with `unlearnbench data make DIR`"
_ANSWERS = {"yes": True, "no": False}

POPE_KINDS = ("random", "popular", "adversarial")
"""How the absent objects that POPE asks for were chosen."""


@dataclass(frozen=True)
class YesNoQuestion:
    """A question whose answer is yes (True) or no; ``kind`` is MME's category or POPE's way of choosing negatives."""

    id: str
    image: Path
    question: str
    answer: bool
    kind: str


@dataclass(frozen=True)
class YesNoSet:
    """The questions of a folder; ``fingerprint`` is the SHA-256 (hex) of the files' content, pictures included."""

    questions: tuple[YesNoQuestion, ...]
    fingerprint: str
    root: Path


class _PopeRecord(BaseModel):
    question_id: int
    image: str
    text: str
    label: Literal["yes", "no"]


def read_mme(folder: Path) -> YesNoSet:
    """Read ``mme/CATEGORY.txt`` (lines ``picture<TAB>question<TAB>Yes|No``), pictures in ``mme/images[/CATEGORY]``.

    Ids are ``CATEGORY/PICTURE/N``. MME scores pictures as well as questions, so each must have a question with the
    answer yes and one with the answer no. Raises `DataError` naming the file and line.
    """
    root = folder / "mme"
    files = sorted(root.glob("*.txt"))
    if not files:
        raise DataError(f"{root} holds no question file: {_MME}")
    questions: list[YesNoQuestion] = []
    texts = []
    for path in files:
        data = content(path, _MME)
        questions += _mme_category(path, data)
        texts.append(data)
    return _checked(questions, texts, folder)


def read_pope(folder: Path) -> YesNoSet:
    """Read ``pope/coco_pope_{random,popular,adversarial}.json``, pictures in ``pope/images``; ids are ``KIND/N``.

    Raises `DataError` naming the file and line.
    """
    root = folder / "pope"
    pictures = files_in(root / "images")
    questions = []
    texts = []
    for kind in POPE_KINDS:
        path = root / f"coco_pope_{kind}.json"
        data = content(path, _POPE)
        asked = [_pope_question(value, where, kind, pictures) for where, value in json_records(path, data)]
        _refuse_repeated(path, asked)
        questions += asked
        texts.append(data)
    return _checked(questions, texts, folder)


def _mme_category(path: Path, data: bytes) -> list[YesNoQuestion]:
    images = path.parent / "images"
    pictures = files_in(images / path.stem, images)
    asked: dict[str, list[YesNoQuestion]] = defaultdict(list)
    for number, line in lines(path, data):
        where = f"{path}, line {number}"
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 3 or parts[2].lower() not in _ANSWERS:
            raise DataError(f"{where}: not of the form picture<TAB>question<TAB>Yes|No; {DAMAGED}")
        name = name_of(parts[0])
        question_id = f"{path.stem}/{name}/{len(asked[name])}"
        image = _picture(name, pictures, where, _MME)
        asked[name].append(YesNoQuestion(question_id, image, parts[1], _ANSWERS[parts[2].lower()], path.stem))
    for name, questions in asked.items():
        if sorted(question.answer for question in questions) != [False, True]:
            raise DataError(
                f"{path}: picture {name!r} has {len(questions)} questions instead of one answered Yes and one "
                "answered No: complete the pair or remove the picture"
            )
    return [question for questions in asked.values() for question in questions]


def _pope_question(value: object, where: str, kind: str, pictures: dict[str, Path]) -> YesNoQuestion:
    record = validated(_PopeRecord, value, where)
    image = _picture(name_of(record.image), pictures, where, _POPE)
    return YesNoQuestion(f"{kind}/{record.question_id}", image, record.text, _ANSWERS[record.label], kind)


def _refuse_repeated(path: Path, questions: list[YesNoQuestion]) -> None:
    question_id, times = Counter(question.id for question in questions).most_common(1)[0] if questions else ("", 0)
    if times > 1:
        raise DataError(f"{path} has {times} questions {question_id}: give each its own question_id")


def _picture(name: str, pictures: dict[str, Path], where: str, fix: str) -> Path:
    if name not in pictures:
        raise DataError(f"{where}: picture {name!r} is missing: {fix}")
    return pictures[name]


def _checked(questions: list[YesNoQuestion], texts: list[bytes], folder: Path) -> YesNoSet:
    if not questions:
        raise DataError(f"{folder} holds question files without a question: {DAMAGED}")
    images = dict.fromkeys(question.image for question in questions)
    digests = [hashlib.sha256(data).digest() for data in texts] + picture_digests(images)
    return YesNoSet(tuple(questions), fingerprint(digests), folder)
