"""A cell's model as a folder that `transformers`, or PEFT, loads by itself."""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from ..analysis.numbers import memory
from ..engine.artefacts import no_space
from ..errors import ModelError, UsageError
from ..models.files.check import loaded_bytes
from ..results.row import Row
from ..runtime.atomic import atomic_folder, leftovers
from .card import card_text
from .kept import Kept
from .paths import without_paths
from .processor import write_processor

if TYPE_CHECKING:
    from ..models.contract.edits import Beside
    from ..models.contract.vlm import VLM

BASE = "base"
"""The folder, within an adapter's, of the model that it is on; on the hub what follows the adapter's name."""

NAMED_LAST = ("config.json", "adapter_config.json")
"""What a folder is known for a model by."""

_UNFINISHED = ".tmp-"
"""How a folder begins that is being filled within another."""

_ROOM = "free some, or give a folder on another disk"

_BYTES = {"bfloat16": 2, "float16": 2}
"""Of a number of each precision; all others take 4."""

Kind = Literal["weights", "adapter", "code"]
"""What was written: a model of a class of `transformers`; an adapter and its base; a model of a class of its own."""


@dataclass(frozen=True)
class Destination:
    """What to write: to ``folder``, an ``adapter`` beside its base where that is wanted, for ``hub`` or nobody."""

    folder: Path
    adapter: bool = False
    hub: str | None = None

    def check(self) -> None:
        """Raise `UsageError` where something is there already, or where no folder can be."""
        if self.folder.exists() and not (self.folder.is_dir() and all(map(_is_leftover, self.folder.iterdir()))):
            raise UsageError(f"{self.folder} is there already and not empty; give a new folder")
        try:
            self.folder.resolve().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be made ({error.strerror}); give another folder") from None

    def check_room(self, needed: int) -> None:
        """Raise `ModelError` where fewer than ``needed`` bytes are free."""
        there = self.folder.resolve()
        free = shutil.disk_usage(there if there.exists() else there.parent).free
        if needed > free:
            raise ModelError(
                f"the model takes {memory(needed)} and {memory(free)} are free where {self.folder} would be: {_ROOM}"
            )


def write(kept: Kept, wanted: Destination, rows: Sequence[Row]) -> Kind:
    """Write the model of a cell, of which there are these ``rows``; the folder appears whole or not at all.

    Raises `UsageError` for an adapter where there is none, and for edits that cannot be run without this package;
    `ModelError` where the disk is too small.
    """
    wanted.check()
    if not (wanted.adapter and kept.base_on_hub):
        wanted.check_room(loaded_bytes(kept.folder, _BYTES.get(str(kept.row.model.dtype), 4)))
    target = wanted.folder.resolve()
    with _alone(target), _said(wanted.folder), _filled(target) as folder:
        kind, model = _adapter(kept, folder, wanted.hub) if wanted.adapter else _whole(kept, folder)
        for place in (folder, folder / BASE) if (folder / BASE).is_dir() else (folder,):
            trust = write_processor(model, kept.card, kept.folder, place)
            without_paths(place)
        text = card_text(kept, kind, rows, wanted.hub or target.name, trust=trust)
        (folder / "README.md").write_text(text, encoding="utf-8")
        for file in folder.rglob("*.safetensors"):
            file.chmod((folder / "README.md").stat().st_mode)  # else nobody but their writer could read them
    return kind


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let nobody else on this machine write there meanwhile; raises `UsageError` where somebody does."""
    name = hashlib.sha256(bytes(target)).hexdigest()[:16]
    lock = FileLock(Path(gettempdir(), f"unlearnbench-export-{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{target}: another export is being written there; wait for it or give a new folder") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Without bars of `transformers`; raises `ModelError` where the disk becomes full after all."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not no_space(error):
            raise
        raise ModelError(f"{folder}: {os.strerror(errno.ENOSPC)}: {_ROOM}") from None
    finally:
        logging.enable_progress_bar()


@contextmanager
def _filled(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``target`` at the end; one that is there, and empty, stays the one that it is.

    What killed exports to the same place have left goes first.
    """
    for abandoned in (*leftovers(target), *(target.iterdir() if target.exists() else ())):
        shutil.rmtree(abandoned, ignore_errors=True)
    if not target.exists():
        with atomic_folder(target) as folder:
            yield folder
        return
    folder = target / f"{_UNFINISHED}{secrets.token_hex(6)}"  # within: it may be a disk of its own
    folder.mkdir()
    try:
        yield folder
        for path in sorted(folder.iterdir(), key=lambda path: path.name in NAMED_LAST):
            path.rename(target / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_leftover(path: Path) -> bool:
    """Whether it is what a killed export has left."""
    return path.name.startswith(_UNFINISHED)


def _whole(kept: Kept, folder: Path) -> "tuple[Kind, VLM]":
    """All edits in the weights, but for one that works beside them."""
    model, edits = kept.start("cpu")
    if kept.last:
        edits.append(kept.last.edit(model))
        edits[-1].merge(model)
    beside = [found for edit in edits if (found := edit.beside(model)) is not None]
    if len(beside) > 1:
        raise UsageError(
            f"cell {kept.row.row_id} has {len(beside)} edits beside the weights, one on the other: a model with one "
            "can be exported"
        )
    if not beside:
        model.model.save_pretrained(folder)
        return "weights", model
    write_beside(model, beside[0], folder)
    return "code", model


def _adapter(kept: Kept, folder: Path, hub: str | None) -> "tuple[Kind, VLM]":
    """The last edit as PEFT writes adapters, and unless the hub has it the model that it was trained on, beside it."""
    from ..models.contract.edits import Adapter

    model, edits = kept.start("cpu")
    last = kept.last.edit(model) if kept.last else None
    if not isinstance(last, Adapter) or any(edit.beside(model) for edit in edits):
        raise UsageError(
            f"cell {kept.row.row_id} ({kept.row.method.name}) is no adapter on a model of `transformers`: leave out "
            "--adapter"
        )
    if kept.base_on_hub:
        last.export(folder, kept.card.source, kept.card.revision)
    else:
        model.model.save_pretrained(folder / BASE)
        last.export(folder, f"{hub}-{BASE}" if hub else f"./{BASE}")  # no path of here: the folder may be taken away
    return "adapter", model


def write_beside(model: "VLM", beside: "Beside", folder: Path) -> None:
    """Write a model with the tensors, settings and code of an edit beside it: as a class of its own.

    Its weights have the names that they have in memory: what `transformers` renames goes by a model's type.
    """
    from huggingface_hub import save_torch_state_dict
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

    network: Any = model.model
    network.config.save_pretrained(folder)
    if network.can_generate():
        network.generation_config.save_pretrained(folder)
    save_torch_state_dict(
        {**network.state_dict(), **beside.tensors},
        folder,
        filename_pattern=f"model.{beside.variant}{{suffix}}.safetensors",
        shared_tensors_to_discard=[*network.all_tied_weights_keys],
    )
    for index in folder.glob("*.index.json"):  # where there are several files
        index.rename(folder / SAFE_WEIGHTS_INDEX_NAME.replace(".json", f".{beside.variant}.json"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | dict(beside.config)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name, text in beside.code.items():
        (folder / name).write_text(text, encoding="utf-8")
