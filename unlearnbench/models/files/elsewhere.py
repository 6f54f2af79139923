"""A model from elsewhere, ``MODEL[@ADAPTER]``: its files are found and looked at by name and header, without torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError, UnlearnbenchError, UsageError
from ...registry import models
from .card import ModelCard
from .check import ADAPTER, adds_nothing, base_of, check_adapter, check_weights, has_weights
from .source import card_for, folder_of, is_fetched, is_hub_id, model_type, whole


@dataclass(frozen=True)
class Typed:
    """What was typed after an ``option``: a model, and perhaps an adapter on it; nothing is fetched yet."""

    option: str
    text: str
    model: ModelCard
    adapter: ModelCard | None

    @property
    def whole(self) -> str:
        """The option with its value, as errors begin."""
        return f"{self.option} {self.text}"

    @property
    def anywhere(self) -> str:
        """What was typed, so that it means the same from any folder: paths are whole."""
        model = self.model.source if Path(self.model.source).is_absolute() else self.model.name
        return f"{model}@{self.adapter.source}" if self.adapter else model


@dataclass(frozen=True)
class Elsewhere:
    """A model from elsewhere on this disk: ``folder`` has its weights, ``adapter`` is PEFT's folder if there is one.

    ``text`` is what was typed, and ``source`` the same from any folder. ``digest`` is that of all weights, the
    adapter's with what it says of them included. ``doubt`` says so where the adapter names another model.
    """

    text: str
    folder: Path
    adapter: Path | None
    digest: str
    source: str = ""
    doubt: str = ""


def named(option: str, text: str, of: str) -> Typed:
    """Take ``MODEL[@ADAPTER]`` apart; without MODEL it is an adapter on the model ``of`` that name.

    Raises `UsageError`, which begins with the option, for what is neither a name, a folder nor a hub id.
    """
    model, at, adapter = _parts(text)
    if at and not adapter:
        raise UsageError(f"{option} {text}: name an adapter after the @, PEFT's folder or a hub id, or leave out the @")
    if not at and _is_adapter(Path(text).expanduser()):
        base = base_of(Path(text).expanduser()) or "MODEL"
        raise UsageError(f"{option} {text}: that is an adapter; name the model that it is on too: {base}@{text}")
    try:
        card = card_for(model or of)
    except UsageError as error:
        raise UsageError(f"{option} {text}: {str(error).removeprefix('--model ')}") from None
    return Typed(option, text, card, _adapter_card(f"{option} {text}", adapter) if at else None)


def found(typed: Typed, like: ModelCard, *, fetch: bool) -> tuple[Path, Path | None]:
    """The folders of a model from elsewhere and of its adapter, fetched if ``fetch`` says so.

    Raises `ModelError` for what cannot take the place of the weights of the model ``like``: another family, weights
    that are missing, damaged, quantised or in another format, code of its own, an adapter of another kind than LoRA.
    """
    folder = _folder(typed, typed.model, fetch)
    if check_weights(typed.model, folder).get("auto_map"):
        raise ModelError(
            f"{typed.whole} comes with code of its own (auto_map in its config.json), which is not run here: its "
            "weights alone are another model"
        )
    if (family := typed.model.family or model_type(folder)) != like.family:
        raise ModelError(
            f"{typed.whole} is of the family {family!r}, and --model {like.name} of {like.family!r}: give --model the "
            "pretrained model that it was made from"
        )
    if typed.adapter is None:
        return folder, None
    adapter = _folder(typed, typed.adapter, fetch)
    check_adapter(typed.whole, adapter)
    return folder, adapter


def doubt(typed: Typed, folder: Path, adapter: Path, digest_of: Callable[[Path], str]) -> str:
    """What to say, in a line, of an ``adapter`` that adds nothing or is not of the model in ``folder``; else empty."""
    said = [_not_its_own(typed, folder, adapter, digest_of)]
    if adds_nothing(adapter):
        said.append(f"the adapter changes nothing, so what is measured is {typed.model.name!r} as it is")
    return f"{typed.whole}: {'; '.join(each for each in said if each)}" if any(said) else ""


def _not_its_own(typed: Typed, folder: Path, adapter: Path, digest_of: Callable[[Path], str]) -> str:
    """What to say where an ``adapter`` names another model than the one in ``folder`` that it is put on.

    Empty where it is the same by name, place or content, and where nobody can tell: what it names may be gone.
    """
    name, own = base_of(adapter), typed.model
    if not name or name.casefold() in (own.name.casefold(), own.source.casefold()):
        return ""
    there = _there(name, adapter)
    if there is None:
        if not (is_hub_id(name) and is_fetched(own)):
            return ""
        judged = "if these are two models"
    elif there.resolve() == folder.resolve() or digest_of(there) == digest_of(folder):
        return ""
    else:
        judged = "which is another"
    return (
        f"the adapter's settings name {name!r} as its model, and it is put on {own.name!r}, {judged}: "
        "then nobody has trained what is measured; name its own model before the @"
    )


def _there(name: str, adapter: Path) -> Path | None:
    """The folder of weights that an ``adapter`` names, by a path from itself or from here; None if there is none."""
    try:
        beside = adapter / name
        folder = beside if (beside / "config.json").is_file() else whole(card_for(name))
        return folder if folder and has_weights(folder) else None
    except (UnlearnbenchError, OSError, ValueError):
        return None


def _folder(typed: Typed, card: ModelCard, fetch: bool) -> Path:
    try:
        return folder_of(card, fetch=fetch)[0]
    except ModelError as error:
        raise ModelError(f"{typed.whole}: {str(error).replace('--model', typed.option)}") from error


def _parts(text: str) -> tuple[str, str, str]:
    """Model, ``@``, adapter: at the first ``@`` with a model before it, as folders too may have one in their names."""
    if Path(text).expanduser().exists():
        return text, "", ""
    return next((parts for parts in _splits(text) if _is_model(parts[0])), text.partition("@"))


def _splits(text: str) -> Iterator[tuple[str, str, str]]:
    for place in (place for place, letter in enumerate(text) if letter == "@"):
        yield text[:place], "@", text[place + 1 :]


def _is_model(name: str) -> bool:
    return name in models.names() or (Path(name).expanduser() / "config.json").is_file()


def _is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER).is_file() and not (folder / "config.json").is_file()


def _adapter_card(whole: str, name: str) -> ModelCard:
    folder = Path(name).expanduser()
    if (folder / ADAPTER).is_file():
        return ModelCard(name=name, family="", source=str(folder.resolve()))
    if folder.exists():
        raise UsageError(f"{whole}: {name} holds no {ADAPTER}: give the folder that PEFT's save_pretrained has written")
    if is_hub_id(name):
        return ModelCard(name=name, family="", source=name)
    raise UsageError(f"{whole}: there is no adapter folder {name}; check the path")
