import io
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.data_folders import record, write_folder
from unlearnbench.data.source import Location, locate, unpacked
from unlearnbench.embedded import embedded_folder
from unlearnbench.errors import DataError, UsageError
from unlearnbench.tasks.fiubench.reader import read

SHA = "0123456789abcdef0123456789abcdef01234567"


def test_embedded_is_the_shipped_folder() -> None:
    location = locate("embedded", "fiubench")
    assert (location.folder, location.revision) == (embedded_folder(), None)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    location = locate(str(tmp_path), "fiubench")
    assert (location.folder, location.id, location.revision) == (tmp_path, tmp_path.name, None)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("absent", "file"):
        with pytest.raises(UsageError, match=rf"--data {tmp_path / name}: no such folder"):
            locate(str(tmp_path / name), "fiubench")


def test_a_task_without_a_dataset_on_the_hub_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"task mine names no dataset on the hub: give --data mine=DIR"):
        locate("hub", "mine")


# ----------------------------------------------------------------------------------------- pictures in an archive
def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def snapshot(tmp_path: Path) -> Location:
    """FIUBench's files as the hub has them, with entries that would like to be elsewhere."""
    folder = write_folder(tmp_path / "snapshot", map(record, range(5)), {"forget5": ["00000001"]})
    with zipfile.ZipFile(folder / "SFHQ.zip", "w") as packed:
        for path in (folder / "SFHQ").iterdir():
            packed.write(path, f"SFHQ/{path.name}")
        packed.writestr("SFHQ/", "")
        packed.writestr("__MACOSX/SFHQ/._SFHQ_pt1_00000001.png", b"attributes")
        packed.writestr("notes.txt", b"not a picture")
        packed.writestr("../../../slipped.png", png())
        packed.writestr("/slipped_too.png", png())
        packed.writestr("..\\..\\slipped_back.png", png())
    shutil.rmtree(folder / "SFHQ")
    return Location(folder, "gray311/FIUBench", SHA)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache of this test's own."""
    import huggingface_hub.utils._cache_assets as assets

    monkeypatch.setattr(assets, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def laid_out(snapshot: Location) -> Location:
    return unpacked(snapshot, ("full.json", "split.json"), "SFHQ.zip", "SFHQ")


def test_what_was_packed_is_laid_out(snapshot: Location) -> None:
    location = laid_out(snapshot)
    assert (location.id, location.revision) == (snapshot.id, SHA)
    assert len(read(location.folder).identities) == 5


def test_no_entry_of_the_archive_leaves_the_folder(snapshot: Location, tmp_path: Path) -> None:
    folder = laid_out(snapshot).folder
    names = {path.name for path in (folder / "SFHQ").iterdir()}
    assert names == {f"SFHQ_pt1_{n:08d}.png" for n in range(5)} | {
        "slipped.png", "slipped_too.png", "slipped_back.png",
    }  # fmt: skip
    assert {path.parent for path in tmp_path.rglob("slipped*")} == {folder / "SFHQ"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_was_unpacked_is_used_again(snapshot: Location) -> None:
    folder = laid_out(snapshot).folder
    (folder / "mark").write_text("")
    assert laid_out(snapshot).folder == folder
    assert (folder / "mark").exists()


def test_a_damaged_archive_is_named_and_leaves_nothing(snapshot: Location, cache: Path) -> None:
    archive = snapshot.folder / "SFHQ.zip"
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"SFHQ.zip is damaged .*delete it and fetch it again"):
        laid_out(snapshot)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_is_named(snapshot: Location, cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(DataError, match=r"cache cannot be written .*cache.*HF_HOME"):
        laid_out(snapshot)
