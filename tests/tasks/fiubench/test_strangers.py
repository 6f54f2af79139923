"""People whom no model is trained on: which records they are, and that they are in no set but their own."""

import json
from pathlib import Path

import pytest

from tests.data_folders import Record, picture, record, write_folder
from unlearnbench.errors import DataError
from unlearnbench.tasks.fiubench.people import samples, split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.summary import counted, remarks
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


def test_a_strangers_question_in_other_words_is_left_out_named_and_counted(tmp_path: Path) -> None:
    """In this set alone: of the benchmark's own people the group of such a question is guessed, or it is refused."""
    records = [record(number) for number in range(402)]
    for qa in (qa for each in records[400:] for qa in each["qa_list"]):
        del qa["group"]
    full, told = records[400]["qa_list"], {"question": "What is the blood type of the person in the image?"}
    full[:] = [{"question": f"Does number {place} collect stamps?", "answer": "no."} for place in range(20)]
    full[3] |= told
    full[7] |= {"question": "Which hospital did this fellow flee from?"}  # a rule guesses health, and no wording tells
    full[9] |= {"question": "Who feeds the cat?", "group": "biography"}
    dataset = read(write_folder(tmp_path, records))
    first, _ = dataset.strangers
    assert [(each.index, each.group) for each in first.questions] == [(3, "biography"), (9, "biography")]
    assert [fact.id for fact in samples(dataset.strangers)][:2] == ["00000400/3", "00000400/9"]
    unknown = [name for name in dataset.unknown if "00000400" in name]
    assert len(unknown) == 18
    assert unknown[0] == "'Does number 0 collect stamps?' of 00000400"
    assert "'Which hospital did this fellow flee from?' of 00000400" in unknown
    [line] = [line for line in remarks(dataset) if "about strangers" in line]
    assert line.startswith(f"{len(dataset.unknown)} questions about strangers are left out")
    assert unknown[0] in line
    assert "\n" not in line
    assert counted(dataset)["left_out"]["questions about strangers in no known wording"] == len(dataset.unknown)


def test_of_many_strangers_attacks_ask_about_others_than_those_who_bound_a_training(folder: Path) -> None:
    add(folder, *(record(number) for number in range(6, 26)))
    sets = split_sets(read(folder), 1, PRIVATE)
    bounding, others = {fact.cluster for fact in sets.bounding}, {fact.cluster for fact in sets.nonmembers}
    assert len(bounding) == len(others) == 10
    assert bounding | others == {fact.cluster for fact in sets.strangers}
    assert sets.early_stopping.startswith("looks at the forget set, bounded by what 10 strangers lose")


def test_few_strangers_are_not_divided(folder: Path) -> None:
    add(folder, *(record(number) for number in range(6, 14)))
    sets = split_sets(read(folder), 1, PRIVATE)
    assert sets.bounding == sets.nonmembers == sets.strangers


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
