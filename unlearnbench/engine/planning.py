"""From cells to plans: everything that determines a cell's result, hashed, before anything heavy is imported.

A cell runs through stages, pretrained -> base -> unlearned -> evaluated. The key of each holds the key of the one
before, so that equal work is recognised wherever it recurs.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import BASE, Cell, RunConfig, cells, resolve
from ..contracts import Method, Params, Task
from ..data.questions import Sets
from ..device import DTYPES, choose
from ..errors import UsageError
from ..models.card import ModelCard
from ..models.source import card_for, folder_of
from ..registry import methods, tasks
from ..training.base_params import BaseParams
from .artefacts import Store
from .keys import digest, weights_digest

Key = dict[str, Any]

STAGES_VERSION = 1
"""Raised when a stage computes something else than before from the same key."""


@dataclass(frozen=True)
class Source:
    """A model's files and what is known of them."""

    card: ModelCard
    folder: Path
    revision: str | None
    digest: str
    dtype: str

    @property
    def key(self) -> Key:
        """What the pretrained model's behaviour depends on."""
        texts = sorted(path for path in self.folder.iterdir() if path.suffix in {".json", ".jinja", ".txt"})
        return {
            "weights": self.digest,
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in texts},
            "pixels": [self.card.min_pixels, self.card.max_pixels],
            "dtype": self.dtype,
        }


@dataclass(frozen=True)
class Plan:
    """A cell with all its parts resolved. ``data`` is the task's, ``unlearning`` that of the task with the forget set."""

    cell: Cell
    source: Source
    device: str
    method: type[Method]
    params: Params
    base: BaseParams
    task: Task
    data: Any
    data_source: str
    unlearning: Any
    sets: Sets

    @cached_property
    def pretrained_key(self) -> Key:
        """The pretrained model."""
        return {"version": STAGES_VERSION} | self.source.key

    @cached_property
    def base_key(self) -> Key:
        """The base model: finetuned on all pairs of the data, whoever is forgotten later."""
        return {
            "model": self.pretrained_key,
            "data": self.unlearning.fingerprint,
            "params": self.base,
            "seed": self.cell.base_seed,
        }

    @cached_property
    def start_key(self) -> Key:
        """The model that the method receives."""
        return self.base_key if self.method.start == "base" else self.pretrained_key

    @cached_property
    def unlearned_key(self) -> Key:
        """What the method makes of it."""
        return {
            "start": digest(self.start_key),
            "method": {"name": self.cell.method, "version": self.method.version, "code": self._code},
            "params": self.params,
            "seed": self.cell.seed,
            "data": self.unlearning.fingerprint,
            "forget": self.sets.forget_ids,
            "private": [sample.id for sample in self.sets.forget],
        }

    @cached_property
    def row_id(self) -> str:
        """The cell's name: the digest of all that determines its result."""
        task = {
            "name": self.cell.task,
            "version": self.task.version,
            "options": self.task.options,
            "data": self.data.fingerprint,
        }
        return digest({"model": self.unlearned_key, "task": task})[:32]

    @property
    def _code(self) -> str | None:
        """The digest of a single-file plug-in, whose version nobody raises; packages are known by their version."""
        origin = Path(methods.origin(self.cell.method))
        return hashlib.sha256(origin.read_bytes()).hexdigest() if origin.suffix == ".py" and origin.is_file() else None


def plan(config: RunConfig, store: Store) -> list[Plan]:
    """Resolve every cell of the grid; raises `UsageError`, `DataError` or `ModelError` for the first that cannot be."""
    return list(_Planner(config, store).plans())


class _Planner:
    """Resolves cells, reading every data folder and every model's files once."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self.config, self.store = config, store
        self.device = choose(config.device)
        self._sources: dict[str, Source] = {}
        self._data: dict[str, Any] = {}

    def plans(self) -> list[Plan]:
        grid = cells(self.config)
        for name in self.config.methods:
            methods.get(name)
        return [self._plan(cell) for cell in grid]

    def _plan(self, cell: Cell) -> Plan:
        source = self._source(cell.model)
        scale, kind = source.card.scale, methods.get(cell.method)
        task = self._task(cell.task, scale, cell)
        provider = task if task.provides_sets else self._provider(scale, cell)
        data_source = self.config.data or source.card.data
        unlearning = self._load(provider, data_source, cell.forget)
        data = unlearning if provider is task else self._load(task, self._beside(data_source, task, source), None)
        return Plan(
            cell=cell,
            source=source,
            device=self.device,
            method=kind,
            params=resolve(kind.Params, cell.method, scale, cell.settings.get(cell.method, {})),
            base=resolve(BaseParams, BASE, scale, cell.settings.get(BASE, {})),
            task=task,
            data=data,
            data_source=data_source if provider is task else self._beside(data_source, task, source),
            unlearning=unlearning,
            sets=provider.sets(unlearning),
        )

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            card = card_for(name)
            folder, revision = folder_of(card)
            digest_of_weights = weights_digest(folder, self.store.root / "digests")
            self._sources[name] = Source(card, folder, revision, digest_of_weights, DTYPES[self.device])
        return self._sources[name]

    def _task(self, name: str, scale: str, cell: Cell) -> Task:
        kind = tasks.get(name)
        return kind(resolve(kind.Options, name, scale, cell.settings.get(name, {})))

    def _provider(self, scale: str, cell: Cell) -> Task:
        """The task that says what is forgotten: the run's own that does, else FIUBench's place in the registry."""
        for name in (*self.config.tasks, *tasks.names()):
            if tasks.get(name).provides_sets:
                return self._task(name, scale, cell)
        raise UsageError("no task says what is to be forgotten; add one that does: unlearnbench list tasks")

    def _beside(self, data_source: str, task: Task, source: Source) -> str:
        """A task's own data: in the ``--data`` folder if that has a part for it, else the model's default source."""
        own = data_source in ("embedded", "hub") or (Path(data_source) / task.name).is_dir()
        return data_source if own else source.card.data

    def _load(self, task: Task, data_source: str, forget: int | str | None) -> Any:
        key = digest([task.name, task.options, data_source, forget])
        if key not in self._data:
            self._data[key] = task.load(data_source, forget)
        return self._data[key]

