"""A cell with all its parts resolved: what its stages are made from, and the keys of all that determines them."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ...config import Cell
from ...contracts import Method, Params, Task, TaskData
from ...contracts.sample import Sets, clusters
from ...models.files.card import ModelCard
from ...models.files.elsewhere import Elsewhere
from ...registry import families, methods, tasks
from ...results.row import SCHEMA_VERSION
from ...runtime.atomic import sha256_of
from ...training.params import BaseParams, BroughtParams
from ..artefacts import Store
from ..keys import digest
from ..stages import ATTACKED, BASE, UNLEARNED, Bringing, Finetuning, Key, Maker, MethodMaker, Stage

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
        stage = self._base if self.methods[0].method.start == BASE else None
        for name, chosen in zip((UNLEARNED, ATTACKED), self.methods, strict=False):
            stage = Stage(name, stage, self._key(chosen, stage), chosen.maker(self.sets, self.cell.seed))
        assert stage is not None  # there is always a method
        return stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What the model goes through, in order."""
        return self.last.chain

    def missing(self, store: Store) -> tuple[Stage, ...]:
        """The stages whose artefacts are still to be made."""
        return tuple(stage for stage in self.stages if not stage.is_in(store))

    @cached_property
    def pretrained_key(self) -> Key:
        """The pretrained model."""
        return {"version": STAGES_VERSION} | self.source.key

    @property
    def _base(self) -> Stage:
        if isinstance(self.base, BroughtParams):
            return self._brought_base(self.base)
        key = {
            "model": self.pretrained_key,
            "data": self.unlearning.fingerprint,
            "params": self.base,
            "seed": self.cell.base_seed,
        }
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
        }

    @cached_property
    def row_id(self) -> str:
        """The cell's name: the digest of all that determines its result, and of how a row tells it."""
        return row_id(self.last.key, self.task, self.data.fingerprint)


def row_id(model: Key, task: Task, data: str | None) -> str:
    """What a row is called of the ``model`` that a stage of this key makes, evaluated by a ``task`` on ``data``."""
    asked = {
        "name": task.name,
        "version": task.version,
        "code": tasks.code(task.name),
        "options": task.options,
        "protocol": task.protocol,
        "data": data,
    }
    return id_of(model, asked, SCHEMA_VERSION)


def id_of(model: Key, asked: Key, schema: int) -> str:
    """The same of a task that is told by its name, version, code, options, protocol and data."""
    return digest({"schema": schema, "model": model, "task": asked})[:32]
