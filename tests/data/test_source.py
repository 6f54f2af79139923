import io
import zipfile
from pathlib import Path

import huggingface_hub
import pytest
from data_folders import record, write_folder
from PIL import Image

from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.fiubench import read
from unlearnbench.data.source import FIUBENCH, locate
from unlearnbench.errors import DataError, UsageError

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


@pytest.mark.parametrize("task", ["mme", "pope", "anything"])
def test_other_tasks_have_nothing_on_the_hub_yet(task: str) -> None:
    with pytest.raises(DataError, match=rf"task {task} cannot fetch.*--data DIR.*--task fiubench"):
        locate("hub", task)


# --------------------------------------------------------------------------------------------------------- the hub
class Hub:
    """Stands in for the hub: a repository's files in a cache, and a record of what was asked for."""

    def __init__(self, root: Path) -> None:
        self.snapshot = root / "hub" / "datasets--gray311--FIUBench" / "snapshots" / SHA
        self.snapshot.mkdir(parents=True)
        self.assets = root / "assets"
        self.asked: list[tuple[str, str, str, str]] = []

    def download(self, repo_id: str, filename: str, *, repo_type: str, revision: str) -> str:
        self.asked.append((repo_id, filename, repo_type, revision))
        return str(self.snapshot / filename)

    def assets_path(self, library_name: str, namespace: str, subfolder: str) -> Path:
        path = self.assets / library_name / namespace.replace("/", "--") / subfolder
        path.mkdir(parents=True, exist_ok=True)
        return path


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hf")
    source = write_folder(tmp_path / "source", map(record, range(5)), {"forget5": ["00000001"]})
    for name in ("full.json", "split.json"):
        (hub.snapshot / name).write_bytes((source / name).read_bytes())
    with zipfile.ZipFile(hub.snapshot / "SFHQ.zip", "w") as packed:
        for path in (source / "SFHQ").iterdir():
            packed.write(path, f"SFHQ/{path.name}")
        packed.writestr("SFHQ/", "")
        packed.writestr("__MACOSX/SFHQ/._SFHQ_pt1_00000001.png", b"attributes")
        packed.writestr("notes.txt", b"not a picture")
        packed.writestr("../../../slipped.png", png())
        packed.writestr("/slipped_too.png", png())
        packed.writestr("..\\..\\slipped_back.png", png())
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    monkeypatch.setattr(huggingface_hub, "cached_assets_path", hub.assets_path)
    return hub


def test_fiubench_is_fetched_and_its_commit_recorded(hub: Hub) -> None:
    location = locate("hub", "fiubench")
    assert (location.id, location.revision) == (FIUBENCH, SHA)
    assert hub.asked == [
        (FIUBENCH, "full.json", "dataset", "main"),
        (FIUBENCH, "split.json", "dataset", SHA),
        (FIUBENCH, "SFHQ.zip", "dataset", SHA),
    ]
    assert len(read(location.folder).identities) == 5


def test_no_entry_of_the_archive_leaves_the_folder(hub: Hub, tmp_path: Path) -> None:
    folder = locate("hub", "fiubench").folder
    names = {path.name for path in (folder / "SFHQ").iterdir()}
    assert names == {f"SFHQ_pt1_{n:08d}.png" for n in range(5)} | {
        "slipped.png", "slipped_too.png", "slipped_back.png",
    }  # fmt: skip
    assert {path.parent for path in tmp_path.rglob("slipped*")} == {folder / "SFHQ"}
    assert [path.name for path in folder.parent.iterdir()] == ["fiubench"]


def test_what_was_unpacked_is_used_again(hub: Hub) -> None:
    folder = locate("hub", "fiubench").folder
    (folder / "mark").write_text("")
    assert locate("hub", "fiubench").folder == folder
    assert (folder / "mark").exists()


def test_a_damaged_archive_is_named_and_leaves_nothing(hub: Hub) -> None:
    archive = hub.snapshot / "SFHQ.zip"
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"SFHQ.zip is damaged .*delete it and fetch it again"):
        locate("hub", "fiubench")
    assert not [path for path in hub.assets.rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_is_named(hub: Hub) -> None:
    hub.assets.write_text("in the way")
    with pytest.raises(DataError, match=r"cache cannot be written .*assets.*HF_HOME"):
        locate("hub", "fiubench")


@pytest.mark.parametrize("error", [OSError("gone\nsecond line"), RuntimeError(), TimeoutError()])
def test_no_network_is_one_line_with_the_fix(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(DataError, match=r"full.json of dataset gray311/FIUBench cannot be fetched") as caught:
        locate("hub", "fiubench")
    assert "`unlearnbench data fetch fiubench` on a machine with network, or give --data DIR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_real_client_offline_gives_the_same_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="cannot be fetched from the hub"):
        locate("hub", "fiubench")
