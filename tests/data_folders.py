"""Writes folders in FIUBench's layout, small enough to be written for every test."""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from unlearnbench.embedded.data.identities import people

SHARED = Path(__file__).parents[2] / "shared" / "data"
PEOPLE = list(islice(people(7), 12))

Record = dict[str, Any]


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade % 256, 40 + shade // 256, 90)).save(path)


def record(number: int, unique_id: str | None = None) -> Record:
    unique_id = unique_id or f"{number:08d}"
    qa_list = [dict(qa) for qa in PEOPLE[number % len(PEOPLE)]]
    image = f"./dataset/SFHQ/SFHQ_pt1_{unique_id}.png"
    return {"image_path": image, "name": f"Person {number}", "qa_list": qa_list, "unique_id": unique_id}


def leave_first(path: Path, number: int) -> None:
    """Cut a file of people down to the first of them, pictures too: every one is asked about in every evaluation."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:number]))
    for each in map(json.loads, lines[number:]):
        for name in (*each["images"], *each["other_images"]):
            (path.parent / "SFHQ" / name).unlink()


def write_folder(
    folder: Path, records: Iterable[Record], splits: dict[str, list[str]] | None = None, array: bool = False
) -> Path:
    records = list(records)
    for number, each in enumerate(records):
        picture(folder / "SFHQ" / Path(each["image_path"]).name, number)
    text = json.dumps(records, indent=1) if array else "\n".join(map(json.dumps, records))
    (folder / "full.json").write_text(text)
    (folder / "split.json").write_text(json.dumps(splits or {}))
    return folder
