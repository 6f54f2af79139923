"""The runner: pushes a model through a cell's stages, computing what is missing of them, and keeps it in the store."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import PluginError, StoreError
from ..models.contract.edits import Alteration
from ..models.contract.imprint import Imprint
from ..models.contract.vlm import VLM
from ..models.files.load import load
from ..runtime import distributed
from ..runtime.run import Progress, Run
from ..training.checkpoint import CheckpointFiles
from .artefacts import Artefact, Store
from .handed import idle, misdeclared, some
from .journal import JournalFile
from .keys import digest
from .memory.advice import in_a_sentence
from .planning import Plan
from .stages import BASE, AttackMaker, Stage, changes, guard_of, part

CHECKPOINT_SECONDS = 300.0
"""The least time between two checkpoints of a training, unless the command says otherwise."""

ASKING_VERSION = 3
"""Raised when a model is asked otherwise than before for the same question."""

_log = logging.getLogger(__name__)

Make = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """A stage with what the store has of it; ``part`` is the folder in it of the variant that is meant, if any."""

    stage: Stage
    artefact: Artefact
    part: str = ""

    @property
    def said(self) -> dict[str, Any]:
        """What its maker said of it."""
        return self.artefact.manifest.metadata

    def put_on(self, model: VLM, *, to_stay: bool = False) -> Alteration | None:
        """Make the change that it is of ``model``, if it is one; ``to_stay`` for stages to be built on top."""
        if not changes(self.said):
            return None
        edit = self.stage.maker.load(self.artefact.folder / self.part, model)
        edit.merge(model) if to_stay else edit.apply(model)
        return edit


@dataclass(frozen=True)
class Ready:
    """A cell's model, to be asked, and the stages that it came by; ``remarks`` are what a row should say of them."""

    model: VLM
    made: tuple[Made, ...]
    journal: JournalFile
    remarks: dict[str, Any]


@dataclass
class _Kept:
    """The model that was asked last: its name, which variant of it (-1: none yet), and the edit that makes it that."""

    name: str
    variant: int | None
    model: VLM
    edit: Alteration | None
    remarks: dict[str, Any]

    def is_bared(self) -> bool:
        """Take the variant's edit off, so that another may be put on; False where that cannot be."""
        if self.edit is None or not self.edit.take_off(self.model):
            return False
        self.variant, self.edit = -1, None
        return True


class Runner:
    """Makes what cells need. The model that was asked last stays in memory for the tasks that follow.

    A training that is interrupted goes on from a checkpoint, written every ``checkpoint_seconds`` at the most.
    """

    def __init__(self, store: Store, progress: Progress, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        self.store, self.progress, self.checkpoint_seconds = store, progress, checkpoint_seconds
        self._kept: _Kept | None = None
        self._failed: dict[str, Exception] = {}

    def ready(self, plan: Plan, variant: int | None = None) -> Ready:
        """The cell's model: a fresh copy of the pretrained one with the edits of all its stages, as they are stored.

        ``variant`` is the place of the one that is meant, where an attack has made several.
        """
        bare = _is_bare(plan)
        name = f"{plan.last.digest} {plan.cell.exact} {bare}"
        if self._kept and not (self._kept.name == name and self._turns_to(variant, plan)):
            self._kept = None  # let the old one go before the new one comes
        made = self.made(plan)
        if variant is not None:
            made = (*made[:-1], replace(made[-1], part=part(variant)))
        if self._kept is None:
            self._kept = self._new(plan, made, name, variant, bare=bare)
        elif self._kept.variant != variant:
            self._kept.variant, self._kept.edit = variant, made[-1].put_on(self._kept.model)
        return Ready(self._kept.model, made, self._journal(plan, made, bare), self._kept.remarks)

    @contextmanager
    def unaltered(self, who: str) -> Iterator[None]:
        """See to it that the model that is ready stays as it is; else the next cell would be asked of another.

        Raises `PluginError` where it was changed within. A model in which something failed is not used again either.
        """
        assert self._kept is not None  # it is ready
        before = Imprint.of(model := self._kept.model)
        try:
            yield
        except BaseException:
            self._kept = None
            raise
        if changed := before.changes(model):
            self._kept = None
            raise PluginError(f"{who} changed the model ({some(changed)}); leave it as it came, or define change")

    def _turns_to(self, variant: int | None, plan: Plan) -> bool:
        """Whether the model that is kept is this variant of its kind, or lacks nothing but to be made it."""
        kept = self._kept
        assert kept is not None
        return kept.variant == variant or (variant is not None and not plan.absorbs and kept.is_bared())

    def _new(self, plan: Plan, made: Sequence[Made], name: str, variant: int | None, *, bare: bool) -> _Kept:
        model = self._pushed(plan, made[:-1], absorbs=plan.absorbs, bare=bare)
        edit, remarks = self._finish(plan, model, made[-1])
        if bare:
            model.visual_edit = None
        if plan.cell.exact:
            model.shares_prefixes = model.static_cache = False
        return _Kept(name, variant, model, edit, remarks)

    def made(self, plan: Plan, stages: Sequence[Stage] | None = None) -> tuple[Made, ...]:
        """Stages, by default the cell's, each asked for once and computed if need be."""
        made: tuple[Made, ...] = ()
        for stage in plan.stages if stages is None else stages:
            made = (*made, Made(stage, self._once(plan, stage, self._maker(plan, stage, made))))
        return made

    def beside(self, plan: Plan, stages: Sequence[Stage]) -> Ready:
        """Another model on the cell's device, with a journal of its own: the pretrained one after these stages."""
        made = self.made(plan, stages)
        model = self._pushed(plan, made)
        if plan.cell.exact:
            model.shares_prefixes = model.static_cache = False
        key = {
            "version": ASKING_VERSION,
            "model": stages[-1].key if stages else plan.pretrained_key,
            "beside": [each.artefact.manifest.files for each in made],
            "exact": plan.cell.exact,
        }
        return Ready(model, made, self._journal_named(key), {})

    def _maker(self, plan: Plan, stage: Stage, before: Sequence[Made]) -> Make:
        """What makes a stage on top of those ``before`` it."""

        def make(folder: Path) -> dict[str, Any]:
            self._kept = None  # what was asked last makes room for what is trained
            checkpoints = CheckpointFiles(self.store.checkpoints(stage.name, stage.key), self.checkpoint_seconds)
            run = Run(stage.maker.seed, self.progress, checkpoints=checkpoints)
            aside = self.store.root / "quarantine"
            absorbs = plan.absorbs and stage is plan.last
            bare = _is_bare(plan) and isinstance(stage.maker, AttackMaker)  # a method goes on with all that is there
            return stage.maker.make(lambda: self._pushed(plan, before, absorbs=absorbs, bare=bare), run, folder, aside)

        return make

    def _pushed(self, plan: Plan, made: Sequence[Made], *, absorbs: bool = False, bare: bool = False) -> VLM:
        """A fresh pretrained model that has gone through these stages, of which the next one ``absorbs`` the last.

        ``bare``: without those that put something beside the weights and leave these alone.
        """
        what = f"loading {plan.source.card.name}"
        with in_a_sentence(what, device=plan.device), self.progress.bar("loading the model", 1) as bar:
            model = load(plan.source.card, plan.device)
            for place, each in enumerate(made, start=1):
                guard = guard_of(each.stage)
                if guard and bare:
                    continue
                before = Imprint.of(model) if guard else None
                each.put_on(model, to_stay=not absorbs or place < len(made))
                if guard and before:
                    misdeclared(guard, before, before.changes(model))
            bar.advance()
        return model

    def _finish(self, plan: Plan, model: VLM, last: Made) -> tuple[Alteration | None, dict[str, Any]]:
        """Put the last stage on: what that put on, and what a row should say of it."""
        if last.part:
            return last.put_on(model), {}
        if _is_bare(plan) and guard_of(last.stage):
            return None, {}
        if not changes(last.said):
            said = "the method returned no edit: the row is that of the model it started from"
            return None, {} if plan.method.role == "reference" else {"edit": said}
        before = Imprint.of(model)
        edit = last.put_on(model)
        changed = before.changes(model)
        if not idle(before, model, changed):
            guard = misdeclared(plan.method, before, changed)
            return edit, {"guard": guard} if guard else {}
        why = "the edit changes nothing of the model: the row is that of the model it started from"
        _log.warning("method %r: %s", plan.method.name, why)
        return edit, {"edit": why}

    def _journal(self, plan: Plan, made: Sequence[Made], bare: bool) -> JournalFile:
        """Where the model's answers are written down: by its key and by the files of what was done to it."""
        files = [each.artefact.manifest.files for each in made]
        without_base = [] if made[0].stage.name == BASE else [None]
        key = {"version": ASKING_VERSION, "model": plan.last.key, "files": [*without_base, *files]}
        key |= {"exact": True} if plan.cell.exact else {}
        key |= {"variant": made[-1].part} if made[-1].part else {}
        key |= {"guard": "off"} if bare else {}
        return self._journal_named(key)

    def _journal_named(self, key: dict[str, Any]) -> JournalFile:
        return JournalFile(self.store.root / "answers" / f"{digest(key)[:32]}.jsonl")

    # ----------------------------------------------------------------------------------------------------- the store
    def _once(self, plan: Plan, stage: Stage, make: Make) -> Artefact:
        """A stage's artefact. What has failed is not tried again for the next cell, but for the next run."""
        name = f"{stage.name} {stage.digest}"
        if name in self._failed:
            raise self._failed[name]
        try:
            with in_a_sentence(stage.maker.owner, stage.maker.params, device=plan.device):
                artefact = self._together(stage, make)
        except Exception as error:
            self._failed[name] = error
            raise
        if distributed.is_first() and (artefact.made or distributed.processes() > 1):
            shutil.rmtree(self.store.checkpoints(stage.name, stage.key), ignore_errors=True)
        return artefact

    def _together(self, stage: Stage, make: Make) -> Artefact:
        """The artefact, which all processes make and the first one writes; it alone asks and locks the store."""
        name, key = stage.name, stage.key
        if distributed.processes() == 1:
            return self.store.get_or_make(name, key, make)
        if distributed.is_first():
            told = False

            def tell_and_make(folder: Path) -> dict[str, Any]:
                nonlocal told
                told = distributed.agreed(True)
                return make(folder)

            self.store.get_or_make(name, key, tell_and_make)
            if not told:
                distributed.agreed(False)
        elif distributed.agreed(False):
            with TemporaryDirectory() as scratch:
                make(Path(scratch))
        distributed.gathered(None)  # it is there now

        def unforeseen(folder: Path) -> dict[str, Any]:
            raise StoreError(f"{folder} has vanished; does another run clear the store?")

        return self.store.get_or_make(name, key, unforeseen)


def _is_bare(plan: Plan) -> bool:
    """Whether what methods put beside the weights is left out."""
    return plan.aimed is not None and plan.aimed.params.guard == "off"
