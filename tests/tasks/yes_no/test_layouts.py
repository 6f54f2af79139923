"""MME and POPE as releases, as Parquet files, and with what systems and people leave beside them."""

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet

from tests.data_folders import picture
from tests.tasks.yes_no.folders import MME_LINES, Read, as_parquet, as_release, write_parquet
from unlearnbench.errors import DataError
from unlearnbench.tasks.mme.reader import read_mme
from unlearnbench.tasks.pope.reader import read_pope


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
