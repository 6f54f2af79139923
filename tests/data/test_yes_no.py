import json
import shutil
from pathlib import Path

import pytest
from data_folders import SHARED, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlearnbench.data.yes_no import read_mme, read_pope
from unlearnbench.errors import DataError

MME_LINES = "a.png\tIs it red?\tYes\na.png\tIs it blue?\tNo\nb.png\tIs it two?\tNo\nb.png\tIs it one?\tYes\n"
POPE_RECORDS = [
    {"question_id": 1, "image": "a.png", "text": "Is there a cat in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.png", "text": "Is there a dog in the image?", "label": "no"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("mme/images/color/a.png", "mme/images/b.png", "pope/images/a.png")):
        picture(tmp_path / name, number)
    (tmp_path / "mme" / "color.txt").write_text(MME_LINES)
    for kind in ("random", "popular", "adversarial"):
        lines = "\n".join(map(json.dumps, POPE_RECORDS))
        (tmp_path / "pope" / f"coco_pope_{kind}.json").write_text(lines)
    return tmp_path


def test_mme_questions_with_pictures_in_either_place(folder: Path) -> None:
    found = read_mme(folder)
    assert found.root == folder
    assert [(q.id, q.question, q.answer, q.kind) for q in found.questions] == [
        ("color/a.png/0", "Is it red?", True, "color"),
        ("color/a.png/1", "Is it blue?", False, "color"),
        ("color/b.png/0", "Is it two?", False, "color"),
        ("color/b.png/1", "Is it one?", True, "color"),
    ]
    images = folder / "mme" / "images"
    assert [q.image for q in found.questions[::2]] == [images / "color" / "a.png", images / "b.png"]


def test_pope_questions(folder: Path) -> None:
    questions = read_pope(folder).questions
    assert [(q.id, q.answer) for q in questions] == [
        (f"{kind}/{number}", number == 1) for kind in ("random", "popular", "adversarial") for number in (1, 2)
    ]
    assert questions[0].question == "Is there a cat in the image?"
    assert {q.image for q in questions} == {folder / "pope" / "images" / "a.png"}


@pytest.mark.parametrize(("read", "text"), [(read_mme, "mme/color.txt"), (read_pope, "pope/coco_pope_popular.json")])
def test_fingerprints_cover_questions_and_pictures(folder: Path, tmp_path_factory, read, text: str) -> None:  # type: ignore[no-untyped-def]
    moved = tmp_path_factory.mktemp("moved") / "data"
    shutil.copytree(folder, moved)
    seen = {read(folder).fingerprint, read(moved).fingerprint}
    assert len(seen) == 1
    (moved / text).write_text((moved / text).read_text() + "\n")
    seen.add(read(moved).fingerprint)
    for path in moved.rglob("*.png"):
        picture(path, 111)
    seen.add(read(moved).fingerprint)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.png\tIs it red?\n", ["color.txt, line 1", "picture<TAB>question<TAB>Yes|No"]),
        ("\na.png\tIs it red?\tmaybe\n", ["color.txt, line 2"]),
        ("absent.png\tIs it red?\tYes\n", ["line 1", "'absent.png'", "missing"]),
        ("../color.txt\tIs it red?\tYes\n", ["'color.txt'", "missing"]),
        ("a.png\tIs it red?\tYes\n", ["color.txt", "'a.png'", "1 questions", "complete the pair"]),
        ("a.png\tIs it red?\tYes\na.png\tIs it blue?\tYes\n", ["'a.png'", "2 questions"]),
        ("", ["without a question"]),
    ],
)
def test_bad_mme_lines_are_named(folder: Path, text: str, words: list[str]) -> None:
    (folder / "mme" / "color.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        read_mme(folder)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "maybe"}, ["coco_pope_popular.json, line 2", "'label'"]),
        ({"text": None}, ["line 2", "'text'"]),
        ({"image": "absent.png"}, ["line 2", "'absent.png'", "missing"]),
        ({"question_id": 1}, ["2 questions popular/1"]),
    ],
)
def test_bad_pope_records_are_named(folder: Path, change: dict[str, object], words: list[str]) -> None:
    lines = "\n".join(map(json.dumps, [POPE_RECORDS[0], POPE_RECORDS[1] | change]))
    (folder / "pope" / "coco_pope_popular.json").write_text(lines)
    with pytest.raises(DataError) as caught:
        read_pope(folder)
    assert all(word in str(caught.value) for word in words)


def test_missing_files_are_named_with_the_fix(folder: Path) -> None:
    (folder / "pope" / "coco_pope_popular.json").unlink()
    with pytest.raises(DataError, match=r"coco_pope_popular.json is missing: .*unlearnbench data make DIR"):
        read_pope(folder)
    (folder / "mme" / "color.txt").unlink()
    with pytest.raises(DataError, match=r"mme holds no question file: .*unlearnbench data make DIR"):
        read_mme(folder)


@pytest.mark.parametrize(("read", "image"), [(read_mme, "mme/images/b.png"), (read_pope, "pope/images/a.png")])
def test_damaged_pictures_are_named(folder: Path, read, image: str) -> None:  # type: ignore[no-untyped-def]
    (folder / image).write_bytes((folder / image).read_bytes()[:-20])
    with pytest.raises(DataError, match=r"\.png cannot be decoded"):
        read(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(data=st.binary(max_size=60) | st.text(alphabet='ab.png\tYesNo\n{}[]":', max_size=60).map(str.encode))
def test_any_bytes_give_questions_or_one_line(folder: Path, data: bytes) -> None:
    for read, name in ((read_mme, "mme/color.txt"), (read_pope, "pope/coco_pope_random.json")):
        (folder / name).write_bytes(data)
        try:
            message = ""
            read(folder)
        except DataError as error:
            message = str(error)
        assert "\n" not in message


def test_the_official_mme_questions(tmp_path: Path) -> None:
    source = SHARED / "mme"
    if not source.is_dir():
        pytest.skip("MME's questions are not on this machine")
    shutil.copytree(source, tmp_path / "mme")
    (tmp_path / "mme" / "images").mkdir()
    for path in source.glob("*.txt"):
        for line in path.read_text().splitlines():
            (tmp_path / "mme" / "images" / line.split("\t")[0]).write_bytes(PIXEL)
    questions = read_mme(tmp_path).questions
    kinds = [q.kind for q in questions]
    assert (len(questions), len(set(kinds)), kinds.count("celebrity")) == (2374, 14, 340)
    assert sum(q.answer for q in questions) == 1187
    assert len({q.id for q in questions}) == 2374


def test_the_official_pope_questions(tmp_path: Path) -> None:
    source = SHARED / "pope"
    if not source.is_dir():
        pytest.skip("POPE's questions are not on this machine")
    shutil.copytree(source, tmp_path / "pope")
    (tmp_path / "pope" / "images").mkdir()
    lines = (source / "coco_pope_random.json").read_text().splitlines()
    for name in {json.loads(line)["image"] for line in lines}:
        (tmp_path / "pope" / "images" / name).write_bytes(PIXEL)
    questions = read_pope(tmp_path).questions
    assert len(questions) == len({q.id for q in questions}) == 9000
    assert sum(q.answer for q in questions) == 4500
    assert len({(q.image, q.question) for q in questions}) == 5127


PIXEL = bytes.fromhex("424d1e000000000000001a0000000c000000010001000100180000000000")  # a bitmap of one black pixel
