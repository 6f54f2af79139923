"""MME and POPE in every layout in which people have them, and what is wrong with a folder named to the line."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data_folders import SHARED, picture
from tests.tasks.yes_no.folders import MME_LINES, PIXEL, POPE_RECORDS, Read
from unlearnbench.errors import DataError
from unlearnbench.tasks.mme.reader import mme_root, read_mme
from unlearnbench.tasks.pope.reader import pope_root, read_pope


def test_mme_questions_with_pictures_in_either_place(folder: Path) -> None:
    found = read_mme(folder)
    assert found.root == folder
    assert [(q.question_id, q.question, q.answer, q.category) for q in found.questions] == [
        ("color/a.png", "Is it red?", True, "color"),
        ("color/a.png", "Is it blue?", False, "color"),
        ("color/b.png", "Is it two?", False, "color"),
        ("color/b.png", "Is it one?", True, "color"),
    ]
    images = folder / "mme" / "images"
    assert [q.image for q in found.questions[::2]] == [images / "color" / "a.png", images / "b.png"]


def test_pope_questions(folder: Path) -> None:
    questions = read_pope(folder).questions
    assert [(q.category, q.question_id, q.answer) for q in questions] == [
        (kind, str(number), number == 1) for kind in ("random", "popular", "adversarial") for number in (1, 2)
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
    assert read(moved).fingerprint in seen, "a blank line changes no question"
    (moved / text).write_text((moved / text).read_text().replace("Is ", "Was ", 1))
    seen.add(read(moved).fingerprint)
    for path in moved.rglob("*.png"):
        picture(path, 111)
    seen.add(read(moved).fingerprint)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.png\tIs it red?\n", ["color.txt, line 1", "picture<TAB>question<TAB>Yes|No"]),
        ("\na.png\tIs it red?\tmaybe\n", ["color.txt, line 2", "yes or no, not 'maybe'"]),
        ("absent.png\tIs it red?\tYes\n", ["line 1", "'absent.png'", "missing"]),
        ("../color.txt\tIs it red?\tYes\n", ["'color.txt'", "missing"]),
        ("a.png\tIs it red?\tYes\n", ["color.txt, line 1", "'color/a.png'", "1 question ", "complete the pair"]),
        ("a.png\tIs it red?\tYes\na.png\tIs it blue?\tYes\n", ["line 2", "'color/a.png'", "2 questions"]),
        ("a.png\t \tYes\n", ["line 1", "question is missing"]),
        ("", ["color.txt holds no question"]),
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
        ({"label": "maybe"}, ["coco_pope_popular.json, line 2", "yes or no, not 'maybe'"]),
        ({"text": None}, ["line 2", "'text'"]),
        ({"image": "absent.png"}, ["line 2", "'absent.png'", "missing"]),
        ({"question_id": 1}, ["line 1", "question_id 1 is used 2 times in the split popular"]),
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
    with pytest.raises(DataError, match=r"coco_pope_popular.json is missing: .*unlearnbench data fetch pope"):
        read_pope(folder)
    (folder / "mme" / "color.txt").unlink()
    with pytest.raises(DataError, match=r"mme holds no question file of MME: .*unlearnbench data fetch mme"):
        read_mme(folder)


@pytest.mark.parametrize(("read", "image"), [(read_mme, "mme/images/b.png"), (read_pope, "pope/images/a.png")])
def test_what_is_no_picture_is_named(folder: Path, read: Read, image: str) -> None:
    (folder / image).write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(DataError, match=r"\.png cannot be decoded .*not an image.*replace it"):
        read(folder)


@pytest.mark.parametrize(("read", "image"), [(read_mme, "mme/images/b.png"), (read_pope, "pope/images/a.png")])
def test_a_cut_picture_is_named_before_it_is_asked_about(folder: Path, read: Read, image: str) -> None:
    Image.effect_noise((64, 64), 60).save(folder / image, format="jpeg")
    (folder / image).write_bytes((folder / image).read_bytes()[:-40])
    with pytest.raises(DataError, match=r"\.png cannot be decoded .*truncated.*: replace it"):
        read(folder)


def test_a_category_that_mme_does_not_have_is_named(folder: Path) -> None:
    (folder / "mme" / "colour.txt").write_text(MME_LINES)
    with pytest.raises(DataError, match=r"colour.txt, line 1: MME has no subtask 'colour'; it has existence, count"):
        read_mme(folder)


@pytest.mark.parametrize("pictures", ["pope/val2014", "val2014", "coco/val2014"])
def test_pope_with_a_coco_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory, pictures: str) -> None:
    before = read_pope(folder).fingerprint
    coco = tmp_path_factory.mktemp("coco") / "val2014"
    shutil.move(folder / "pope" / "images", coco)
    (folder / pictures).parent.mkdir(exist_ok=True)
    (folder / pictures).symlink_to(coco)
    assert read_pope(folder).fingerprint == before
    assert pope_root(folder) == folder / "pope"


def test_pictures_outside_the_folder_are_not_taken(folder: Path) -> None:
    shutil.move(folder / "pope" / "images", folder / "val2014")
    with pytest.raises(DataError, match=r"line 1: picture 'a.png' is missing"):
        read_pope(folder / "pope")


def test_folders_without_the_benchmarks_are_told_apart(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert mme_root(folder) == folder / "mme"
    empty = tmp_path_factory.mktemp("empty")
    assert (mme_root(empty), pope_root(empty)) == (None, None)


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
    kinds = [q.category for q in questions]
    assert (len(questions), len(set(kinds)), kinds.count("celebrity")) == (2374, 14, 340)
    assert sum(q.answer for q in questions) == 1187
    assert len({q.question_id for q in questions}) == 1187


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
    assert len(questions) == len({(q.category, q.question_id) for q in questions}) == 9000
    assert sum(q.answer for q in questions) == 4500
    assert len({(q.image, q.question) for q in questions}) == 5127
