"""What is here to run: models, data and room for them, and what of it the memory holds."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .imports import OURS
from .installed import Missing

if TYPE_CHECKING:
    from ...models.files.card import ModelCard


def models(missing: list[Missing]) -> dict[str, str]:
    """Where each registered model's files are, all of them, or what is wrong with it."""
    from ...errors import UnlearnbenchError
    from ...registry import models as registered

    found = {}
    for name in registered.names():
        try:
            found[name] = _state(registered.get(name))
        except UnlearnbenchError as error:
            found[name] = str(error)
        if found[name] == "absent":
            missing.append(Missing(f"the files of {name}", "reinstall the package that brings it", required=True))
    return found


def _state(card: "ModelCard") -> str:
    """One of "installed", "absent", "cached", "not cached", and "cached in part" with how to get the rest."""
    from ...errors import ModelError
    from ...models.files.check import has_weights
    from ...models.files.source import configured, is_fetched, whole

    if not is_fetched(card):
        with suppress(ModelError):
            return "installed" if has_weights(configured(card)) else "absent"
        return "absent"
    try:
        import huggingface_hub  # noqa: F401
    except Exception:  # `_broken` has said so
        return "not cached"
    if whole(card):
        return "cached"
    with suppress(ModelError):
        configured(card)
        return f"cached in part: hf download {card.source} goes on with it"
    return "not cached"


def data() -> dict[str, str]:
    """Where the data that ship with the package are, and each task's on the hub: in the cache, or how to get them."""
    from ...data.hub import cached
    from ...data.source import locate
    from ...errors import UnlearnbenchError
    from ...registry import tasks

    found = {"embedded": "installed" if locate("embedded", "").folder.is_dir() else "absent"}
    for name in tasks.names():
        try:
            dataset = tasks.get(name).hub
        except UnlearnbenchError as error:
            found[name] = str(error)
            continue
        if dataset is None:
            found[name] = f"not on the hub: --data {name}=DIR"
        elif snapshot := cached(dataset):
            found[name] = f"cached: {snapshot.repository} at {snapshot.revision[:12]}"
        else:
            found[name] = f"not cached: unlearnbench data fetch {name}"
    return found


def fits(broken: Mapping[str, str]) -> dict[str, str]:
    """What a run of all methods would take of each model on the GPUs here, or else the CPU; or what does not fit.

    Nothing where what counts it is ``broken``, and where there are no methods.
    """
    if {"torch", "transformers", "psutil", *OURS} & broken.keys():
        return {}
    from ...errors import UnlearnbenchError
    from ...registry import methods
    from ...registry import models as registered

    here = [name for name, why in methods.check().items() if why is None]
    # One that goes on with what another has unlearned is not counted: nobody has said with which.
    sound = tuple(name for name in here if methods.get(name).start in ("pretrained", "base"))
    found = {}
    for name in registered.names() if sound else ():
        try:
            found[name] = _fits(registered.get(name), sound)
        except UnlearnbenchError as error:
            found[name] = f"no: {str(error).replace(f'{name}: ', '')}"
    return found


def _fits(card: "ModelCard", methods: tuple[str, ...]) -> str:
    """What would be chosen; raises `UsageError` for what does not fit."""
    from ...config import RunConfig
    from ...engine.memory.choice import choose
    from ...engine.memory.machine import cpu_machine, gpu_machine, gpus_here

    there = gpus_here(None)
    if card.scale == "large" and not there:
        return "no GPU here, and this takes one: plan --memory --gpu-memory 80 counts for one of 80 GB"
    machine = gpu_machine(1, None) if there else cpu_machine([card.name])
    _, lines = choose(RunConfig(methods=methods, models=(card.name,), limit=None), {card.name: machine})
    said = [line.removeprefix(f"{card.name}: ") for line in lines]
    return "; ".join(["yes", *said])


def disk() -> dict[str, dict[str, Any]]:
    """What is free where things are written: the folder, and bytes."""
    import shutil
    import tempfile

    from ...engine.artefacts import default_store
    from ..parts.grid import RESULTS

    places = {"store": default_store(), "results": RESULTS.resolve(), "temporary": Path(tempfile.gettempdir())}
    try:
        from huggingface_hub.constants import HF_HUB_CACHE

        places["hub cache"] = Path(HF_HUB_CACHE)
    except Exception:  # noqa: S110 - what is wrong with it is said elsewhere
        pass
    return {
        name: {"folder": str(folder), "free_bytes": shutil.disk_usage(_there(folder)).free}
        for name, folder in places.items()
    }


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that there is."""
    return next(each for each in (folder, *folder.parents) if each.exists())
