"""Questions of MME and POPE, and the layouts in which people have them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from unlearnbench.tasks.mme.reader import read_mme
from unlearnbench.tasks.yes_no.reader import YesNoSet

Read = Callable[[Path], YesNoSet]

MME_LINES = "a.png\tIs it red?\tYes\na.png\tIs it blue?\tNo\nb.png\tIs it two?\tNo\nb.png\tIs it one?\tYes\n"
POPE_RECORDS = [
    {"question_id": 1, "image": "a.png", "text": "Is there a cat in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.png", "text": "Is there a dog in the image?", "label": "no"},
]

PIXEL = bytes.fromhex("424d1e000000000000001a0000000c000000010001000100180000000000")  # a bitmap of one black pixel


def as_release(folder: Path, target: Path, split: bool) -> Path:
    """MME as its authors publish it: a text file a picture, beside it or in a folder of its own."""
    for question in read_mme(folder).questions:
        place = target / question.category
        texts, images = (place / "questions_answers_YN", place / "images") if split else (place, place)
        for each in (texts, images):
            each.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(question.image, images / question.image.name)
        with (texts / f"{question.image.stem}.txt").open("a") as text:
            text.write(f"{question.question}\t{'Yes' if question.answer else 'No'}\n")
    (target / "eval_tool").mkdir()
    (target / "eval_tool" / "readme.txt").write_text("not a question")
    return target


def write_parquet(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def as_parquet(folder: Path, target: Path, read: Read, shards: int = 2) -> Path:
    """The hub's files: pictures repeated within the rows."""
    rows = [
        {
            "question_id": q.question_id,
            "image_source": q.image.stem,
            "image": {"bytes": q.image.read_bytes(), "path": None},
            "question": q.question,
            "answer": "Yes" if q.answer else "No",
            "category": q.category,
        }
        for q in read(folder).questions
    ]
    for shard in range(shards):
        write_parquet(target / f"test-{shard:05}-of-{shards:05}-abc.parquet", rows[shard::shards])
    return target
