"""A cell with all its parts resolved: what its stages are made from, and the keys of all that determines them."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ...config import Cell
from ...contracts import Attack, AttackParams, Method, Params, Task, TaskData
from ...contracts.sample import Sample, Sets, clusters
from ...errors import PluginError, UnlearnbenchError
from ...models.files.card import ModelCard
from ...models.files.elsewhere import Elsewhere
from ...registry import attacks, families, methods, tasks
from ...results.row import SCHEMA_VERSION
from ...runtime.atomic import sha256_of
from ...runtime.plugin_files import plugin_line
from ...training.params import BaseParams, BroughtParams
from ..artefacts import Store
from ..keys import digest
from ..stages import ATTACKED, BASE, UNLEARNED, AttackMaker, Bringing, Finetuning, Key, Maker, MethodMaker, Stage

STAGES_VERSION = 1
"""Raised when a stage computes something else than before from the same key."""


PROCESSOR = "processor_config.json"
TEMPLATES = ("chat_template.jinja", "chat_template.json", PROCESSOR, "tokenizer_config.json")
"""Where a chat template may stand, what counts first."""


@dataclass(frozen=True)
class Source:
    """A model's files and what is known of them."""

    card: ModelCard
    folder: Path
    revision: str | None
    digest: str
    dtype: str

    @cached_property
    def template_digest(self) -> str | None:
        """The SHA-256 (hex) of the file that the chat template stands in."""
        files = (self.folder / name for name in TEMPLATES)
        return next((sha256_of(file) for file in files if file.is_file()), None)

    @cached_property
    def key(self) -> Key:
        """What the pretrained model's behaviour depends on."""
        texts = sorted(path for path in self.folder.iterdir() if path.suffix in {".json", ".jinja", ".txt"})
        return {
            "weights": self.digest,
            "files": {path.name: hashlib.sha256(_behaviour(path)).hexdigest() for path in texts},
            "pixels": [self.card.min_pixels, self.card.max_pixels],
            "dtype": self.dtype,
        } | ({"family": code} if (code := families.foreign(self.card.family)) else {})


def _behaviour(path: Path) -> bytes:
    """The content of a model's file, but for where others find code to load its processor with: it is not run here.

    What is left is written as `transformers` writes such files, so that one that never named code is the same file.
    """
    content = path.read_bytes()
    if path.name != PROCESSOR:
        return content
    with suppress(ValueError):
        if isinstance(found := json.loads(content), dict) and found.pop("auto_map", None):
            return (json.dumps(found, indent=2, sort_keys=True) + "\n").encode()
    return content


class Chosen(NamedTuple):
    """A method with its parameters for a model; ``elsewhere`` is what it made, if it was run by other code."""

    method: type[Method]
    params: Params
    elsewhere: Elsewhere | None = None

    @property
    def code(self) -> str | None:
        """The digest of a single-file plug-in."""
        return None if self.elsewhere else methods.code(self.method.name)

    @property
    def key(self) -> Key:
        """What a key says of it; of its parameters it speaks apart."""
        key = {"name": self.method.name, "version": self.method.version, "code": self.code}
        return key | ({"weights": self.elsewhere.digest} if self.elsewhere else {})

    def maker(self, sets: Sets, seed: int) -> Maker:
        """What makes its stage."""
        if self.elsewhere:
            return Bringing(self.elsewhere, seed)
        return MethodMaker(self.method, self.params, sets, seed)


class Aimed(NamedTuple):
    """An attack with its parameters for a cell."""

    attack: type[Attack]
    params: AttackParams

    @property
    def made(self) -> Attack:
        """The attack itself."""
        return self.attack(self.params)

    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks whose questions it wants; raises `PluginError` where it cannot say."""
        with self._asked("tasks"):
            return tuple(map(str, self.made.tasks()))

    def victims(self, sets: Sets) -> tuple[Sample, ...]:
        """What it is to bring back of these sets; raises `PluginError` where it cannot say."""
        with self._asked("victims"):
            found = tuple(self.made.victims(sets))
        if not all(isinstance(each, Sample) for each in found):
            raise PluginError(
                f"attack {self.attack.name!r}: victims returned what are no samples; return some of the sets'"
            )
        if not found:
            raise PluginError(f"attack {self.attack.name!r}: there is nothing that it could bring back: no victims")
        return found

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Say in a line what is raised where ``what`` is called, which happens while a run is planned."""
        try:
            yield
        except UnlearnbenchError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}{plugin_line(error)}"
            raise PluginError(f"attack {self.attack.name!r}: its {what} failed: {said}") from error

    @property
    def code(self) -> str | None:
        """The digest of a single-file plug-in."""
        return attacks.code(self.attack.name)

    @property
    def key(self) -> Key:
        """What a key says of it."""
        return {"name": self.attack.name, "version": self.attack.version, "code": self.code, "params": self.params}


class Lent(NamedTuple):
    """A task with its data, whose questions an attack wants."""

    task: Task
    data: TaskData

    @property
    def key(self) -> Key:
        """What a key says of it."""
        told = {"name": self.task.name, "version": self.task.version, "code": tasks.code(self.task.name)}
        return told | {"options": self.task.options, "data": self.data.fingerprint}


@dataclass(frozen=True)
class Plan:
    """A cell with all its parts resolved. ``data`` is its task's, ``unlearning`` that of the task with the sets.

    ``methods`` are those that work on the model, one after the other, the cell's own last.
    """

    cell: Cell
    source: Source
    device: str
    methods: tuple[Chosen, ...]
    base: BaseParams | BroughtParams
    task: Task
    data: TaskData
    data_source: str
    unlearning: TaskData
    unlearning_source: str
    sets: Sets
    base_elsewhere: Elsewhere | None = None
    """The base, if it was made elsewhere; ``base`` is then what is asked of it."""
    aimed: Aimed | None = None
    """What attacks the unlearned model, if anything does."""
    lent: tuple[Lent, ...] = ()
    """Other tasks whose questions it wants."""
    altered: Key | None = None
    """What the ``sets`` are, where samples were altered before anything is trained on them; None: the task's own."""

    @property
    def method(self) -> type[Method]:
        """The cell's method."""
        return self.methods[-1].method

    @property
    def params(self) -> Params:
        """Its parameters."""
        return self.methods[-1].params

    @cached_property
    def last(self) -> Stage:
        """The last stage, whose model is evaluated."""
        if self.aimed is None or not self.aimed.attack.changes():
            return self.unlearned
        maker = AttackMaker(self.aimed.made, self.attacked_sets, self.cell.seed)
        return Stage(ATTACKED, self.unlearned, self._attack_key(self.aimed), maker)

    @cached_property
    def attacked_sets(self) -> Sets:
        """The sets, with the questions of other tasks that an attack wants: no method is handed these."""
        further = {each.task.name: each.task.samples(each.data) for each in self.lent}
        return replace(self.sets, further={**self.sets.further, **further}) if further else self.sets

    @cached_property
    def unlearned(self) -> Stage:
        """The stage whose model the methods have made, which an attack is aimed at."""
        stage = self.base_stage if self.methods[0].method.start == BASE else None
        for name, chosen in zip((UNLEARNED, ATTACKED), self.methods, strict=False):
            stage = Stage(name, stage, self._key(chosen, stage), chosen.maker(self.sets, self.cell.seed))
        assert stage is not None  # there is always a method
        return stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What the model goes through, in order."""
        return self.last.chain

    @property
    def absorbs(self) -> bool:
        """Whether the last stage finds an adapter of the one before beside the weights (`Attack.absorbs`)."""
        return self.aimed is not None and self.aimed.attack.changes() and self.aimed.attack.absorbs

    def missing(self, store: Store) -> tuple[Stage, ...]:
        """The stages whose artefacts are still to be made."""
        return tuple(stage for stage in self.needed if not stage.is_in(store))

    @property
    def needed(self) -> tuple[Stage, ...]:
        """All stages that must be there for the cell to be evaluated, in an order in which they can be made."""
        return (*self.beside, *self.stages)

    @property
    def beside(self) -> tuple[Stage, ...]:
        """The base, where an attack looks at it and the cell's own chain does not go by it."""
        needed = self.aimed is not None and BASE in self.aimed.attack.needs
        return (self.base_stage,) if needed and self.unlearned.chain[0].name != BASE else ()

    @cached_property
    def pretrained_key(self) -> Key:
        """The pretrained model."""
        return {"version": STAGES_VERSION} | self.source.key

    @property
    def base_stage(self) -> Stage:
        """The base, whether or not the cell's own chain goes by it."""
        if isinstance(self.base, BroughtParams):
            return self._brought_base(self.base)
        key = {
            "model": self.pretrained_key,
            "data": self.unlearning.fingerprint,
            "params": self.base,
            "seed": self.cell.base_seed,
        } | self._alteration
        return Stage(BASE, None, key, Finetuning(self.base, self.sets, self.cell.base_seed))

    def _brought_base(self, asked: BroughtParams) -> Stage:
        """A base from elsewhere, looked at once for each forget set."""
        assert self.base_elsewhere is not None  # as there is something asked of it
        key = {
            "model": self.pretrained_key,
            "weights": self.base_elsewhere.digest,
            "data": self.unlearning.fingerprint,
            "forget": [sample.id for sample in self.sets.forget],
            "params": asked,
        }
        return Stage(BASE, None, key, Bringing(self.base_elsewhere, 0, self.sets.forget, asked.memorised))

    def _key(self, chosen: Chosen, start: Stage | None) -> Key:
        """What decides what a method makes of the model of the stage before."""
        return {
            "start": start.digest if start else digest(self.pretrained_key),
            "method": chosen.key,
            "params": chosen.params,
            "seed": self.cell.seed,
            "data": self.unlearning.fingerprint,
            "forget": self.sets.forgotten,
            "private": [sample.id for sample in self.sets.forget],
            "validation": sorted(clusters(self.sets.validation)),
            "held_out": sorted(clusters(self.sets.held_out)),
        } | self._alteration

    @property
    def _alteration(self) -> Key:
        """What a key says of altered samples; nothing where there are none, as in every run."""
        return {"altered": self.altered} if self.altered else {}

    def _attack_key(self, aimed: Aimed) -> Key:
        """What decides what an attack makes of the model that it is aimed at."""
        lent = {"lent": [each.key for each in self.lent]} if self.lent else {}
        beside = {"beside": [each.digest for each in self.beside]} if self.beside else {}
        return (
            lent
            | beside
            | {
                "start": self.unlearned.digest,
                "attack": aimed.key,
                "seed": self.cell.seed,
                "data": self.unlearning.fingerprint,
                "victims": [sample.id for sample in aimed.victims(self.attacked_sets)],
                "retain": sorted(clusters(self.sets.retain)),
            }
        )

    @cached_property
    def row_id(self) -> str:
        """The cell's name: the digest of all that determines its result, and of how a row tells it."""
        attack = self._attack_key(self.aimed) if self.aimed else None
        return row_id(self.unlearned.key, self.task, self.data.fingerprint, attack)


def row_id(model: Key, task: Task, data: str | None, attack: Key | None = None) -> str:
    """What a row is called of the ``model`` that a stage of this key makes, evaluated by a ``task`` on ``data``.

    ``attack`` is what an attack on it is known by.
    """
    asked = {
        "name": task.name,
        "version": task.version,
        "code": tasks.code(task.name),
        "options": task.options,
        "protocol": task.protocol,
        "data": data,
    }
    return id_of(model, asked, SCHEMA_VERSION, attack)


def id_of(model: Key, asked: Key, schema: int, attack: Key | None = None) -> str:
    """The same of a task that is told by its name, version, code, options, protocol and data."""
    key = {"schema": schema, "model": model, "task": asked}
    return digest(key | ({"attack": attack} if attack else {}))[:32]
