"""From a grid's options to the plans of its cells: all is looked up and checked before anything heavy is begun."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ...config import Cell, RunConfig, cells, default_tasks, forgetting_task, resolve
from ...contracts import Task, TaskData
from ...data.control_tokens import refuse_own
from ...data.hub import HubDataset, cache_only
from ...errors import UsageError
from ...models.files.card import ModelCard
from ...models.files.check import check, special_tokens
from ...models.files.source import card_for, folder_of, model_type, shadowed
from ...models.files.wanted import obtain
from ...registry import tasks
from ...runtime.device import DTYPES, choose
from ..artefacts import Store
from ..handed import checked_data, checked_sets
from ..keys import canonical, digest, weights_digest
from ..stages import BASE
from .brought import Brought
from .parameters import aimed, parameters
from .plans import Lent, Plan, Source

_log = logging.getLogger(__name__)


def plan(config: RunConfig, store: Store, *, dry: bool = False, told: bool = False) -> list[Plan]:
    """Resolve every cell of the grid, each once; a ``dry`` plan fetches no model and writes nothing.

    What is worth saying is said, unless it was ``told`` already, by the process that a worker plans for.

    Raises `UsageError`, `DataError` or `ModelError` for the first that cannot be. Names and values of all cells are
    checked before any data are read, and those before a model is fetched.
    """
    planner = _Planner(config, store, dry)
    choices = _obtainable([planner.choose(cell) for cell in cells(config)], config)
    if not told:
        cards = {c.card.name: c.card for c in choices}
        obtain(cards.values(), planner.brought.cards(), _on_hub(choices), fetch=not dry)
    loaded = [planner.load(choice) for choice in choices]
    plans: dict[str, Plan] = {}
    for choice, (data, unlearning) in zip(choices, loaded, strict=True):
        made = planner.plan(choice, data, unlearning)
        plans.setdefault(made.row_id, made)
    for notice in () if told else planner.notices:
        _log.warning("%s", notice)
    return list(plans.values())


def _obtainable(choices: list["_Choice"], config: RunConfig) -> list["_Choice"]:
    """Without the tasks that nobody asked for by name and whose data are not on the hub."""
    if config.tasks != default_tasks():
        return choices
    missing = {c.cell.task for c in choices if c.data_source == "hub" and c.task.hub is None}
    if missing:
        names = " and ".join(sorted(missing))
        _log.warning("%s: no dataset on the hub, left out; --data TASK=DIR brings them", names)
    return [c for c in choices if c.data_source != "hub" or c.task.hub is not None]


def _on_hub(choices: list["_Choice"]) -> dict[str, HubDataset]:
    """The datasets that come from the hub, by what `data fetch` calls them: a task, or a task and an id."""
    asked = ((c.task, c.data_source) for c in choices)
    beside = ((c.provider, c.unlearning_source) for c in choices)
    both = dict.fromkeys((*asked, *beside, *(each for c in choices for each in c.lent)))
    found = ((task.name if source == "hub" else f"{task.name} {source}", task.dataset(source)) for task, source in both)
    return {words: dataset for words, dataset in found if dataset is not None}


@dataclass(frozen=True)
class _Choice:
    """A cell's names and values, looked up and checked. ``provider`` is the task that says what is forgotten."""

    cell: Cell
    card: ModelCard
    task: Task
    provider: Task
    data_source: str
    """Where the task's data come from."""
    unlearning_source: str
    """Where the provider's do."""
    lent: tuple[tuple[Task, str], ...] = ()
    """Other tasks whose questions the attack wants, and where their data come from."""


class _Planner:
    """Resolves cells, reading every data folder and every model's files once."""

    def __init__(self, config: RunConfig, store: Store, dry: bool) -> None:
        self.config, self.store, self.dry = config, store, dry
        self.device = choose(config.device)
        self._sources: dict[str, Source] = {}
        self._data: dict[str, TaskData] = {}
        self._own_tokens: dict[str, set[str]] = {}
        self._checked: set[tuple[str, str]] = set()
        self.brought = Brought(config, self._digest, fetch=not dry)
        self.notices: dict[str, None] = {}
        """What is worth saying once the plan stands, each once."""

    def choose(self, cell: Cell) -> _Choice:
        """Look up what the cell names."""
        card = card_for(cell.model)
        if said := shadowed(cell.model):
            self.notices[said] = None
        methods, _ = parameters(cell, card, self.config)  # raises for wrong settings before anything is fetched
        attack = aimed(cell, card, methods)
        if attack and self.config.alone and BASE in attack.attack.needs:
            raise UsageError(
                f"attack {cell.attack} looks at the base too, and with --alone there is none; leave one of the two out"
            )
        task = self._task(cell.task, card, cell)
        provider = task if task.provides_sets else self._provider(card, cell)
        source = self.config.data or card.data
        unlearning_source = self._data_of(provider, source)
        return _Choice(
            cell=cell,
            card=card,
            task=task,
            provider=provider,
            data_source=self._data_of(task, source if provider is task else self._beside(source, task, card)),
            unlearning_source=unlearning_source,
            lent=tuple(self._lent(name, card, cell) for name in (attack.tasks() if attack else ())),
        )

    def _lent(self, name: str, card: ModelCard, cell: Cell) -> tuple[Task, str]:
        """A task whose questions are wanted beside, and where its data come from."""
        task = self._task(name, card, cell)
        return task, self._data_of(task, self._beside(self.config.data or card.data, task, card))

    def load(self, choice: _Choice) -> tuple[TaskData, TaskData]:
        """The data of the task and of the provider."""
        unlearning = self._load(choice.provider, choice.unlearning_source, choice.cell.forget, choice.cell.seed)
        same = choice.provider is choice.task
        return unlearning if same else self._load(choice.task, choice.data_source, None), unlearning

    def plan(self, choice: _Choice, data: TaskData, unlearning: TaskData) -> Plan:
        """The whole plan, now that the data are known to be sound."""
        source = self._source(choice.card)  # a hub's model is of a known family from here on, which has defaults too
        chosen, base = parameters(choice.cell, source.card, self.config)
        self._check_texts(source, choice.task, data)
        self._check_texts(source, choice.provider, unlearning)
        lent = tuple(Lent(task, self._load(task, where, None)) for task, where in choice.lent)
        for each in lent:
            self._check_texts(source, each.task, each.data)
        method = self.brought.method
        methods = tuple(each._replace(elsewhere=method(each.method.name, source.card)) for each in chosen)
        brought = self.brought.base(source.card)
        doubts = (each.doubt for each in (brought, *(one.elsewhere for one in methods)) if each)
        self.notices |= dict.fromkeys(filter(None, doubts))
        return Plan(
            cell=choice.cell,
            source=source,
            device=self.device,
            methods=methods,
            base=base,
            task=choice.task,
            data=data,
            data_source=choice.data_source,
            unlearning=unlearning,
            unlearning_source=choice.unlearning_source,
            sets=checked_sets(choice.provider, choice.provider.sets(unlearning)),
            base_elsewhere=brought,
            aimed=aimed(choice.cell, source.card, chosen),
            lent=lent,
        )

    def _source(self, card: ModelCard) -> Source:
        if card.name not in self._sources:
            folder, revision = folder_of(card, fetch=not self.dry)
            check(card, folder)  # raises for one that cannot be run
            known = card if card.family else card.model_copy(update={"family": model_type(folder)})
            self._sources[card.name] = Source(known, folder, revision, self._digest(folder), DTYPES[self.device])
        return self._sources[card.name]

    def _check_texts(self, source: Source, task: Task, data: TaskData) -> None:
        """Raise `DataError` for a text in which the model would not see what is written there."""
        name = source.card.name
        if name not in self._own_tokens:
            self._own_tokens[name] = special_tokens(source.folder)
        if (name, data.fingerprint) not in self._checked:
            refuse_own(self._own_tokens[name], name, task.texts(data))
            self._checked.add((name, data.fingerprint))

    def _digest(self, folder: Path) -> str:
        """The digest of a model's weights, remembered in the store unless nothing may be written there."""
        return weights_digest(folder, self.store.root / "digests", remember=not self.dry)

    def _task(self, name: str, card: ModelCard, cell: Cell) -> Task:
        kind, settings = tasks.get(name), cell.settings.get(name, {})
        if self.config.limit is not None and "limit" in kind.Options.model_fields:
            settings = {"limit": self.config.limit} | settings
        options = resolve(kind.Options, name, card.scale, settings)
        canonical(options, name)
        return kind(options)

    def _provider(self, card: ModelCard, cell: Cell) -> Task:
        """The first task that says what is forgotten, of the run's own or else of those that run by default."""
        own = (name for name in self.config.tasks if tasks.get(name).provides_sets)
        return self._task(next(own, None) or forgetting_task(), card, cell)

    def _data_of(self, task: Task, otherwise: str) -> str:
        """Where the command says that this task's data are."""
        return self.config.data_of.get(task.name, otherwise)

    def _beside(self, data_source: str, task: Task, card: ModelCard) -> str:
        """A task's own data: in the ``--data`` folder if that has a part for it, else the model's default source."""
        if data_source in ("embedded", "hub") or task.name in self.config.data_of or task.is_in(Path(data_source)):
            return data_source
        self.notices[f"{data_source} has no folder {task.name}: its data are the model's own, {card.data}"] = None
        return card.data

    def _load(self, task: Task, data_source: str, forget: int | str | None, seed: int = 0) -> TaskData:
        key = digest([task.name, task.options, data_source, forget, seed])
        if key not in self._data:
            with cache_only() if self.dry else nullcontext():
                self._data[key] = checked_data(task, task.load(data_source, forget, seed))
            self.notices |= dict.fromkeys(getattr(self._data[key], "notices", ()))
        return self._data[key]
