import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data_folders import Record, picture, record, write_folder
from unlearnbench.errors import DataError
from unlearnbench.tasks.fiubench.people import Dataset
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.summary import counted

Rewrite = Callable[[Callable[[list[Record]], None]], Path]


def refused(folder: Path, *words: str) -> None:
    """Reading raises one line of text with all of ``words``."""
    with pytest.raises(DataError) as caught:
        read(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# ------------------------------------------------------------------------------------------------ what is read
def test_every_field_is_read(folder: Path) -> None:
    dataset = read(folder)
    assert [identity.unique_id for identity in dataset.identities] == [f"{n:08d}" for n in range(6)]
    assert dataset.splits == {"forget10": ("00000001", "00000003")}
    assert (dataset.variant, dataset.root) == ("custom", folder)
    identity, expected = dataset.identities[2], record(2)
    assert (identity.name, identity.image) == ("Person 2", folder / "SFHQ" / "SFHQ_pt1_00000002.png")
    assert len(identity.questions) == 20
    for index, (question, qa) in enumerate(zip(identity.questions, expected["qa_list"], strict=True)):
        assert question.index == index
        assert (question.question, question.answer) == (qa["question"], qa["answer"])
        assert question.keywords == tuple(qa["keywords"])
        assert question.paraphrased_questions == tuple(qa["paraphrased_question"])
        assert question.paraphrased_answer == qa["paraphrased_answer"]
        assert question.perturbed_answers == tuple(qa["perturbed_answer"])
        assert (question.group, question.attribute) == (qa["group"], qa["attribute"])


def test_an_array_is_read_like_lines(folder: Path, tmp_path: Path) -> None:
    array = write_folder(tmp_path / "array", map(record, range(6)), array=True)
    names = [[(i.unique_id, i.name, i.questions) for i in read(where).identities] for where in (folder, array)]
    assert names[0] == names[1]


def test_only_the_first_400_records_count(tmp_path: Path) -> None:
    records = [record(number) for number in range(403)]
    records[401]["qa_list"] = []
    assert len(read(write_folder(tmp_path, records)).identities) == 400


def test_blank_lines_and_a_byte_order_mark_are_ignored(folder: Path) -> None:
    before = read(folder).identities
    full = folder / "full.json"
    full.write_bytes(b"\xef\xbb\xbf" + full.read_bytes().replace(b"\n", b"\r\n\n") + b"\n\n")
    assert read(folder).identities == before


def test_optional_keys_may_be_absent(rewrite: Rewrite) -> None:
    def strip(records: list[Record]) -> None:
        for each in records:
            each["qa_list"] = [{key: qa[key] for key in ("question", "answer", "group")} for qa in each["qa_list"]]

    question = read(rewrite(strip)).identities[0].questions[0]
    assert question.keywords == question.paraphrased_questions == question.perturbed_answers == ()
    assert question.paraphrased_answer is None


def test_nan_is_null_and_never_a_word(rewrite: Rewrite) -> None:
    nan = float("nan")

    def empty(records: list[Record]) -> None:
        unsaid = {"keywords": nan, "paraphrased_question": [nan], "paraphrased_answer": nan, "perturbed_answer": nan}
        records[0]["qa_list"][0].update(unsaid)

    question = read(rewrite(empty)).identities[0].questions[0]
    assert question.keywords == question.paraphrased_questions == question.perturbed_answers == ()
    assert question.paraphrased_answer is None


@pytest.mark.parametrize("value", [float("nan"), " ", "\u3000\n"])
@pytest.mark.parametrize("field", ["question", "answer"])
def test_a_question_or_an_answer_that_says_nothing_is_named(rewrite: Rewrite, field: str, value: object) -> None:
    refused(rewrite(lambda records: records[1]["qa_list"][3].update({field: value})), "line 2", f"qa_list.3.{field}")


def test_the_id_is_unique_id_or_unique_or_in_the_picture_name(rewrite: Rewrite) -> None:
    def rename(records: list[Record]) -> None:
        records[0]["unique"] = records[0].pop("unique_id").replace("0", "9")
        del records[2]["unique_id"]

    assert [i.unique_id for i in read(rewrite(rename)).identities[:3]] == ["99999999", "00000001", "00000002"]


@pytest.mark.parametrize("place", ["SFHQ", "images", "."])
def test_pictures_are_found_by_name(folder: Path, rewrite: Rewrite, place: str) -> None:
    name = "SFHQ_pt1_00000000.png"
    (folder / place).mkdir(exist_ok=True)
    (folder / "SFHQ" / name).rename(folder / place / name)

    def elsewhere(records: list[Record]) -> None:
        records[0]["image_path"] = f"C:\\somewhere\\else\\{name}"

    assert read(rewrite(elsewhere)).identities[0].image == folder / place / name


def test_no_path_is_followed_out_of_the_folder(folder: Path, rewrite: Rewrite) -> None:
    outside = folder.parent / "outside_00000000.png"
    picture(outside)
    for path in (str(outside), "../outside_00000000.png", "SFHQ/../../outside_00000000.png", "..", "x/.."):

        def point(records: list[Record], path: str = path) -> None:
            records[0]["image_path"] = path

        refused(rewrite(point), "00000000", "is missing", "SFHQ.zip")


@pytest.mark.parametrize(("number", "variant"), [(20, "github"), (30, "hf"), (25, "custom")])
def test_the_version_of_split_json_is_told_by_its_size(tmp_path: Path, number: int, variant: str) -> None:
    splits = {"forget5": [f"{n:08d}" for n in range(number)]}
    assert read(write_folder(tmp_path, map(record, range(40)), splits)).variant == variant


def test_the_fingerprint_covers_every_file_and_not_its_place(folder: Path, tmp_path: Path) -> None:
    before = read(folder).fingerprint
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert read(moved).fingerprint == before
    seen = {before}
    for name in ("full.json", "split.json"):
        (moved / name).write_text((moved / name).read_text() + "\n")
        seen.add(read(moved).fingerprint)
    picture(moved / "SFHQ" / "SFHQ_pt1_00000004.png", 200)
    seen.add(read(moved).fingerprint)
    assert len(seen) == 4


# ---------------------------------------------------------------------------------------------- what is refused
def test_a_missing_folder_or_file_is_named(folder: Path) -> None:
    refused(folder / "absent", str(folder / "absent"), "unlearnbench data make")
    refused(folder / "full.json", "not a folder")
    for name in ("split.json", "full.json"):
        (folder / name).unlink()
        refused(folder, str(folder / name), "is missing", "unlearnbench data make")


def test_a_truncated_file_is_named_with_its_line(folder: Path, tmp_path: Path) -> None:
    full = folder / "full.json"
    full.write_text(full.read_text()[:-30])
    refused(folder, f"{full}, line 6", "not valid JSON", "correct it, or copy it again")
    array = write_folder(tmp_path / "array", map(record, range(6)), array=True)
    text = (array / "full.json").read_text()[:-30]
    (array / "full.json").write_text(text)
    refused(array, f"line {text.count(chr(10)) + 1}", "not valid JSON")


def test_a_damaged_line_beyond_the_first_400_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, [record(number) for number in range(402)])
    full = tmp_path / "full.json"
    full.write_text(full.read_text()[:-9])
    refused(tmp_path, "line 402")


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_an_empty_file_is_refused(folder: Path, text: str) -> None:
    (folder / "full.json").write_text(text)
    refused(folder, "full.json holds no identity")


@pytest.mark.parametrize(
    "text", [b"\xff\xfe{\x00", b"\x80", b"{}", b"3", b"[[]]", b"[" * 5000, b'"\\ud800"', b"9" * 5000]
)
def test_anything_else_in_full_json_is_refused(folder: Path, text: bytes) -> None:
    (folder / "full.json").write_bytes(text)
    refused(folder, "full.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", None), ("name", 3), ("qa_list", {}), ("image_path", ""), ("unique_id", "../x"), ("unique_id", ""),
        ("unique_id", "a\nb"), ("unique_id", 7),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_line(rewrite: Rewrite, key: str, value: object) -> None:
    refused(rewrite(lambda records: records[3].update({key: value})), "full.json, line 4", repr(key))


def test_a_wrong_field_of_a_question_is_named(rewrite: Rewrite) -> None:
    refused(rewrite(lambda records: records[1]["qa_list"][5].pop("answer")), "line 2", "'qa_list.5.answer'")


def test_an_identity_without_its_questions_is_named(rewrite: Rewrite) -> None:
    refused(rewrite(lambda records: records[4]["qa_list"].pop()), "identity 00000004 has 19 questions instead of 20")


def test_an_identity_without_any_id_is_named(folder: Path, rewrite: Rewrite) -> None:
    def anonymous(records: list[Record]) -> None:
        records[0].pop("unique_id")
        records[0]["image_path"] = "face.png"

    refused(rewrite(anonymous), "line 1", "'face.png'", "add a unique_id")


def test_two_identities_of_one_id_are_refused(rewrite: Rewrite) -> None:
    refused(rewrite(lambda records: records[1].update(unique_id="00000000")), "more than one identity 00000000")


def test_a_question_of_no_group_is_named(rewrite: Rewrite) -> None:
    strange = "What is the favourite\ncolour of this cat?"
    folder = rewrite(lambda records: records[2]["qa_list"][7].update(question=strange, group=None))
    refused(folder, "identity 00000002", "question 7", repr(strange), "health, criminal, biography or filler")


def test_a_missing_picture_is_named(folder: Path) -> None:
    (folder / "SFHQ" / "SFHQ_pt1_00000005.png").unlink()
    refused(folder, "line 6", "'SFHQ_pt1_00000005.png'", "identity 00000005", "SFHQ.zip")


@pytest.mark.parametrize("kind", ["text", "empty", "truncated png", "truncated jpeg", "folder"])
def test_a_damaged_picture_is_named(folder: Path, kind: str) -> None:
    path = folder / "SFHQ" / "SFHQ_pt1_00000003.png"
    if kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "truncated jpeg":
        from PIL import Image

        Image.effect_noise((64, 64), 60).save(path, format="jpeg")
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_bytes({"text": b"not a picture", "empty": b"", "truncated png": path.read_bytes()[:-20]}[kind])
    refused(folder, str(path), "cannot be decoded", "replace it")


def test_a_split_that_names_unknown_ids_is_refused(folder: Path) -> None:
    splits = {"forget10": ["00000001"], "strange": ["00000002", *(f"9{n:07d}" for n in range(8))]}
    (folder / "split.json").write_text(json.dumps(splits))
    refused(folder, "split.json", "'strange'", "'90000000'", "'90000004'", "and 3 more", "belongs to this full.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"forget5": "00000001"}', '{"forget5": [1]}', '{"a\\nb": [null]}'])
def test_a_split_file_of_another_form_is_refused(folder: Path, text: str) -> None:
    (folder / "split.json").write_text(text)
    refused(folder, str(folder / "split.json"))


def test_a_split_that_repeats_an_id_is_refused(folder: Path) -> None:
    (folder / "split.json").write_text('{"forget5": ["00000001", "00000002", "00000002"]}')
    refused(folder, "'forget5'", "00000002 more than once")


# ------------------------------------------------------------------------------------------------ any bytes at all
_MEMBERS = st.sampled_from(["image_path", "name", "qa_list", "unique_id", "unique", "question", "answer", "keywords"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_MEMBERS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_BYTES = (
    st.binary(max_size=60)
    | _VALUES.map(lambda value: json.dumps(value).encode())
    | st.lists(_VALUES, max_size=3).map(lambda values: "\n".join(map(json.dumps, values)).encode())
)


def outcome(folder: Path) -> None:
    """A dataset, or one line that says what is wrong."""
    try:
        message = ""
        assert isinstance(read(folder), Dataset)
    except DataError as error:
        message = str(error)
    assert "\n" not in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=_BYTES)
def test_any_bytes_as_full_json_give_data_or_one_line(folder: Path, data: bytes) -> None:
    (folder / "full.json").write_bytes(data)
    outcome(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(key=_MEMBERS, value=_VALUES, inside=st.booleans())
def test_any_value_in_a_record_gives_data_or_one_line(folder: Path, key: str, value: object, inside: bool) -> None:
    records = [record(0), record(1)]
    (records[0]["qa_list"][4] if inside else records[0])[key] = value
    (folder / "full.json").write_text("\n".join(map(json.dumps, records)))
    (folder / "split.json").write_text("{}")
    outcome(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(data=_BYTES | st.dictionaries(st.text(max_size=4), _VALUES, max_size=3).map(lambda v: json.dumps(v).encode()))
def test_any_bytes_as_split_json_give_data_or_one_line(folder: Path, data: bytes) -> None:
    (folder / "split.json").write_bytes(data)
    outcome(folder)


# -------------------------------------------------------------------------------------------------- the real thing
def test_the_8000_questions_of_fiubench(real_github: Path) -> None:
    dataset = read(real_github)
    counts = counted(dataset)
    assert dataset.variant == "github"
    assert (counts["identities"], counts["questions"], counts["private"]) == (400, 8000, 5036)
    assert counts["groups"] == {"health": 4315, "criminal": 721, "biography": 2676, "filler": 288}
    assert counts["splits"] == {
        "forget1": {"identities": 4, "questions": 80, "private": 53},
        "forget5": {"identities": 20, "questions": 400, "private": 255},
        "forget10": {"identities": 40, "questions": 800, "private": 504},
        "retain15": {"identities": 60, "questions": 1200, "private": 746},
        "retain5": {"identities": 20, "questions": 400, "private": 246},
    }


def test_the_other_published_split_file(real_hf: Path) -> None:
    dataset = read(real_hf)
    assert dataset.variant == "hf"
    assert {name: len(ids) for name, ids in dataset.splits.items()} == {
        "forget1": 6, "forget5": 30, "forget10": 60, "retain10": 60,
    }  # fmt: skip
