"""What of a run's models and datasets is not here: the hub is asked about all of it before any of it is fetched."""

import logging
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ...data.hub import PATIENCE, HubDataset, cached, quiet_client, why_not
from ...errors import DataError, ModelError, UnlearnbenchError, UsageError
from .card import ModelCard
from .check import check
from .source import WANTED, is_fetched, whole

_log = logging.getLogger(__name__)

GB, MB = 1e9, 1e6


@dataclass(frozen=True)
class Absent:
    """A repository of the hub of which not all is here: its names, and which files of it.

    ``words`` are what `data fetch` calls a dataset.
    """

    what: str
    names: tuple[str, ...]
    kind: str
    files: tuple[str, ...]
    revision: str | None
    words: str = ""

    def size(self) -> int:
        """Bytes that are left to be fetched, as the hub says; raises what its client does where it cannot be had."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        api = HfApi()
        for name in self.names:
            with suppress(*((RepositoryNotFoundError, RevisionNotFoundError) if name != self.names[-1] else ())):
                told = api.repo_info(
                    name, repo_type=self.kind, revision=self.revision, files_metadata=True, timeout=PATIENCE
                )
                if getattr(told, "gated", False):
                    api.auth_check(name, repo_type=self.kind)
                wanted = (
                    file
                    for file in getattr(told, "siblings", None) or ()
                    if any(fnmatch(file.rfilename, each) for each in self.files)
                )
                return sum(file.size or 0 for file in wanted if not self._is_cached(name, file.rfilename, told.sha))
        return 0

    def _is_cached(self, name: str, file: str, revision: str | None) -> bool:
        """Whether a download that was interrupted has brought a file."""
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(name, file, revision=revision, repo_type=self.kind), str)


def obtain(
    cards: Iterable[ModelCard], brought: Iterable[ModelCard], datasets: Mapping[str, HubDataset], *, fetch: bool
) -> None:
    """Raise for everything that is not here and cannot be had, all at once; nothing is fetched yet.

    ``brought`` are models and adapters from elsewhere, ``datasets`` are by what `data fetch` calls them. Without
    ``fetch`` nothing can be had. What will be fetched is said. A model of the ``cards`` that is in the cache and cannot
    be run raises `ModelError` at once.
    """
    absent = [*dict.fromkeys((*_models(cards, brought), *_data(datasets)))]
    if not absent:
        return
    sizes, refused = dict[str, int](), dict[str, str]()
    for each in absent if fetch else ():
        try:
            with quiet_client():
                sizes[each.what] = each.size()
        except Exception as error:  # the client and the libraries beneath it raise many kinds
            refused[each.what] = why_not(error)
    lacking = [each for each in absent if each.what in refused or not fetch]
    if lacking:
        raise _told(lacking, refused)
    free, needed = _free(), sum(sizes.values())
    listed = ", ".join(f"{what} ({_in_words(size)})" for what, size in sizes.items() if size)
    if free is not None and needed > free:
        raise ModelError(
            f"to be fetched: {listed}; {_in_words(free)} are free where the hub's cache is: free some space, or set "
            "HF_HOME to a larger disk"
        )
    if listed:
        _log.warning("to be fetched: %s", listed)


def _in_words(size: int) -> str:
    return f"{size / GB:.1f} GB" if size > GB / 10 else f"{size / MB:.1f} MB"


def _told(lacking: list[Absent], refused: Mapping[str, str]) -> UnlearnbenchError:
    """The error that names everything that lacks, and the commands that bring it."""
    kind = ModelError if any(each.kind == "model" for each in lacking) else DataError
    whats = ", ".join(each.what for each in lacking)
    models = [each for each in lacking if each.kind == "model"]
    tasks = [each.words for each in lacking if each.words]
    commands = [f"hf download {each.names[0]}" for each in models]
    commands += [f"unlearnbench data fetch {each}" for each in tasks]
    why = "; ".join(dict.fromkeys(refused.values()))
    cannot = f"cannot be fetched from the hub ({why})" if refused else "nothing may be downloaded now"
    local = ["--model a local folder"] * bool(models) + ["--data DIR (of one task: --data TASK=DIR)"] * bool(tasks)
    return kind(
        f"not in the cache, and {cannot}: {whats}: where there is a network, {'; '.join(commands)}; or give "
        f"{' and '.join(local)}"
    )


def _models(cards: Iterable[ModelCard], brought: Iterable[ModelCard]) -> Iterable[Absent]:
    """Those that are not here; raises `ModelError` for one of the ``cards`` that is here, and cannot be run."""
    runs = (*((card, True) for card in cards), *((card, False) for card in brought))
    for card, is_run in ((card, is_run) for card, is_run in runs if is_fetched(card)):
        try:
            folder = whole(card)
        except UsageError:
            continue  # of what is no hub id the loading says so
        if folder is None:
            yield Absent(f"model {card.source}", (card.source,), "model", WANTED, card.revision)
        elif is_run:
            check(card, folder)


def _data(datasets: Mapping[str, HubDataset]) -> Iterable[Absent]:
    for words, dataset in datasets.items():
        if not cached(dataset):
            names, what = dataset.repositories, f"data of {words.split()[0]} ({dataset.repositories[0]})"
            yield Absent(what, names, "dataset", dataset.files, dataset.revision, words)


def _free() -> int | None:
    """Bytes that are free where the hub's cache is; None where that is not known."""
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    while not place.exists() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        return shutil.disk_usage(place).free
    return None
