"""The stages of a cell: what each starts from, what decides what comes of it, and what makes it.

A cell is a chain of them, pretrained -> base -> unlearned -> attacked, of which it may lack some; the pretrained model
is where every chain begins and no stage itself. What a stage makes is an edit of the model before it. The key of each
holds the key of the one before, so that equal work is recognised wherever it recurs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..contracts import Attack, Method, Params
from ..contracts.sample import Sample, Sets
from ..errors import ModelError
from ..models.files.elsewhere import Elsewhere
from ..training.params import BaseParams
from .handed import checked_edit, checked_edits, checked_files, edit_class_of, plain_cost, plain_notes
from .keys import digest

if TYPE_CHECKING:
    from ..models.contract.edits import Alteration, Edit
    from ..models.contract.vlm import VLM
    from ..runtime.run import Run
    from .artefacts import Store

Key = dict[str, Any]

PRETRAINED = "pretrained"
"""Where a method starts that needs no base."""

STAGES = BASE, UNLEARNED, ATTACKED = "base", "unlearned", "attacked"
"""The stages' names, in order: what the store calls their artefacts."""


class Maker(Protocol):
    """What makes a stage."""

    @property
    def seed(self) -> int:
        """What drives everything random in it."""

    @property
    def params(self) -> Params | None:
        """What it is made with; None where nothing is trained."""

    @property
    def owner(self) -> str:
        """Whose parameters they are, as ``--set`` calls it; else what an error calls it."""

    def make(self, start: Callable[[], "VLM"], run: "Run", folder: Path, aside: Path) -> dict[str, Any]:
        """Change the model that ``start`` brings, write what was changed into the empty ``folder``, tell what it took.

        What is returned may say ``"edit": False``: then nothing was changed. Bare tensors that somebody may want back
        go ``aside``. Of several processes that work together all call it, each with a folder, and the first one writes.
        """

    def load(self, folder: Path, model: "VLM") -> "Alteration":
        """What `make` wrote, or what it found."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of a cell's chain; ``start`` is the step before, None where it starts from the pretrained model."""

    name: str
    start: "Stage | None"
    key: Key
    maker: Maker

    @cached_property
    def digest(self) -> str:
        """The digest of its key: two stages are the same where theirs are."""
        return digest(self.key)

    @cached_property
    def chain(self) -> tuple["Stage", ...]:
        """All stages up to this one, in their order."""
        return (*(self.start.chain if self.start else ()), self)

    def is_in(self, store: "Store") -> bool:
        """Whether the store has what it makes."""
        return store.has(self.name, self.key)


@dataclass(frozen=True)
class Finetuning:
    """Makes the base: the model is finetuned on all pairs of the data, whoever is forgotten later."""

    params: BaseParams
    sets: Sets
    seed: int
    owner: str = BASE

    def make(self, start: Callable[[], "VLM"], run: "Run", folder: Path, aside: Path) -> dict[str, Any]:  # noqa: D102
        from ..runtime import distributed
        from ..training.base import train_base

        edit = train_base(start(), self.sets.in_order, self.params, run)
        if distributed.is_first():
            edit.save(folder)
        checked_files(BASE, folder)
        return _said(run, BASE)

    def load(self, folder: Path, model: "VLM") -> "Edit":  # noqa: D102
        from ..models.contract.edits import Trained

        return Trained.load(folder, model)


@dataclass(frozen=True)
class MethodMaker:
    """Makes what a method makes of the model that it starts from."""

    method: type[Method]
    params: Params
    sets: Sets
    seed: int

    @property
    def owner(self) -> str:  # noqa: D102
        return self.method.name

    def make(self, start: Callable[[], "VLM"], run: "Run", folder: Path, aside: Path) -> dict[str, Any]:  # noqa: D102
        from ..models.contract.imprint import Imprint
        from ..runtime import distributed
        from ..runtime.memory import PeakMemory
        from ..training.stopping import within_reach

        whose = f"method {self.method.name!r}"
        edit_class_of(self.method)  # raises for one that could not be read back
        model = start()
        before = Imprint.of(model)
        with PeakMemory(model.device.type) as memory:
            sets = within_reach(self.sets, model, run, ideal=self.method.ideal)
            edit = self.method(self.params).unlearn(model, sets, run)
        said = _said(run, whose, peak_memory_bytes=memory.peak)
        edit = checked_edit(self.method, edit, model, before, aside)
        del model  # what is not the edit's may go
        if edit is None:
            return {"edit": False, "trainable_parameters": 0, **said}
        if distributed.is_first():
            edit.save(folder)
        checked_files(whose, folder)
        return {"edit": True, "trainable_parameters": int(edit.trainable_parameters), **said}

    def load(self, folder: Path, model: "VLM") -> "Edit":  # noqa: D102
        return edit_class_of(self.method).load(folder, model)


@dataclass(frozen=True)
class AttackMaker:
    """Makes what an attack makes of an unlearned model: several variants of it, an edit each."""

    attack: Attack
    sets: Sets
    seed: int

    @property
    def owner(self) -> str:  # noqa: D102
        return self.attack.name

    @property
    def params(self) -> Params:  # noqa: D102
        return self.attack.params

    def make(self, start: Callable[[], "VLM"], run: "Run", folder: Path, aside: Path) -> dict[str, Any]:  # noqa: D102
        from ..models.contract.imprint import Imprint
        from ..runtime import distributed
        from ..runtime.memory import PeakMemory

        whose = f"attack {self.attack.name!r}"
        model = start()
        if self.attack.params.guard == "off":
            model.visual_edit = None
        beside = {"strangers": self.sets.strangers, **self.sets.further}
        run.set_of = self.sets.set_of | {sample.id: name for name, own in beside.items() for sample in own}
        before = Imprint.of(model)
        with PeakMemory(model.device.type) as memory:
            edits = self.attack.change(model, self.sets, run)
        edits = checked_edits(self.attack, edits, before)
        del model
        for place, edit in enumerate(edits.values()):
            (own := folder / part(place)).mkdir()
            if distributed.is_first():
                edit.save(own)
        checked_files(whose, folder)
        most = max(int(edit.trainable_parameters) for edit in edits.values())
        said = _said(run, whose, peak_memory_bytes=memory.peak)
        return {"edit": True, "variants": [*edits], "trainable_parameters": most, **said}

    def load(self, folder: Path, model: "VLM") -> "Edit":  # noqa: D102
        return edit_class_of(self.attack).load(folder, model)


def guard_of(stage: Stage) -> type[Method] | None:
    """The method of a stage if it leaves the weights alone, so that all it made stands beside them."""
    maker = stage.maker
    return maker.method if isinstance(maker, MethodMaker) and maker.method.frozen_weights else None


def part(place: int) -> str:
    """The folder, within an attack's artefact, of the variant at this place."""
    return f"variant-{place}"


@dataclass(frozen=True)
class Bringing:
    """Makes a stage of a model from elsewhere, whose weights stay where they are: the store has only what it is.

    ``known`` are samples of which it must give the share ``memorised`` word for word.
    """

    origin: Elsewhere
    seed: int
    known: tuple[Sample, ...] = ()
    memorised: float = 0.0
    params: None = None

    @property
    def owner(self) -> str:  # noqa: D102
        return self.origin.text

    def make(self, start: Callable[[], "VLM"], run: "Run", folder: Path, aside: Path) -> dict[str, Any]:
        """Look whether it knows what it must; raises `ModelError` where it does not."""
        from ..training.base import by_heart

        notes: dict[str, Any] = {}
        if self.known:
            model = start()
            self.load(folder, model).merge(model)
            count, of = by_heart(model, self.known, run), len(self.known)
            if count < self.memorised * of:
                raise ModelError(
                    f"model {self.origin.text} has not memorised what is to be forgotten: of {of} answers it gives "
                    f"{count} word for word, and a base must give {self.memorised:.0%}: train it for longer, on "
                    "these very questions and pictures, or say what is enough with --set base.memorised=SHARE"
                )
            notes["by_heart"] = {"answers": count, "of": of}
        return {"edit": True, "trainable_parameters": None, "cost": {"train_seconds": None}, "notes": notes}

    def load(self, folder: Path, model: "VLM") -> "Alteration":  # noqa: D102
        from ..models.files.replace import Replacement

        return Replacement(self.origin)


def changes(metadata: Mapping[str, Any]) -> bool:
    """Whether a stage has made an edit, by what its maker said."""
    return bool(metadata.get("edit", True))


def _said(run: "Run", whose: str, **cost: int) -> dict[str, Any]:
    """What a stage's run has noted and cost, in JSON's types: no training is lost for the type of a note."""
    return {"cost": plain_cost(whose, run.cost) | cost, "notes": plain_notes(whose, run.notes)}
