"""MME and POPE in every layout in which people have them, and what is wrong with a folder named to the line."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from tests.data_folders import SHARED, picture
from unlearnbench.errors import DataError
from unlearnbench.tasks.mme.reader import mme_root, read_mme
from unlearnbench.tasks.pope.reader import pope_root, read_pope
from unlearnbench.tasks.yes_no.reader import YesNoSet

Read = Callable[[Path], YesNoSet]

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


# ----------------------------------------------------------------------------------------------------- other layouts
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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache of this test's own."""
    import huggingface_hub.utils._cache_assets as assets

    monkeypatch.setattr(assets, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("place", ["mme", "MME_Benchmark_release_version/MME_Benchmark", "."])
def test_the_official_release_is_the_same_data(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, place: str, split: bool
) -> None:
    target = tmp_path_factory.mktemp("release")
    as_release(folder, target / place, split)
    released = read_mme(target)
    assert released.fingerprint == read_mme(folder).fingerprint
    assert {q.where for q in released.questions} != {""}


@pytest.mark.parametrize(("read", "name"), [(read_mme, "mme"), (read_pope, "pope")])
@pytest.mark.parametrize("place", ["data", "."])
def test_parquet_files_are_the_same_data(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path, read: Read, name: str, place: str
) -> None:
    target = tmp_path_factory.mktemp("hub")
    as_parquet(folder, target / name / place, read)
    first = read(target)
    assert first.fingerprint == read(folder).fingerprint
    pictures = {q.image for q in first.questions}
    assert all(path.is_relative_to(cache) for path in pictures)
    assert len(pictures) == len({q.image for q in read(folder).questions})
    for path in pictures:
        path.touch()
    marked = {path: path.stat().st_mtime_ns for path in pictures}
    assert {q.image: q.image.stat().st_mtime_ns for q in read(target).questions} == marked, "unpacked twice"


def test_a_release_with_a_wrong_folder_or_without_a_picture_is_named(folder: Path, tmp_path: Path) -> None:
    release = as_release(folder, tmp_path / "released", split=False)
    (release / "color" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.txt, line 1: picture 'b.jpg or .png' is missing"):
        read_mme(release)
    text = (release / "color" / "b.txt").read_bytes()
    (release / "color" / "b.txt").write_bytes(b"\n")
    with pytest.raises(DataError, match=r"b\.txt holds no question"):
        read_mme(release)
    (release / "color" / "b.txt").write_bytes(text)
    (release / "color").rename(release / "colour")
    (release / "count").mkdir()
    with pytest.raises(DataError, match=r"count holds no question file|MME has no subtask 'colour'"):
        read_mme(release)
    (release / "count").rmdir()
    (release / "existence").mkdir()
    picture(release / "existence" / "c.png")
    (release / "existence" / "c.txt").write_text("Is it?\tYes\nIs it not?\tNo\n")
    with pytest.raises(DataError, match=r"MME has no subtask 'colour'; rename or remove the folder"):
        read_mme(release)


def test_bad_parquet_files_are_named(folder: Path, tmp_path: Path, cache: Path) -> None:
    target = as_parquet(folder, tmp_path / "hub" / "mme", read_mme).parent
    shard = target / "mme" / "test-00001-of-00002-abc.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"00001-of-00002-abc.parquet is no readable Parquet file"):
        read_mme(target)
    shard.unlink()
    with pytest.raises(DataError, match=r"1 of 2 files test-\*\.parquet are there"):
        read_mme(target)
    rows = parquet.read_table(io.BytesIO(whole)).to_pylist()
    rows += [rows[0] | {"question": "Is it?", "answer": "Yes" if rows[0]["answer"] == "No" else "No"}]
    rows = [row for row in rows if row["question_id"] == rows[0]["question_id"]]
    for change, message in (
        ({"category": "colour"}, r"row 1: MME has no subtask 'colour'"),
        ({"answer": "maybe"}, r"row 1: the answer must be yes or no, not 'maybe'"),
        ({"image": None}, r"row 1: the picture is missing"),
        ({"image": {"bytes": b"no picture", "path": None}}, r"cannot be decoded"),
    ):
        write_parquet(tmp_path / "one" / "all.parquet", [rows[0] | change, *rows[1:]])
        with pytest.raises(DataError, match=message):
            read_mme(tmp_path / "one")
    assert not list(cache.rglob("*.unfinished"))
    write_parquet(tmp_path / "one" / "all.parquet", [{"question_id": "a"}])
    with pytest.raises(DataError, match="has no column 'question'"):
        read_mme(tmp_path / "one")


def test_names_in_parquet_files_lead_nowhere_else(folder: Path, tmp_path: Path, cache: Path) -> None:
    target = as_parquet(folder, tmp_path / "hub" / "mme", read_mme, shards=1).parent
    file = next(target.rglob("*.parquet"))
    rows = parquet.read_table(file).to_pylist()
    write_parquet(file, [row | {"question_id": f"../../../../{row['question_id']}"} for row in rows])
    assert {q.question_id for q in read_mme(target).questions} == {"color/a.png", "color/b.png"}
    assert {path.name for path in tmp_path.rglob("a.png") if not path.is_relative_to(cache)} == {"a.png"}
    assert all(path.is_relative_to(cache / "unlearnbench" / "pictures") for path in cache.rglob("*.png"))


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


PIXEL = bytes.fromhex("424d1e000000000000001a0000000c000000010001000100180000000000")  # a bitmap of one black pixel


# -------------------------------------------------------------------------------------- what lies about in folders
def release_of(folder: Path, target: Path) -> Path:
    release = as_release(folder, target, split=False)
    shutil.rmtree(release / "eval_tool")
    return release


def test_what_systems_and_editors_leave_behind_is_passed_over(folder: Path, tmp_path: Path) -> None:
    release = release_of(folder, tmp_path / "released")
    before = read_mme(release)
    for name in ("._a.txt", ".DS_Store", "Thumbs.db", "desktop.ini", "._a.png"):
        (release / "color" / name).write_bytes(b"\0\5\26\7Mac OS X\260\377")
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        shutil.copytree(release / "color", release / name)
    assert read_mme(release) == before
    for name in ("._existence.txt", ".DS_Store"):
        (folder / "mme" / name).write_bytes(b"\0\5\26\7\377")
    for name in ("._a.png", ".DS_Store"):
        (folder / "pope" / "images" / name).write_bytes(b"\0\5\26\7\377")
    (folder / "pope" / "._coco_pope_random.json").write_bytes(b"\0\5\26\7\377")
    assert read_mme(folder).fingerprint == before.fingerprint
    assert len(read_pope(folder).questions) == 6


def test_texts_and_pictures_that_ask_nothing_are_left_out_and_told(folder: Path, tmp_path: Path) -> None:
    release = release_of(folder, tmp_path / "released")
    before = read_mme(release)
    assert before.left_out == ()
    (release / "color" / "license.txt").write_text("All rights reserved.\nSee\tthe paper\tand the site")
    (release / "color" / "README.TXT").write_bytes("Größe".encode("latin-1"))
    picture(release / "color" / "spare.jpg")
    found = read_mme(release)
    assert (found.questions, found.fingerprint) == (before.questions, before.fingerprint)
    assert {path.name for path in found.left_out} == {"license.txt", "README.TXT", "spare.jpg"}
    (folder / "mme" / "README.txt").write_text("see the paper")
    assert [path.name for path in read_mme(folder).left_out] == ["README.txt"]


def test_a_text_that_does_ask_is_never_left_out(folder: Path, tmp_path: Path) -> None:
    release = release_of(folder, tmp_path / "released")
    (release / "color" / "z.txt").write_text("Is it?\tYes\nIs it not?\tNo\n")
    with pytest.raises(DataError, match=r"z\.txt, line 1: picture 'z.jpg or .png' is missing"):
        read_mme(release)


@pytest.mark.parametrize("suffix", [".PNG", ".JPG", ".Jpeg", ".webp", ".WEBP", ".bmp", ".TIFF"])
def test_pictures_of_any_suffix_stand_beside_their_questions(folder: Path, tmp_path: Path, suffix: str) -> None:
    release = release_of(folder, tmp_path / "released")
    for path in list(release.rglob("*.png")):
        with Image.open(path) as image:
            image.save(path.with_suffix(suffix))
        path.unlink()
    assert {q.image.suffix for q in read_mme(release).questions} == {suffix}
    assert read_mme(release).left_out == ()


def test_the_case_of_a_suffix_and_the_coding_of_accents_do_not_matter(folder: Path) -> None:
    (folder / "mme" / "color.txt").write_text(MME_LINES.replace("b.png", "é.png"), encoding="utf-8")
    (folder / "mme" / "images" / "b.png").rename(folder / "mme" / "images" / "e\u0301.PNG")
    assert {q.image.name for q in read_mme(folder).questions} == {"a.png", "e\u0301.PNG"}
    (folder / "pope" / "images" / "a.png").rename(folder / "pope" / "images" / "A.PNG")
    assert {q.image.name for q in read_pope(folder).questions} == {"A.PNG"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_questions_in_other_encodings_are_the_same_data(folder: Path, encoding: str) -> None:
    before = read_mme(folder).fingerprint, read_pope(folder).fingerprint
    for path in (folder / "mme" / "color.txt", folder / "pope" / "coco_pope_random.json"):
        path.write_text(path.read_text(), encoding=encoding)
    assert (read_mme(folder).fingerprint, read_pope(folder).fingerprint) == before


def test_only_what_was_fetched_is_to_be_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    (folder / "mme" / "color.txt").write_text("a.png\tIs it red?\tmaybe\n")
    with pytest.raises(DataError, match=r"not 'maybe'; correct it$"):
        read_mme(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    with pytest.raises(DataError, match=r"not 'maybe'; delete it and fetch it again$"):
        read_mme(folder)
