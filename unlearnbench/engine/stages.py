"""The stages of a cell, each computed once and kept in the store: base, unlearned, and the model to evaluate."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import StoreError
from ..models.contract.edits import Trained
from ..models.contract.imprint import Imprint
from ..models.contract.vlm import VLM
from ..models.files.load import load
from ..runtime import distributed
from ..runtime.memory import PeakMemory
from ..runtime.run import Progress, Run
from ..training.base import train_base
from ..training.checkpoint import CheckpointFiles
from ..training.strangers import within_reach
from .artefacts import Artefact, Store
from .handed import checked_edit, checked_files, edit_class_of, idle, plain_cost, plain_notes
from .journal import JournalFile
from .keys import digest
from .planning import Key, Plan

CHECKPOINT_SECONDS = 300.0
"""The least time between two checkpoints of a training, unless the command says otherwise."""

ASKING_VERSION = 3
"""Raised when a model is asked otherwise than before for the same question."""

_log = logging.getLogger(__name__)


class Stages:
    """Makes what cells need. The model that was unlearned last stays in memory for the tasks that follow.

    A training that is interrupted goes on from a checkpoint, written every ``checkpoint_seconds`` at the most.
    """

    def __init__(self, store: Store, progress: Progress, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        self.store, self.progress, self.checkpoint_seconds = store, progress, checkpoint_seconds
        self._ready: tuple[str, VLM] | None = None
        self._failed: dict[str, Exception] = {}
        self.remarks: dict[str, Any] = {}
        """What is to be said of the model that is in memory."""

    def base(self, plan: Plan) -> Artefact:
        """The base model's weights, trained if need be."""

        def make(folder: Path) -> dict[str, Any]:
            run = self._run("base", plan.base_key, plan.cell.base_seed)
            model = load(plan.source.card, plan.device)
            edit = train_base(model, plan.sets.in_order, plan.base, run)
            if distributed.is_first():
                edit.save(folder)
            checked_files("base", folder)
            return _said(run, "base")

        return self._once("base", plan.base_key, make)

    def unlearned(self, plan: Plan) -> Artefact:
        """What the method changed, or an empty artefact where it changed nothing."""

        def make(folder: Path) -> dict[str, Any]:
            run = self._run("unlearned", plan.unlearned_key, plan.cell.seed)
            self.base_of(plan)  # what training the base takes is no cost of the method
            edit_class_of(plan.method)  # raises for one that could not be read back
            name, model = plan.method.name, self._start(plan)
            before = Imprint.of(model)
            with PeakMemory(plan.device) as memory:
                edit = plan.method(plan.params).unlearn(model, within_reach(plan.sets, model, run), run)
            said = _said(run, f"method {name!r}", memory.peak)
            edit = checked_edit(plan.method, edit, model, before, self.store.root / "quarantine")
            del model  # what is not the edit's may go
            if edit is None:
                return {"edit": False, "trainable_parameters": 0, **said}
            if distributed.is_first():
                edit.save(folder)
            checked_files(f"method {name!r}", folder)
            return {"edit": True, "trainable_parameters": int(edit.trainable_parameters), **said}

        return self._once("unlearned", plan.unlearned_key, make)

    def model(self, plan: Plan) -> VLM:
        """A fresh copy of the starting model with the method's stored edit applied."""
        key = f"{digest(plan.unlearned_key)} {plan.cell.exact}"
        if self._ready is None or self._ready[0] != key:
            self._ready = None  # let the old one go before the new one comes
            artefact = self.unlearned(plan)
            model = self._start(plan)
            self.remarks = self._edited(plan, model, artefact)
            model.shares_prefixes = model.shares_prefixes and not plan.cell.exact
            self._ready = key, model
        return self._ready[1]

    def _edited(self, plan: Plan, model: VLM, artefact: Artefact) -> dict[str, Any]:
        """Apply what the method changed; what a row should say of that."""
        if not artefact.manifest.metadata["edit"]:
            said = "the method returned no edit: the row is that of the model it started from"
            return {} if plan.method.role == "reference" else {"edit": said}
        before = Imprint.of(model)
        edit_class_of(plan.method).load(artefact.folder, model).apply(model)
        if not idle(before, model):
            return {}
        why = "the edit changes nothing of the model: the row is that of the model it started from"
        _log.warning("method %r: %s", plan.method.name, why)
        return {"edit": why}

    def journal(self, plan: Plan) -> JournalFile:
        """Where the answers of the model to evaluate are written down: by its weights and what was done to them."""
        base, edit = self.base_of(plan), self.unlearned(plan)
        files = [part.manifest.files if part else None for part in (base, edit)]
        key = {"version": ASKING_VERSION, "model": plan.unlearned_key, "files": files}
        key |= {"exact": True} if plan.cell.exact else {}
        return JournalFile(self.store.root / "answers" / f"{digest(key)[:32]}.jsonl")

    def _once(self, kind: str, key: Key, make: Callable[[Path], dict[str, Any]]) -> Artefact:
        """An artefact of the store. What has failed is not tried again for the next cell, but for the next run."""
        name = f"{kind} {digest(key)}"
        if name in self._failed:
            raise self._failed[name]
        try:
            artefact = self._together(kind, key, make)
            if artefact.made or distributed.processes() > 1:
                self._drop_checkpoints(kind, key)
            return artefact
        except Exception as error:
            self._failed[name] = error
            raise

    def _together(self, kind: str, key: Key, make: Callable[[Path], dict[str, Any]]) -> Artefact:
        """The artefact, which all processes make and the first one writes; it alone asks and locks the store."""
        if distributed.processes() == 1:
            return self.store.get_or_make(kind, key, make)
        if distributed.is_first():
            told = False

            def tell_and_make(folder: Path) -> dict[str, Any]:
                nonlocal told
                told = distributed.agreed(True)
                return make(folder)

            self.store.get_or_make(kind, key, tell_and_make)
            if not told:
                distributed.agreed(False)
        elif distributed.agreed(False):
            with TemporaryDirectory() as scratch:
                make(Path(scratch))
        distributed.gathered(None)  # it is there now

        def unforeseen(folder: Path) -> dict[str, Any]:
            raise StoreError(f"{folder} has vanished; does another run clear the store?")

        return self.store.get_or_make(kind, key, unforeseen)

    def _run(self, kind: str, key: Key, seed: int) -> Run:
        checkpoints = CheckpointFiles(self.store.checkpoints(kind, key), self.checkpoint_seconds)
        return Run(seed, self.progress, checkpoints=checkpoints)

    def _drop_checkpoints(self, kind: str, key: Key) -> None:
        if distributed.is_first():
            shutil.rmtree(self.store.checkpoints(kind, key), ignore_errors=True)

    def base_of(self, plan: Plan) -> Artefact | None:
        """The base that the method starts from, if it does."""
        return self.base(plan) if plan.method.start == "base" else None

    def _start(self, plan: Plan) -> VLM:
        """The model that the method starts from."""
        weights = self.base_of(plan)
        model = load(plan.source.card, plan.device)
        if weights:
            Trained.load(weights.folder, model).merge(model)
        return model


def _said(run: Run, whose: str, peak: int | None = None) -> dict[str, Any]:
    """What a stage's run has noted and cost, in JSON's types: no training is lost for the type of a note."""
    cost = plain_cost(whose, run.cost) | ({} if peak is None else {"peak_memory_bytes": peak})
    return {"cost": cost, "notes": plain_notes(whose, run.notes)}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start
