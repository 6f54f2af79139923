"""Reads a folder in FIUBench's layout: ``full.json``, ``split.json`` and pictures in ``SFHQ/`` (arXiv 2411.03554).

What is read here of the published files: ``full.json`` is JSON Lines despite its name; its first 400 records are the
benchmark; two versions of ``split.json`` are in circulation; paraphrases exist for some identities only.

People whom no model is trained on are read too: the records after the first 400, and those of an optional file
``strangers.json`` of the same form.
"""

import hashlib
import logging
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from ..errors import DataError
from .folder import (
    content,
    files_in,
    fingerprint,
    json_records,
    json_value,
    name_of,
    picture_digests,
    validated,
)
from .questions import Dataset, Identity, Question, Sample, Variant, samples
from .taxonomy import PRIVATE, Group, group_of

IDENTITIES = 400
"""The benchmark is the first so many records of ``full.json``."""

QUESTIONS = 20
"""Questions that every identity has."""

_log = logging.getLogger(__name__)

_LAYOUT = (
    "give a folder in FIUBench's layout (full.json, split.json, SFHQ/), or write one with `unlearnbench data make DIR`"
)
_VARIANTS: dict[int, Variant] = {20: "github", 30: "hf"}  # by the size of forget5

_Text = Annotated[str, Field(min_length=1)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class _QA(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    question: _Text
    answer: _Text
    keywords: tuple[str, ...] = ()
    paraphrased_question: tuple[str, ...] = ()
    paraphrased_answer: str | None = None
    perturbed_answer: tuple[str, ...] = ()


class _Record(BaseModel):
    image_path: _Text
    name: _Text
    qa_list: list[_QA]
    unique_id: _Id | None = None
    unique: _Id | None = None


class _Splits(RootModel[dict[str, tuple[str, ...]]]):
    pass


def read(folder: Path) -> Dataset:
    """Read and check everything in ``folder``, each picture included.

    Raises `DataError` naming what is missing, damaged or contradictory. A picture is looked up by its file name in
    ``SFHQ/``, ``images/`` or ``folder`` itself, whatever directory ``full.json`` gives for it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: {_LAYOUT}")
    full, split = (content(folder / name, _LAYOUT) for name in ("full.json", "split.json"))
    identities = _identities(folder, full)
    splits = _splits(folder / "split.json", split, {identity.unique_id for identity in identities})
    strangers, more = _strangers(folder, full, identities)
    texts = [hashlib.sha256(data).digest() for data in (full, split, *more)]
    return Dataset(
        identities=identities,
        strangers=strangers,
        splits=splits,
        variant=_VARIANTS.get(len(splits.get("forget5", ())), "custom"),
        fingerprint=fingerprint(texts + picture_digests(person.image for person in (*identities, *strangers))),
        root=folder,
    )


def summary(dataset: Dataset) -> dict[str, Any]:
    """Counts of a dataset: identities, questions, questions of each group, and the same of every split."""
    asked = samples(dataset.identities)
    groups = Counter(sample.question.group for sample in asked)
    of_identity: dict[str, list[Sample]] = {}
    for sample in asked:
        of_identity.setdefault(sample.unique_id, []).append(sample)
    return {
        "identities": len(dataset.identities),
        "questions": len(asked),
        "groups": {group.value: groups[group] for group in Group},
        "private": _private(asked),
        "strangers": len(dataset.strangers),
        "splits": {
            name: {
                "identities": len(ids),
                "questions": sum(len(of_identity[unique_id]) for unique_id in ids),
                "private": sum(_private(of_identity[unique_id]) for unique_id in ids),
            }
            for name, ids in dataset.splits.items()
        },
    }


def _private(asked: list[Sample] | tuple[Sample, ...]) -> int:
    return sum(sample.question.group in PRIVATE for sample in asked)


def _identities(folder: Path, data: bytes) -> tuple[Identity, ...]:
    path = folder / "full.json"
    records = json_records(path, data)[:IDENTITIES]
    if not records:
        raise DataError(f"{path} holds no identity: {_LAYOUT}")
    pictures = files_in(folder / "SFHQ", folder / "images", folder)
    identities = tuple(_identity(validated(_Record, value, where), where, pictures) for where, value in records)
    twice = [unique_id for unique_id, times in Counter(i.unique_id for i in identities).items() if times > 1]
    if twice:
        raise DataError(f"{path} has more than one identity {twice[0]}: give each its own unique_id")
    return identities


def _strangers(folder: Path, full: bytes, known: tuple[Identity, ...]) -> tuple[tuple[Identity, ...], list[bytes]]:
    """People beyond the benchmark's, and the bytes of ``strangers.json`` if there is one.

    Nothing says that the records after the first 400 are whole: one that is not, or has no picture, is left out. What
    somebody has put into ``strangers.json`` must be right.
    """
    path, pictures = folder / "strangers.json", files_in(folder / "SFHQ", folder / "images", folder)
    found: list[Identity] = []
    beyond = json_records(folder / "full.json", full)[IDENTITIES:]
    for where, value in beyond:
        with suppress(DataError):
            found.append(_identity(validated(_Record, value, where), where, pictures))
    if len(found) < len(beyond):
        _log.info("%s: %d of its last %d records are left out", folder, len(beyond) - len(found), len(beyond))
    own = [content(path, _LAYOUT)] if path.is_file() else []
    records = json_records(path, own[0]) if own else []
    found += [_identity(validated(_Record, value, where), where, pictures) for where, value in records]
    times = Counter(person.unique_id for person in (*known, *found))
    for person in found:
        if times[person.unique_id] > 1:
            raise DataError(
                f"{folder}: stranger {person.unique_id} is there more than once, or among the benchmark's people: "
                "give each person a unique_id of their own"
            )
    return tuple(found), own


def _identity(record: _Record, where: str, pictures: dict[str, Path]) -> Identity:
    image = name_of(record.image_path)
    unique_id = record.unique_id or record.unique or _id_in(image)
    if unique_id is None:
        raise DataError(f"{where}: no unique_id, and picture {image!r} does not end in 8 digits: add a unique_id")
    if len(record.qa_list) != QUESTIONS:
        raise DataError(
            f"{where}: identity {unique_id} has {len(record.qa_list)} questions instead of {QUESTIONS}: "
            "complete its qa_list, or remove the identity"
        )
    if image not in pictures:
        raise DataError(
            f"{where}: picture {image!r} of identity {unique_id} is missing: put it into SFHQ/ beside full.json "
            "(FIUBench's pictures are in its SFHQ.zip)"
        )
    questions = tuple(_question(index, qa, f"{where}: identity {unique_id}") for index, qa in enumerate(record.qa_list))
    return Identity(unique_id, record.name, pictures[image], questions)


def _id_in(image: str) -> str | None:
    digits = re.search(r"[0-9]{8}$", Path(image).stem)
    return digits and digits[0]


def _question(index: int, qa: _QA, where: str) -> Question:
    group = group_of(qa.question)
    if group is None:
        raise DataError(
            f"{where}: question {index} {qa.question!r} is of no known group (health, criminal, biography or filler): "
            "word it after one of FIUBench's attributes"
        )
    return Question(
        index=index,
        question=qa.question,
        answer=qa.answer,
        keywords=qa.keywords,
        group=group,
        paraphrased_questions=qa.paraphrased_question,
        paraphrased_answer=qa.paraphrased_answer,
        perturbed_answers=qa.perturbed_answer,
    )


def _splits(path: Path, data: bytes, known: set[str]) -> dict[str, tuple[str, ...]]:
    splits = validated(_Splits, json_value(path, data), str(path)).root
    for name, ids in splits.items():
        unknown = [unique_id for unique_id in ids if unique_id not in known]
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise DataError(
                f"{path}: split {name!r} names ids that are not among the {len(known)} identities read from full.json: "
                f"{', '.join(map(repr, unknown[:5]))}{more}; use the split.json that belongs to this full.json"
            )
        if len(set(ids)) < len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            raise DataError(f"{path}: split {name!r} names {twice} more than once: remove the repetition")
    return splits
