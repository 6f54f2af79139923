"""A cell's model as a folder that `transformers`, or PEFT, loads by itself."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError
from ..models.files.source import folder_of
from ..results.row import Row
from ..runtime.atomic import atomic_folder
from .card import card_text
from .kept import Kept
from .processor import write_processor

if TYPE_CHECKING:
    from ..models.contract.edits import Beside
    from ..models.contract.vlm import VLM

BASE = "base"
"""The folder, within an adapter's, of the model that it is on; on the hub what follows the adapter's name."""

Kind = Literal["weights", "adapter", "code"]
"""What was written: a model of a class of `transformers`; an adapter and its base; a model of a class of its own."""


@dataclass(frozen=True)
class Target:
    """What to write: to ``folder``, an ``adapter`` beside its base where that is wanted, for ``hub`` or nobody."""

    folder: Path
    adapter: bool = False
    hub: str | None = None

    def check(self) -> None:
        """Raise `UsageError` where something is there already."""
        if self.folder.exists() and not (self.folder.is_dir() and not any(self.folder.iterdir())):
            raise UsageError(f"{self.folder} is there already and not empty; give a new folder")


def write(kept: Kept, wanted: Target, rows: Sequence[Row]) -> Kind:
    """Write the model of a cell, of which there are these ``rows``; the folder appears whole or not at all.

    Raises `UsageError` for an adapter where there is none, and for edits that cannot be run without this package.
    """
    wanted.check()
    target = wanted.folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        target.rmdir()  # it is empty
    with atomic_folder(target) as folder:
        kind, model = _adapter(kept, folder, wanted) if wanted.adapter else _whole(kept, folder)
        source, _ = folder_of(kept.card)
        for place in (folder, folder / BASE) if kind == "adapter" else (folder,):
            trust = write_processor(model, kept.card, source, place)
        text = card_text(kept, kind, rows, wanted.hub or target.name, trust=trust)
        (folder / "README.md").write_text(text, encoding="utf-8")
    return kind


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


def _adapter(kept: Kept, folder: Path, wanted: Target) -> "tuple[Kind, VLM]":
    """The last edit as PEFT writes adapters, and the model that it was trained on in a folder of its own."""
    from ..models.contract.edits import Adapter

    model, edits = kept.start("cpu")
    last = kept.last.edit(model) if kept.last else None
    if not isinstance(last, Adapter) or any(edit.beside(model) for edit in edits):
        raise UsageError(
            f"cell {kept.row.row_id} ({kept.row.method.name}) is no adapter on a model of `transformers`: leave out "
            "--adapter"
        )
    model.model.save_pretrained(folder / BASE)
    last.export(folder, f"{wanted.hub}-{BASE}" if wanted.hub else str(wanted.folder.resolve() / BASE))
    return "adapter", model


def write_beside(model: "VLM", beside: "Beside", folder: Path) -> None:
    """Write a model with the tensors, settings and code of an edit beside it: as a class of its own.

    Its weights have the names that they have in memory: what `transformers` renames goes by a model's type.
    """
    from huggingface_hub import save_torch_state_dict

    network: Any = model.model
    network.config.save_pretrained(folder)
    if network.can_generate():
        network.generation_config.save_pretrained(folder)
    weights = {**network.state_dict(), **beside.tensors}
    save_torch_state_dict(weights, folder, shared_tensors_to_discard=[*network.all_tied_weights_keys])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | dict(beside.config)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name, text in beside.code.items():
        (folder / name).write_text(text, encoding="utf-8")
