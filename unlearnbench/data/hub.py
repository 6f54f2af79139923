"""Datasets on the Hugging Face hub: which commit of which repository, fetched once and then read from the cache."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..errors import DataError

PATIENCE = 20.0
"""Seconds to wait for the hub's first answer."""

_may_download: ContextVar[bool] = ContextVar("may_download", default=True)


@dataclass(frozen=True)
class HubDataset:
    """A dataset's files on the hub.

    ``repositories`` are its names, the present one first: datasets move, and a cache may know the old name.
    ``revision`` is a commit, the same under every name, or a branch. ``files`` are patterns of what is needed of it.
    """

    repositories: tuple[str, ...]
    files: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True)
class Snapshot:
    """The files in the cache, and where they come from: repository and commit."""

    folder: Path
    repository: str
    revision: str


@contextmanager
def cache_only() -> Iterator[None]:
    """Within, nothing is downloaded: what is not in the cache is an error."""
    token = _may_download.set(False)
    try:
        yield
    finally:
        _may_download.reset(token)


def fetch(dataset: HubDataset, task: str) -> Snapshot:
    """The dataset's files, downloaded if the cache lacks any; the network is not asked for a commit that is there.

    Raises `DataError` with the reason where no name of it can be had.
    """
    pinned = re.fullmatch(r"[0-9a-f]{40}", dataset.revision) is not None
    reason = "nothing may be downloaded now"
    if _may_download.get() and not (pinned and cached(dataset)):
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        for repository in dataset.repositories:
            try:
                return _download(dataset, repository)
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                reason = why_not(error)  # perhaps the next name is known
            except Exception as error:  # the client and the libraries beneath it raise many kinds
                reason = why_not(error)
                break
    if snapshot := cached(dataset):
        return snapshot
    raise DataError(
        f"dataset {dataset.repositories[0]} is not in the cache and cannot be fetched from the hub ({reason}): run "
        f"`unlearnbench data fetch {task}` on a machine with network, or give --data DIR"
    )


def cached(dataset: HubDataset) -> Snapshot | None:
    """What the cache has of the dataset, under whichever name, if it is all there."""
    for repository in dataset.repositories:
        with suppress(Exception):  # whatever is wrong with the cache, a download mends
            return _snapshot(dataset, repository, cached=True)
    return None


def _download(dataset: HubDataset, repository: str) -> Snapshot:
    from huggingface_hub import HfApi

    with quiet_client():
        # Asked first, as it fails at once where there is no network; the download would try again for half a minute.
        HfApi().dataset_info(repository, revision=dataset.revision, timeout=PATIENCE)
        return _snapshot(dataset, repository, cached=False)


def _snapshot(dataset: HubDataset, repository: str, *, cached: bool) -> Snapshot:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repository,
        repo_type="dataset",
        revision=dataset.revision,
        allow_patterns=list(dataset.files),
        local_files_only=cached,
    )
    return _complete(dataset, repository, Path(folder))


@contextmanager
def quiet_client() -> Iterator[None]:
    """Without a network the client would report each of its attempts."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(verbosity)


def lacking(repository: str, folder: Path, patterns: Sequence[str], kind: str = "dataset") -> list[str] | None:
    """The files of a repository's snapshot in the cache that ``patterns`` ask for and that are not there.

    None where the cache has no list of what there should be, as when an older client has filled it.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        listed = get_cached_repo_tree(repository, repo_type=kind, revision=folder.name)
    except CachedRepoTreeNotFoundError:
        return None
    wanted = [file.path for file in listed if any(fnmatch(file.path, each) for each in patterns)]
    return [name for name in wanted if not (folder / name).is_file()]


def _complete(dataset: HubDataset, repository: str, folder: Path) -> Snapshot:
    """The snapshot, unless a file that is needed is not in it: offline, the client returns whatever there is."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    missing = lacking(repository, folder, dataset.files)
    for pattern in dataset.files:
        matching = [name for name in names if fnmatch(name, pattern)]
        if missing or not matching or (missing is None and not _told_whole(pattern, matching)):
            raise DataError(f"{pattern} is not all in the cache")
    return Snapshot(folder, repository, folder.name)


def _told_whole(pattern: str, names: Sequence[str]) -> bool:
    """Whether files are all that a pattern asks for, by ``names`` alone: it is the name of one, or they are counted."""
    counts = [int(match[1]) for name in names if (match := re.search(r"-of-(\d{5})", name))]
    return pattern in names or (len(counts) == len(names) and len(names) >= max(counts))


def why_not(error: Exception) -> str:
    """Why the hub gives nothing, in a line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
