"""The artefact store: folders named by the hash of all that went into them, made once and shared by many processes."""

import errno
import json
import logging
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json
from safetensors import SafetensorError

from ..errors import StoreError, UsageError
from ..results.row import utc_now
from ..runtime.atomic import atomic_folder, leftovers, require_writable, sha256_of
from ..runtime.provenance import package_version, package_versions
from ..runtime.startup import home
from .keys import canonical, digest
from .stages import STAGES

MANIFEST = "manifest.json"
PICTURES = "pictures"
"""Where pictures lie that attacks made: of small files, made anew where they are missing, and so one thing."""

HASHED = 64 * 2**20
"""Bytes up to which a file is hashed at every use; larger ones only on demand."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_log = logging.getLogger(__name__)


class File(BaseModel):
    """One file of an artefact: its size in bytes and its digest."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artefact was made from (``key``), what it holds, and what its maker said of it (``metadata``)."""

    model_config = ConfigDict(frozen=True)

    kind: str
    key: dict[str, Any]
    files: dict[str, File]
    metadata: dict[str, Any]
    versions: dict[str, str]
    made_at: str


@dataclass(frozen=True)
class Artefact:
    """A folder of the store; ``made`` tells whether this call computed it."""

    folder: Path
    manifest: Manifest
    made: bool


@dataclass(frozen=True)
class Stored:
    """Something in the store: an artefact with its manifest if that can be read, or a file or folder beside them."""

    kind: str
    folder: Path
    manifest: Manifest | None
    bytes: int
    used: datetime


class _DamagedError(Exception):
    """An artefact is not what its manifest says."""


class Store:
    """A folder of artefacts, ``KIND/HASH/``. Any number of processes may use one at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Make the folder, or raise StoreError; for the start of a run."""
        require_writable(self.root, "--store")

    def folder(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Where the artefact of this key lies, or would."""
        return self.root / kind / digest(key)[:16]

    def checkpoints(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Where the trainings of this artefact are kept while it is made."""
        return self.root / "checkpoints" / f"{kind}-{digest(key)[:16]}"

    def has(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether the artefact is there; `get_or_make` also verifies it."""
        return (self.folder(kind, key) / MANIFEST).is_file()

    def made(self, kind: str) -> int:
        """How many artefacts of a kind there are."""
        return sum(1 for _ in (self.root / kind).glob(f"*/{MANIFEST}"))

    def get_or_make(
        self,
        kind: str,
        key: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, Any] | None],
        *,
        verify: bool = False,
    ) -> Artefact:
        """The artefact of this key, computed by ``make`` if it is not there or is damaged.

        ``make`` fills the empty folder that it is given and returns what is worth remembering (its cost, say). While it
        runs, other processes that ask for the same artefact wait. ``verify`` hashes files larger than `HASHED` too.
        Raises StoreError where the store cannot be written or is full.
        """
        folder = self.folder(kind, key)
        # First without the lock, so that a store that is only readable serves too.
        with suppress(_DamagedError, FileNotFoundError):
            manifest = _verified(folder, key, verify)
            with suppress(OSError):
                _lock_of(folder).touch()  # when it was last used
            return Artefact(folder, manifest, made=False)
        with self._exclusive(folder):
            try:
                return Artefact(folder, _verified(folder, key, verify), made=False)
            except FileNotFoundError:
                pass
            except _DamagedError as damage:
                self._quarantine(folder, str(damage))
            return Artefact(folder, self._make(folder, kind, key, make), made=True)

    def stored(self) -> list[Stored]:
        """Everything that the store holds, artefacts first."""
        found = [
            Stored(kind, folder, _manifest_of(folder), _size(folder), _used(folder))
            for kind in STAGES
            for folder in _visible(self.root / kind)
        ]
        for kind in ("answers", "checkpoints", "quarantine"):
            found += [Stored(kind, path, None, _size(path), _used(path)) for path in _visible(self.root / kind)]
        if (pictures := self.root / PICTURES).is_dir():
            found.append(Stored(PICTURES, pictures, None, _size(pictures), _used(pictures)))
        return found

    def verify(self) -> list[tuple[Path, str]]:
        """Hash every artefact; those that are damaged are quarantined and named with the reason."""
        damaged = []
        for each in self.stored():
            if each.kind not in STAGES:
                continue
            try:
                _verified(each.folder, each.manifest.key if each.manifest else {}, verify=True)
            except _DamagedError as damage:
                with self._exclusive(each.folder), suppress(OSError):
                    self._quarantine(each.folder, str(damage), told=False)
                damaged.append((each.folder, str(damage)))
            except FileNotFoundError:
                continue  # another process removed it meanwhile
        return damaged

    def prunable(self, before: datetime) -> list[Stored]:
        """What nobody has used since ``before``; quarantined artefacts, and what killed processes left, at any age.

        What is being made right now is left alone: its lock is held.
        """
        found = [each for each in self.stored() if each.kind == "quarantine" or each.used < before]
        kinds = [kind for kind in STAGES if (self.root / kind).is_dir()]
        for temporary in (path for kind in kinds for path in (self.root / kind).glob(".*.tmp-*")):
            name = temporary.name.removeprefix(".").partition(".tmp-")[0]
            lock = FileLock(temporary.with_name(f".{name}.lock"))
            with suppress(Timeout):
                lock.acquire(blocking=False)
                lock.release()
                found.append(Stored("unfinished", temporary, None, _size(temporary), _used(temporary)))
        return found

    @contextmanager
    def _exclusive(self, folder: Path) -> Iterator[None]:
        """Hold the lock of one artefact; the system releases it when its holder dies."""
        require_writable(folder.parent, "--store")
        lock = FileLock(_lock_of(folder))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            _log.info("waiting for another process that makes %s", folder)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _make(
        self, folder: Path, kind: str, key: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any] | None]
    ) -> Manifest:
        """Compute the artefact; the lock is held."""
        for abandoned in leftovers(folder):
            shutil.rmtree(abandoned, ignore_errors=True)
        try:
            with atomic_folder(folder) as temporary:
                metadata = make(temporary)
                return _write_manifest(temporary, kind, key, metadata or {})
        except (OSError, SafetensorError) as error:
            if not no_space(error):
                raise
            why = os.strerror(errno.ENOSPC)
            raise StoreError(f"{self.root}: {why}: free some or give another folder with --store") from error

    def _quarantine(self, folder: Path, damage: str, *, told: bool = True) -> None:
        """Move a damaged artefact out of the way, to be looked at or deleted by a person."""
        aside = self.root / "quarantine" / f"{folder.parent.name}-{folder.name}-{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
        if told:
            warnings.warn(f"{folder}: damaged ({damage}); moved to {aside} and computed again", stacklevel=4)


def default_store(chosen: Path | None = None) -> Path:
    """The store's folder: the one ``chosen`` by ``--store``, or else ``unlearnbench`` in the user's cache folder."""
    if chosen is not None:
        return chosen
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if cache.is_absolute():  # a relative path there is to be ignored, by the XDG specification
        return cache / "unlearnbench"
    if own := home():
        return own / ".cache" / "unlearnbench"
    raise UsageError("there is no home folder for trained models: give a folder with --store, or set HOME")


def no_space(error: Exception) -> bool:
    """Whether a disk or a quota is full; safetensors tells it in words alone."""
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    return any(f"os error {number}" in str(error) for number in _NO_SPACE)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _used(path: Path) -> datetime:
    """When it was last made or used."""
    marks = [mark for mark in (path / MANIFEST, _lock_of(path)) if mark.is_file()] or [path]
    return datetime.fromtimestamp(max(mark.stat().st_mtime for mark in marks), UTC)


def _manifest_of(folder: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def _write_manifest(folder: Path, kind: str, key: Mapping[str, Any], metadata: Mapping[str, Any]) -> Manifest:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {
        "kind": kind,
        "key": json.loads(canonical(key)),
        "files": {
            path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)}
            for path in paths
        },
        "metadata": json.loads(to_json(metadata, inf_nan_mode="null")),
        "versions": {"unlearnbench": package_version()} | package_versions(),
        "made_at": utc_now().isoformat(),
    }
    (folder / MANIFEST).write_bytes(to_json(content | {"seal": digest(content)}, indent=2) + b"\n")
    return Manifest.model_validate(content)


def _verified(folder: Path, key: Mapping[str, Any], verify: bool) -> Manifest:
    """The manifest of an artefact that is what it says; raises FileNotFoundError where there is no such folder."""
    if not folder.exists():
        raise FileNotFoundError(folder)
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        if digest({name: each for name, each in content.items() if name != "seal"}) != content["seal"]:
            raise _DamagedError(f"{MANIFEST} was changed")
        manifest = Manifest.model_validate(content)
    except (OSError, ValueError, KeyError, AttributeError, StoreError) as error:
        raise _DamagedError(f"{MANIFEST} cannot be read") from error
    if canonical(manifest.key) != canonical(key):
        raise _DamagedError(f"{MANIFEST} is of another key")
    for name, file in manifest.files.items():
        path = folder / name
        try:
            if path.stat().st_size != file.size:
                raise _DamagedError(f"{name} has another size")
            if (verify or file.size <= HASHED) and sha256_of(path) != file.sha256:
                raise _DamagedError(f"{name} has another content")
        except OSError as error:
            raise _DamagedError(f"{name} is missing or cannot be read") from error
    return manifest
