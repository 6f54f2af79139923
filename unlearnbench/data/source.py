"""Where a task's data comes from: what ships with the package, the Hugging Face hub, or a folder."""

import re
import shutil
import zipfile
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath

from ..errors import DataError, UsageError
from .folder import appearing
from .hub import HubDataset, fetch
from .pictures import SUFFIXES

EMBEDDED = "unlearnbench.embedded:files"
"""The data that ship with the package, written as a model card names a folder inside an installed one."""

_UNPACKED = "files"
"""Name of the folder of a snapshot that was laid out."""


@dataclass(frozen=True)
class Location:
    """A local folder with data, what it is called, and the hub's commit it was fetched from, if it was."""

    folder: Path
    id: str
    revision: str | None = None


def locate(source: str, task: str, dataset: HubDataset | None = None) -> Location:
    """The folder of ``task``'s data in ``source``: "embedded", "hub" or a path.

    "hub" downloads of ``dataset`` what is not yet in the cache. Raises `UsageError` for a folder that does not exist,
    `DataError` where the hub cannot give the data.
    """
    if source == "embedded":
        package, _, place = EMBEDDED.partition(":")
        return Location(Path(str(files(package))) / place, "unlearnbench-embedded")
    if source == "hub":
        if dataset is None:
            raise DataError(f"task {task} names no dataset on the hub: give --data {task}=DIR, or leave the task out")
        snapshot = fetch(dataset, task)
        return Location(snapshot.folder, snapshot.repository, snapshot.revision)
    folder = Path(source)
    if not folder.is_dir():
        raise UsageError(f"--data {source}: no such folder; give an existing one, or embedded, or hub")
    return Location(folder, folder.resolve().name)


def of_hub(source: str, task: str) -> Location:
    """All files of a dataset on the hub, OWNER/NAME or OWNER/NAME@REVISION, for a ``task`` that reads any.

    Raises `UsageError` for what is no such id, `DataError` where the hub cannot give it.
    """
    snapshot = fetch(whole_dataset(source), f"{task} {source}")
    return Location(snapshot.folder, snapshot.repository, snapshot.revision)


def whole_dataset(source: str) -> HubDataset:
    """All files of the dataset of an id, OWNER/NAME or OWNER/NAME@REVISION; raises `UsageError` for what is none."""
    if not is_hub_id(source):
        raise UsageError(f"{source} is no dataset's id on the hub: write OWNER/NAME or OWNER/NAME@REVISION")
    repository, _, revision = source.partition("@")
    return HubDataset((repository,), ("*",), revision or "main")


def is_hub_id(source: str) -> bool:
    """Whether this may be a dataset's id on the hub."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", source) is not None


def already_unpacked(repository: str, revision: str) -> Path | None:
    """Where `unpacked` has laid that snapshot out, if it has; nothing is made, whatever the names."""
    from huggingface_hub.constants import HF_ASSETS_CACHE

    names = [repository.replace("/", "--"), revision]
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) for name in names):
        return None  # such names may come from strangers' rows
    folder = Path(HF_ASSETS_CACHE, "unlearnbench", *names, _UNPACKED)
    return folder if folder.is_dir() else None


def unpacked(location: Location, texts: tuple[str, ...], archive: str, pictures: str) -> Location:
    """A snapshot whose pictures are in an archive, laid out beside it in the cache, where it appears once complete.

    The folder holds the files ``texts`` and, in the folder ``pictures``, the pictures of ``archive`` by their names.
    """
    from huggingface_hub import cached_assets_path

    try:
        assets = cached_assets_path("unlearnbench", namespace=location.id, subfolder=location.revision or "unknown")
        folder = assets / _UNPACKED
        if not folder.is_dir():
            _assemble(folder, tuple(location.folder / name for name in texts), location.folder / archive, pictures)
    except (OSError, ValueError) as error:  # ValueError: a file is where a folder should be
        raise DataError(f"the Hugging Face cache cannot be written ({error}): make room or set HF_HOME") from None
    return replace(location, folder=folder)


def _assemble(folder: Path, texts: tuple[Path, ...], archive: Path, pictures: str) -> None:
    with appearing(folder) as unfinished:
        (unfinished / pictures).mkdir()
        for text in texts:
            shutil.copyfile(text, unfinished / text.name)
        _unpack(archive, unfinished / pictures)


def _unpack(archive: Path, folder: Path) -> None:
    """Write the pictures in ``archive`` into ``folder`` by their names alone, so that no entry can leave it."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    with packed.open(entry) as source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged archives
        raise DataError(f"{archive} is damaged ({error}): delete it and fetch it again") from None
