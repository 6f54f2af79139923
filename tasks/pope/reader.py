"""Reads POPE (arXiv:2305.10355): its question files beside a folder of COCO pictures, or the hub's Parquet files."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from unlearnbench import DataError
from unlearnbench.data.folder import content, files_in, json_records, name_of, validated
from unlearnbench.data.parquet import ParquetTable, parquet_files

from ..yes_no.reader import YesNoQuestion, YesNoSet, found, question, question_set
from .scores import SPLITS

_FIX = (
    "give POPE's coco_pope_*.json beside images/ or COCO's val2014/, or its Parquet files; "
    "`unlearnbench data fetch pope` downloads it"
)
_PLACES = ("pope", "POPE", "pope/output/coco", "POPE/output/coco", "output/coco", "coco", ".")
_IMAGES = ("images", "val2014", "../val2014", "../coco/val2014", "../../val2014")
"""Where pictures may be, seen from the question files."""


class _Record(BaseModel):
    question_id: int
    image: str
    text: str
    label: str


def pope_root(folder: Path) -> Path | None:
    """Where within ``folder`` POPE is, in any of its layouts; None where it is not."""
    return next(
        (
            folder / place
            for place in _PLACES
            if (folder / place).is_dir() and (any((folder / place).glob(_file("*"))) or parquet_files(folder / place))
        ),
        None,
    )


def read_pope(folder: Path) -> YesNoSet:
    """Read POPE, whichever its layout; all three splits must be there.

    Raises `DataError` naming the file and line.
    """
    root = pope_root(folder)
    if root is None:
        raise DataError(f"{folder / _PLACES[0]} holds no question file of POPE: {_FIX}")
    questions = list(_parquet(root) if parquet_files(root) else _files(root, folder))
    _check_ids(questions)
    if missing := [split for split in SPLITS if not any(each.category == split for each in questions)]:
        raise DataError(f"{root}: no question of the split {missing[0]}: {_FIX}")
    return question_set(questions, folder)


def _file(split: str) -> str:
    return f"coco_pope_{split}.json"


def _files(root: Path, folder: Path) -> Iterator[YesNoQuestion]:
    """Records with question_id, image, text and label, a file a split."""
    # Only what lies in the folder that was given; links are not followed first, as one to COCO's pictures is welcome.
    inside = os.path.normpath(folder.absolute())
    places = [Path(os.path.normpath(root.absolute() / name)) for name in _IMAGES]
    pictures = files_in(*(place for place in places if place.is_relative_to(inside)))
    for split in SPLITS:
        path = root / _file(split)
        for where, value in json_records(path, content(path, _FIX)):
            record = validated(_Record, value, where)
            name = name_of(record.image)
            number = str(record.question_id)
            image = pictures.find(name)
            yield question(where, split, number, image, record.text, record.label, name=name, fix=_FIX)


def _parquet(root: Path) -> Iterator[YesNoQuestion]:
    """The columns question_id, question, answer, image_source, image and category."""
    table = ParquetTable(parquet_files(root), ("question_id", "question", "answer", "image_source", "category"))
    pictures = table.pictures(lambda row: name_of(str(row["image_source"])))
    for where, row in table.rows():
        name, split = name_of(str(row["image_source"])), str(row["category"])
        if split not in SPLITS:
            raise DataError(f"{where}: POPE has no split {split!r}; it has {', '.join(SPLITS)}")
        number = str(row["question_id"])
        image = found(name, pictures)
        yield question(where, split, number, image, row["question"], row["answer"], name=name, fix=_FIX)


def _check_ids(questions: list[YesNoQuestion]) -> None:
    times = Counter((each.category, each.question_id) for each in questions)
    for each in questions:
        if times[each.category, each.question_id] > 1:
            raise DataError(
                f"{each.where}: question_id {each.question_id} is used {times[each.category, each.question_id]} times "
                f"in the split {each.category}: give each question its own"
            )
