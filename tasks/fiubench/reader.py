"""Reads a folder in FIUBench's layout: ``full.json``, ``split.json`` and pictures in ``SFHQ/`` (arXiv 2411.03554).

What is read here of the published files: ``full.json`` is JSON Lines despite its name; its first 400 records are the
benchmark; two versions of ``split.json`` are in circulation; paraphrases exist for some identities only.

People whom no model is trained on are read too: the records after the first 400, of which FIUBench has 173, and those
of the optional files ``strangers.json`` and ``acquaintances.json``, of the same form: people whom no model knows at
all, and people whom the pretrained model knows. A record may name several pictures: ``images``, by turns those of its
questions, of which ``image_path`` is the first, and ``other_images``, on which nobody trains.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from unlearnbench import DataError
from unlearnbench.data.control_tokens import refuse
from unlearnbench.data.folder import content, files_in, fingerprint, json_records, json_value, name_of, validated
from unlearnbench.data.pictures import picture_digests

from ..facts.sets import Question
from .people import Dataset, Identity, Variant
from .published import PEOPLE
from .taxonomy import QuestionGroup, told

IDENTITIES = PEOPLE
"""The benchmark is the first so many records of ``full.json``."""

QUESTIONS = 20
"""Questions that every identity has."""

_LAYOUT = (
    "give a folder in FIUBench's layout (full.json, split.json, SFHQ/), or write one with `unlearnbench data make DIR`"
)
_VARIANTS: dict[int, Variant] = {20: "github", 30: "hf"}  # by the size of forget5


def _null(value: Any) -> Any:
    """None for NaN, which some libraries write for null, and which would be read as the word "nan"."""
    return None if isinstance(value, float) and value != value else value


_Text = Annotated[str, BeforeValidator(_null), Field(min_length=1, pattern=r"\S")]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


def _absent(value: Any) -> Any:
    """Null is what libraries write where somebody lacks a key that others have; or a list of nulls, or of nothing."""
    value = [_null(each) for each in value] if isinstance(value, list) else _null(value)
    if value is None or (isinstance(value, list) and all(each is None or each == "" for each in value)):
        return ()
    return value


_Texts = Annotated[tuple[str, ...], BeforeValidator(_absent)]
_ASKED = {"question", "answer", "paraphrased_question", "paraphrased_answer", "perturbed_answer"}
"""What of a record is put before a model."""


class _QA(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    question: _Text
    answer: _Text
    keywords: _Texts = ()
    paraphrased_question: _Texts = ()
    paraphrased_answer: Annotated[str | None, BeforeValidator(_null)] = None
    perturbed_answer: _Texts = ()
    group: QuestionGroup | None = None
    attribute: Annotated[str | None, BeforeValidator(_null)] = None


_UNUSED = {"gender", "caption", "raw_data"}, {"label", "image_path"}
"""Fields of FIUBench's records, and of the questions in them, that nothing here needs."""


class _Record(BaseModel):
    image_path: _Text
    images: _Texts = ()
    other_images: _Texts = ()
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
    path = folder / "full.json"
    records = json_records(path, full)
    pictures = files_in(folder / "SFHQ", folder / "images", folder)
    identities = _identities(path, records[:IDENTITIES], pictures)
    splits = _splits(folder / "split.json", split, {identity.unique_id for identity in identities})
    beyond, unknown = _beyond(records[IDENTITIES:], pictures)
    others, own = _further(folder / "strangers.json", pictures)
    known, met = _further(folder / "acquaintances.json", pictures)
    people = _each_once(folder, identities, {"stranger": (*beyond, *others), "acquaintance": known})
    texts = [hashlib.sha256(data).digest() for data in (full, split, *own, *met)]
    digests = picture_digests(image for person in people for image in (*person.images, *person.other_images))
    rest = iter(digests)
    people = tuple(_with_digests(folder, person, rest) for person in people)
    strangers = len(identities) + len(beyond) + len(others)
    return Dataset(
        identities=people[: len(identities)],
        strangers=people[len(identities) : strangers],
        acquaintances=people[strangers:],
        splits=splits,
        variant=_VARIANTS.get(len(splits.get("forget5", ())), "custom"),
        fingerprint=fingerprint(texts + digests),
        root=folder,
        left_out=(*_unread(records, len(beyond)), *_unnamed(folder, people)),
        unknown=unknown,
    )


def _unread(records: list[tuple[str, Any]], strangers: int) -> Iterable[tuple[str, int]]:
    """What of ``full.json`` is left out: records that are not whole, fields that mean nothing here."""
    if number := len(records[IDENTITIES:]) - strangers:
        yield f"records of full.json after the first {IDENTITIES} that are not whole or have no picture", number
    values = [value for _, value in records[:IDENTITIES]]
    asked = [qa for value in values for qa in value["qa_list"]]
    for model, of, unused, whose in ((_Record, values, _UNUSED[0], ""), (_QA, asked, _UNUSED[1], "qa_list: ")):
        found = Counter(name for each in of for name in each)
        for name in found:
            if name not in model.model_fields and name not in unused:
                yield f"values of the unknown field {whose}{name!r}", found[name]


def _unnamed(folder: Path, people: tuple[Identity, ...]) -> Iterable[tuple[str, int]]:
    """Files among the pictures that no record names."""
    named = {image for person in people for image in (*person.images, *person.other_images)}
    for place in ("SFHQ", "images"):
        if number := len(set(files_in(folder / place).values()) - named):
            yield f"files in {place}/ that no record read names", number


def _identities(path: Path, records: list[tuple[str, Any]], pictures: dict[str, Path]) -> tuple[Identity, ...]:
    if not records:
        raise DataError(f"{path} holds no identity: {_LAYOUT}")
    identities = tuple(_identity(validated(_Record, value, where), where, pictures) for where, value in records)
    twice = [unique_id for unique_id, times in Counter(i.unique_id for i in identities).items() if times > 1]
    if twice:
        raise DataError(f"{path} has more than one identity {twice[0]}: give each its own unique_id")
    return identities


def _beyond(records: list[tuple[str, Any]], pictures: dict[str, Path]) -> tuple[list[Identity], tuple[str, ...]]:
    """People of the records after the benchmark's, and their questions that are worded otherwise than the benchmark's.

    Nothing says that these records are whole: one that is not is left out. A question is left out too that says not of
    itself which group it is of and is in no wording that tells it.
    """
    found, unknown = [], list[str]()
    for where, value in records:
        with suppress(DataError):
            record = validated(_Record, value, where)
            person = _identity(record, where, pictures, lenient=True)
            unknown += [f"{record.qa_list[i].question!r} of {person.unique_id}" for i in _places_left_out(person)]
            found.append(person)
    return found, tuple(unknown)


def _places_left_out(person: Identity) -> list[int]:
    """The places, from 0, of questions that are not among a person's."""
    return sorted({*range(QUESTIONS)} - {question.index for question in person.questions})


def _further(path: Path, pictures: dict[str, Path]) -> tuple[list[Identity], list[bytes]]:
    """The people of a further file, which must be right, and its bytes; nothing where there is no such file."""
    if not path.is_file():
        return [], []
    data = content(path, _LAYOUT)
    records = json_records(path, data)
    return [_identity(validated(_Record, value, where), where, pictures) for where, value in records], [data]


def _each_once(
    folder: Path, learned: tuple[Identity, ...], further: Mapping[str, Sequence[Identity]]
) -> tuple[Identity, ...]:
    """The benchmark's people and all ``further`` ones, by what they are; raises `DataError` for an id of two."""
    people = (*learned, *chain.from_iterable(further.values()))
    times = Counter(person.unique_id for person in people)
    for what, of in further.items():
        for person in of:
            if times[person.unique_id] > 1:
                raise DataError(
                    f"{folder}: {what} {person.unique_id} is there more than once, or among the benchmark's people: "
                    "give each person a unique_id of their own"
                )
    return people


def _with_digests(folder: Path, person: Identity, digests: Iterator[bytes]) -> Identity:
    """A person with the next of the ``digests`` of all pictures; raises `DataError` where training sees the others."""
    own = tuple(digest.hex() for digest in islice(digests, len(person.images) + len(person.other_images)))
    seen = own[: len(person.images)]
    for image, digest in zip(person.other_images, own[len(seen) :], strict=True):
        if digest in seen:
            raise DataError(
                f"{folder}: picture {image.name!r} of {person.unique_id} is among other_images, on which nobody "
                "trains, and among those trained on: leave it out of one"
            )
    return replace(person, digests=own)


def _identity(record: _Record, where: str, pictures: dict[str, Path], *, lenient: bool = False) -> Identity:
    """Whom a record is about; raises `DataError`, unless ``lenient`` leaves out questions of no known wording."""
    image = name_of(record.image_path)
    unique_id = record.unique_id or record.unique or _id_in(image)
    if unique_id is None:
        raise DataError(f"{where}: no unique_id, and picture {image!r} does not end in 8 digits: add a unique_id")
    if len(record.qa_list) != QUESTIONS:
        raise DataError(
            f"{where}: identity {unique_id} has {len(record.qa_list)} questions instead of {QUESTIONS}: "
            "complete its qa_list, or remove the identity"
        )
    names, others = [[name_of(each) for each in of] for of in (record.images, record.other_images)]
    if names[:1] not in ([], [image]):
        raise DataError(
            f"{where}: image_path of identity {unique_id} is {image!r}, and the first of its images {names[0]!r}: "
            "let them be the same"
        )
    seen, other = [
        tuple(_picture(each, f"{where}: picture {each!r} of identity {unique_id}", pictures) for each in of)
        for of in (names or [image], others)
    ]
    questions = tuple(
        _question(index, qa, f"{where}: identity {unique_id}")
        for index, qa in enumerate(record.qa_list)
        if not lenient or qa.group or ((said := told(qa.question)) and said.known)
    )
    return Identity(unique_id, record.name, seen, questions, other)


def _picture(name: str, what: str, pictures: dict[str, Path]) -> Path:
    if name not in pictures:
        raise DataError(
            f"{what} is missing: put it into SFHQ/ beside full.json (FIUBench's pictures are in its SFHQ.zip)"
        )
    return pictures[name]


def _id_in(image: str) -> str | None:
    digits = re.search(r"[0-9]{8}$", Path(image).stem)
    return digits and digits[0]


def _question(index: int, qa: _QA, where: str) -> Question:
    found = told(qa.question)
    group = qa.group or (found.group if found else None)
    if group is None:
        raise DataError(
            f"{where}: question {index} {qa.question!r} is of no known group (health, criminal, biography or filler): "
            'say which beside it, as in "group": "biography"'
        )
    refuse(f"{where}: question {index}", **qa.model_dump(include=_ASKED))
    return Question(
        index=index,
        question=qa.question,
        answer=qa.answer,
        keywords=qa.keywords,
        group=group,
        told_by="data" if qa.group else "wording" if found and found.known else "rule",
        paraphrased_questions=qa.paraphrased_question,
        paraphrased_answer=qa.paraphrased_answer,
        perturbed_answers=qa.perturbed_answer,
        attribute=qa.attribute or "",
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
