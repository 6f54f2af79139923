"""From a model's name to its files: cards, hub ids and local folders. Imports no torch."""

import json
from importlib.resources import files
from pathlib import Path

from ...data.hub import lacking
from ...errors import ModelError, UsageError
from ...registry import models
from .card import ModelCard, Scale
from .check import ADAPTER, has_weights, no_model

TINY_BYTES = 200 * 2**20
"""A local model with less than this in its weight files counts as tiny when defaults are chosen."""


WANTED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")
"""Patterns of the files that a model is loaded from."""


def card_for(name: str) -> ModelCard:
    """The card of a registered name, a local model folder, or a hub id; raises `UsageError` for anything else."""
    if name in models.names():
        return models.get(name)
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return _card_of_folder(name, folder)
    if folder.exists():
        raise UsageError(no_model(name, folder))
    if is_hub_id(name):
        return ModelCard(name=name, family="", source=name, description="from the Hugging Face hub")
    if "/" in name:
        raise UsageError(
            f"there is no model folder {name}; check the path, or give a name of 'unlearnbench list models'"
        )
    return models.get(name)  # raises with a suggestion


def is_hub_id(name: str) -> bool:
    """Whether a name that is no folder's here has the form of a hub id, OWNER/NAME."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def shadowed(name: str) -> str:
    """What to say where ``name`` is a registered model's, which is taken, and a folder's here too; else empty."""
    if name not in models.names() or not any((Path(name) / file).is_file() for file in ("config.json", ADAPTER)):
        return ""
    return f"--model {name}: the registered model of that name is taken; the folder here is ./{name}"


def _card_of_folder(name: str, folder: Path) -> ModelCard:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    scale: Scale = "tiny" if size < TINY_BYTES else "large"
    fields = ModelCard.model_fields
    return ModelCard(
        name=name,
        family=model_type(folder),
        source=str(folder.resolve()),
        scale=scale,
        data="embedded" if scale == "tiny" else "hub",
        min_pixels=28 * 28 if scale == "tiny" else fields["min_pixels"].default,
        max_pixels=140 * 140 if scale == "tiny" else fields["max_pixels"].default,
    )


def model_type(folder: Path) -> str:
    """The architecture family that a model folder's ``config.json`` names, "" if none; raises `ModelError`."""
    try:
        return str(json.loads((folder / "config.json").read_bytes()).get("model_type", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder}/config.json cannot be read ({error}); save or download the model again") from None


def folder_of(card: ModelCard, *, fetch: bool = True) -> tuple[Path, str | None]:
    """The local folder with a card's files and the hub revision they came from.

    What is not there yet is downloaded if ``fetch`` says so. Raises `ModelError` where the files cannot be had.
    """
    if Path(card.source).is_dir():
        return Path(card.source), card.revision
    if ":" in card.source:
        package, _, name = card.source.partition(":")
        folder = Path(str(files(package))) / name
        if not (folder / "config.json").is_file():
            raise ModelError(f"model {card.name} is missing from this installation ({folder}); reinstall unlearnbench")
        return folder, card.revision
    return _from_hub(card, fetch)


def whole(card: ModelCard) -> Path | None:
    """The local folder of a card whose files are all here; None where some of them are still to be fetched.

    Raises `UsageError` for what is neither a folder nor a hub id.
    """
    try:
        folder, _ = folder_of(card, fetch=False)
    except ModelError:
        return None
    if not is_fetched(card):
        return folder
    missing = lacking(card.source, folder, WANTED, "model")
    # What an older client has left tells by its weights alone whether it is all there is.
    return folder if (has_weights(folder) if missing is None else not missing) else None


def is_fetched(card: ModelCard) -> bool:
    """Whether a card's files come from the hub."""
    return not Path(card.source).is_dir() and ":" not in card.source


def configured(card: ModelCard) -> Path:
    """The local folder that has a card's ``config.json``, whether its weights are here or not; nothing is fetched.

    Raises `ModelError` where there is none, `UsageError` for what is neither a folder nor a hub id.
    """
    if not is_fetched(card):
        return folder_of(card, fetch=False)[0]
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(card.source, "config.json", revision=card.revision)
    except HFValidationError:
        raise _no_id(card) from None
    if not isinstance(found, str):
        raise ModelError(
            f"the configuration of model {card.source} is not here, and this command fetches nothing: where there is a "
            f"network, hf download {card.source} config.json preprocessor_config.json (some KB)"
        )
    return Path(found).parent


def _no_id(card: ModelCard) -> UsageError:
    return UsageError(f"model {card.source!r} is no hub id (OWNER/NAME), no folder and not in 'list models'")


def _from_hub(card: ModelCard, fetch: bool) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        found = snapshot_download(
            card.source, revision=card.revision, allow_patterns=list(WANTED), local_files_only=not fetch
        )
    except HFValidationError:
        raise _no_id(card) from None
    except RepositoryNotFoundError:
        raise ModelError(f"the hub has no model {card.source!r} that you may read; check the name, or log in") from None
    except Exception as error:  # the client and the libraries beneath it raise many kinds
        trouble = "downloadable (no network?)" if fetch else "to be downloaded by this command"
        raise ModelError(
            f"model {card.source} is neither cached nor {trouble}: {type(error).__name__}; fetch it with "
            f"'hf download {card.source}' where there is a network, or give --model a local folder (there is no "
            "folder of that name here)"
        ) from None
    return Path(found), Path(found).name  # the cache names a snapshot's folder by its commit
