"""People whom no model is trained on: which records they are, and that they are in no set but their own."""

import json
from pathlib import Path

import pytest

from tests.data_folders import Record, picture, record, write_folder
from unlearnbench.errors import DataError
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.summary import counted
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE


def add(folder: Path, *records: Record) -> None:
    for each in records:
        picture(folder / "SFHQ" / Path(each["image_path"]).name, 200)
    (folder / "strangers.json").write_text("\n".join(map(json.dumps, records)))


def test_whole_records_after_the_first_400_are_strangers(tmp_path: Path) -> None:
    records = [record(number) for number in range(404)]
    records[401]["qa_list"] = []
    folder = write_folder(tmp_path, records)
    (folder / "SFHQ" / "SFHQ_pt1_00000402.png").unlink()
    dataset = read(folder)
    assert [person.unique_id for person in dataset.strangers] == ["00000400", "00000403"]
    assert len(dataset.identities) == counted(dataset)["identities"] == 400
    assert counted(dataset)["strangers"] == 2


def test_strangers_json_adds_strangers_who_are_in_no_other_set(folder: Path) -> None:
    add(folder, record(6), record(7))
    sets = split_sets(read(folder), 1, PRIVATE)
    assert {sample.cluster for sample in sets.strangers} == {"00000006", "00000007"}
    assert len(sets.strangers) == 40
    assert {sample.cluster for sample in sets.all} == {f"{number:08d}" for number in range(6)}
    assert not {*sets.strangers} & {*sets.in_order, *sets.retain, *sets.held_out, *sets.forget}


def test_who_is_forgotten_does_not_depend_on_strangers(folder: Path) -> None:
    before = split_sets(read(folder), None, PRIVATE)
    add(folder, record(6))
    after = split_sets(read(folder), None, PRIVATE)
    assert (before.all, before.forgotten, before.strangers) == (after.all, after.forgotten, ())


def test_strangers_are_part_of_the_fingerprint(folder: Path) -> None:
    seen = {read(folder).fingerprint}
    add(folder, record(6))
    seen.add(read(folder).fingerprint)
    picture(folder / "SFHQ" / "SFHQ_pt1_00000006.png", 99)
    seen.add(read(folder).fingerprint)
    changed = record(6)
    changed["name"] = "Somebody Else"
    (folder / "strangers.json").write_text(json.dumps(changed))
    seen.add(read(folder).fingerprint)
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: add(folder, record(3)), "stranger 00000003 is there more than once"),
        (lambda folder: add(folder, record(6), record(6)), "stranger 00000006 is there more than once"),
        (lambda folder: (folder / "strangers.json").write_text("{"), "strangers.json, line 1: not valid JSON"),
        (lambda folder: (folder / "strangers.json").write_text(json.dumps(record(6))), "00000006 is missing"),
    ],
)
def test_what_is_wrong_in_strangers_json_is_said(folder: Path, spoil: object, words: str) -> None:
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        read(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
