"""Where a task's data comes from: what ships with the package, the Hugging Face hub, or a folder."""

import logging
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError, UsageError
from .embedded import embedded_folder

FIUBENCH = "gray311/FIUBench"
"""Dataset repository on the hub; its `datasets` loader mixes several files up, so single files are fetched."""

_PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Location:
    """A local folder with data, what it is called, and the hub's commit it was fetched from, if it was."""

    folder: Path
    id: str
    revision: str | None = None


def locate(source: str, task: str) -> Location:
    """The folder of ``task``'s data in ``source``: "embedded", "hub" or a path.

    "hub" downloads what is not yet in the cache. Raises `UsageError` for a folder that does not exist, `DataError`
    where the hub cannot give the data.
    """
    if source == "embedded":
        return Location(embedded_folder(), "unlearnbench-embedded")
    if source == "hub":
        return _from_hub(task)
    folder = Path(source)
    if not folder.is_dir():
        raise UsageError(f"--data {source}: no such folder; give an existing one, or embedded, or hub")
    return Location(folder, folder.resolve().name)


def _from_hub(task: str) -> Location:
    if task != "fiubench":
        raise DataError(
            f"task {task} cannot fetch its data from the hub in this version: give --data DIR with a folder in the "
            "task's layout, or run --task fiubench"
        )
    from huggingface_hub import cached_assets_path

    full = _download("full.json", "main")
    revision = full.parent.name  # the cache keeps a file under its commit: the others are taken from the same one
    split, pictures = (_download(name, revision) for name in ("split.json", "SFHQ.zip"))
    try:
        folder = cached_assets_path("unlearnbench", namespace=FIUBENCH, subfolder=revision) / "fiubench"
        if not folder.is_dir():
            _assemble(folder, (full, split), pictures)
    except OSError as error:
        raise DataError(f"the Hugging Face cache cannot be written ({error}): make room or set HF_HOME") from None
    return Location(folder, FIUBENCH, revision)


def _download(name: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(logging.ERROR)  # without a network it would report each of its attempts
    try:
        return Path(hf_hub_download(FIUBENCH, name, repo_type="dataset", revision=revision))
    except Exception as error:  # the client and the libraries beneath it raise many kinds
        reason = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"{name} of dataset {FIUBENCH} cannot be fetched from the hub ({type(error).__name__}: {reason}): run "
            "`unlearnbench data fetch fiubench` on a machine with network, or give --data DIR"
        ) from None
    finally:
        set_verbosity(verbosity)


def _assemble(folder: Path, texts: tuple[Path, ...], pictures: Path) -> None:
    """Lay FIUBench's files out in ``folder``, which appears when it is complete."""
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    try:
        (unfinished / "SFHQ").mkdir(parents=True)
        for text in texts:
            shutil.copyfile(text, unfinished / text.name)
        _unpack(pictures, unfinished / "SFHQ")
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same files
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    """Write the pictures in ``archive`` into ``folder`` by their names alone, so that no entry can leave it."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                if name.lower().endswith(_PICTURES) and not name.startswith("."):
                    with packed.open(entry) as source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged archives
        raise DataError(f"{archive} is damaged ({error}): delete it and fetch it again") from None
