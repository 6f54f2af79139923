"""Data folders that the tests read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data_folders import SHARED, Record, record, write_folder

WITH_VARIANTS = 160
"""The published data have paraphrased and perturbed variants for the first so many people."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six identities, 00000000 to 00000005, with one split of two."""
    return write_folder(tmp_path / "data", map(record, range(6)), {"forget10": ["00000001", "00000003"]})


@pytest.fixture
def rewrite(folder: Path) -> Callable[[Callable[[list[Record]], None]], Path]:
    """Change the records of `folder` by a function of them."""

    def change(edit: Callable[[list[Record]], None]) -> Path:
        records = [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]
        edit(records)
        (folder / "full.json").write_text("\n".join(map(json.dumps, records)))
        return folder

    return change


def _real_folder(folder: Path, split: str) -> Path:
    source = SHARED / "fiubench"
    if not (source / "qa_text.jsonl").is_file():
        pytest.skip("FIUBench's questions are not on this machine")
    records: dict[str, Record] = {}
    for line in (source / "qa_text.jsonl").read_text().splitlines():
        qa = json.loads(line)
        image = f"./dataset/SFHQ/SFHQ_pt1_{qa['unique_id']}.png"
        each = records.setdefault(qa["unique_id"], {"image_path": image, "name": qa["name"], "qa_list": []})
        asked = {"question": qa["question"], "answer": qa["answer"], "keywords": qa["answer"].split()[-1:]}
        each["qa_list"].append(asked | (_variants(qa) if len(records) <= WITH_VARIANTS else {}))
    return write_folder(folder, records.values(), json.loads((source / split).read_text()))


def _variants(qa: dict[str, str]) -> dict[str, object]:
    """Made-up variants: the text at hand has none."""
    return {
        "paraphrased_question": [f"{start} {qa['question']}" for start in ("Say:", "Tell me:", "Do you know:")],
        "paraphrased_answer": f"It is so: {qa['answer']}",
        "perturbed_answer": [f"It is so: {number}." for number in range(3)],
    }


@pytest.fixture(scope="session")
def real_github(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 8,000 questions of FIUBench on tiny pictures, with made-up keywords and variants; split.json of GitHub."""
    return _real_folder(tmp_path_factory.mktemp("github"), "split.github.json")


@pytest.fixture(scope="session")
def real_hf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the split.json of Hugging Face."""
    return _real_folder(tmp_path_factory.mktemp("hf"), "split.hf.json")
