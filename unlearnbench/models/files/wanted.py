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
from .source import WANTED, folder_of

_log = logging.getLogger(__name__)

GB = 1e9


@dataclass(frozen=True)
class Absent:
    """A repository of the hub that is not here: its names, which files of it, and the ``task`` whose data they are."""

    what: str
    names: tuple[str, ...]
    kind: str
    files: tuple[str, ...]
    revision: str | None
    task: str = ""

    def size(self) -> int:
        """Bytes to be fetched, as the hub says; raises what the hub's client does where it can't be had."""
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
                files = getattr(told, "siblings", None) or ()
                return sum(
                    file.size or 0 for file in files if any(fnmatch(file.rfilename, each) for each in self.files)
                )
        return 0


def obtain(cards: Iterable[ModelCard], datasets: Mapping[str, HubDataset], *, fetch: bool) -> None:
    """Raise for everything that is not here and cannot be had, all at once; nothing is fetched yet.

    Without ``fetch`` nothing can be had. ``datasets`` are by the names of their tasks. What will be fetched is said.
    """
    absent = [*_models(cards), *_data(datasets)]
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
    listed = ", ".join(f"{what} ({size / GB:.1f} GB)" for what, size in sizes.items())
    if free is not None and needed > free:
        raise ModelError(
            f"to be fetched: {listed}; {free / GB:.1f} GB are free where the hub's cache is: free some space, or set "
            "HF_HOME to a larger disk"
        )
    _log.warning("to be fetched: %s", listed)


def _told(lacking: list[Absent], refused: Mapping[str, str]) -> UnlearnbenchError:
    """The error that names everything that lacks, and the commands that bring it."""
    kind = ModelError if any(each.kind == "model" for each in lacking) else DataError
    whats = ", ".join(each.what for each in lacking)
    models = [each for each in lacking if each.kind == "model"]
    tasks = [each.task for each in lacking if each.task]
    commands = [f"hf download {each.names[0]}" for each in models]
    commands += [f"unlearnbench data fetch {' '.join(tasks)}"] if tasks else []
    why = "; ".join(dict.fromkeys(refused.values()))
    cannot = f"cannot be fetched from the hub ({why})" if refused else "nothing may be downloaded now"
    local = ["--model a local folder"] * bool(models) + ["--data DIR (of one task: --data TASK=DIR)"] * bool(tasks)
    return kind(
        f"not in the cache, and {cannot}: {whats}: where there is a network, {'; '.join(commands)}; or give "
        f"{' and '.join(local)}"
    )


def _models(cards: Iterable[ModelCard]) -> Iterable[Absent]:
    for card in cards:
        if Path(card.source).is_dir() or ":" in card.source or _is_here(card):
            continue
        yield Absent(f"model {card.source}", (card.source,), "model", WANTED, card.revision)


def _is_here(card: ModelCard) -> bool:
    """Whether all of a model's files are in the cache; of what is no hub id the loading says so."""
    try:
        check(card, folder_of(card, fetch=False)[0])
    except UsageError:
        return True
    except UnlearnbenchError:
        return False
    return True


def _data(datasets: Mapping[str, HubDataset]) -> Iterable[Absent]:
    for task, dataset in datasets.items():
        if not cached(dataset):
            names, what = dataset.repositories, f"data of {task} ({dataset.repositories[0]})"
            yield Absent(what, names, "dataset", dataset.files, dataset.revision, task)


def _free() -> int | None:
    """Bytes that are free where the hub's cache is; None where that is not known."""
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    while not place.exists() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        return shutil.disk_usage(place).free
    return None
