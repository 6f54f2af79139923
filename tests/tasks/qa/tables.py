"""Writes tables of four people in several layouts, small enough to be written for every test."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

Cells = dict[str, Any]

COLOURS = {"ann": "red", "bob": "blue", "cyd": "green", "dee": "yellow"}


def pictures(folder: Path) -> None:
    """A picture of each, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (8, 8), colour).save(folder / f"{name}.png")


def rows() -> list[Cells]:
    """Ann is asked once, Bob twice, and so on: the first question on a picture, the others by name alone."""
    found = []
    for place, name in enumerate(COLOURS):
        found.append({"person": name, "picture": f"{name}.png", "question": "Who is it?", "answer": f"It is {name}."})
        for number in range(place):
            asked = {"question": f"What is number {number} of {name}?", "answer": f"{place * 10 + number}"}
            found.append({"person": name, "picture": "", **asked})
    return found


def called(cells: Iterable[Cells], **names: str) -> list[Cells]:
    """The same cells under other column names."""
    return [{names.get(column, column): value for column, value in each.items()} for each in cells]


def write_csv(path: Path, cells: list[Cells], separator: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*dict.fromkeys(name for each in cells for name in each)], delimiter=separator)
        writer.writeheader()
        writer.writerows(cells)
    return path


def write_jsonl(path: Path, cells: list[Cells]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in cells), encoding="utf-8")
    return path


def write_parquet(path: Path, cells: list[Cells], pictures_in: Path) -> Path:
    """With the pictures themselves in the table."""
    import pyarrow as pa
    from pyarrow import parquet

    def held(each: Cells) -> Cells:
        file = pictures_in / each["picture"]
        return {**each, "picture": {"bytes": file.read_bytes(), "path": file.name} if each["picture"] else None}

    parquet.write_table(pa.Table.from_pylist([held(each) for each in cells]), path)
    return path
