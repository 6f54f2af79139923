"""What a run is made of: its options, checked at the door, and the cells that they span."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .contracts import Continued, Params
from .errors import PluginError, UsageError
from .registry import BASE as BASE
from .registry import did_you_mean, methods, tasks

P = TypeVar("P", bound=Params)

_log = logging.getLogger(__name__)

FULL = "full"
"""What ``--set METHOD.variant=full`` calls the method as it is, beside its named variants."""

VARIANT = "variant"
"""The parameter that every class with named variants has besides its own."""

Settings = dict[str, dict[str, Any]]
"""Owner (a method, a task or `BASE`) to parameter to value."""


def default_tasks(*, tell: bool = False) -> tuple[str, ...]:
    """The tasks of a run that names none: those that say so themselves (`Task.by_default`).

    One that cannot be imported is left out, as no run that does not name it should end for it; a warning may ``tell``.
    """
    found = []
    for name in tasks.names():
        try:
            if tasks.get(name).by_default:
                found.append(name)
        except PluginError as error:
            if tell:
                _log.warning("left out: %s", error)
    return tuple(found)


def forgetting_task() -> str:
    """The first of these that says what is to be forgotten; raises `UsageError` where none does."""
    if name := next((name for name in default_tasks() if tasks.get(name).provides_sets), None):
        return name
    raise UsageError("no task that runs by default has a forget set: name one with --task; see unlearnbench list tasks")


class RunConfig(BaseModel):
    """A grid: every method with every model, task, seed, forget set and combination of settings.

    With attacks, every unlearned model is attacked by each of them, beside being evaluated as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(default_factory=lambda: default_tasks(tell=True))
    attacks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    base_seed: int | None = None
    forget: tuple[int | str | None, ...] = (None,)
    data: str | None = None
    data_of: dict[str, str] = Field(default_factory=dict)
    """Where single tasks' data are, before ``data``."""
    limit: int | None = Field(None, ge=1)
    """How many questions the tasks ask that can ask fewer: those with an option ``limit``."""
    settings: dict[str, dict[str, tuple[Any, ...]]] = Field(default_factory=dict)
    of_model: dict[str, dict[str, dict[str, tuple[Any, ...]]]] = Field(default_factory=dict)
    """Further settings of single models, by their names: what memory made of a grid."""
    base_model: str | None = None
    """A base that was made elsewhere, ``MODEL[@ADAPTER]``; none: it is finetuned here."""
    evaluated: dict[str, str] = Field(default_factory=dict)
    """Methods whose models were made elsewhere, ``MODEL[@ADAPTER]`` by the name in the grid."""
    alone: bool = False
    """Whether those are evaluated without the base that they were made from."""
    device: str | None = None
    exact: bool = False
    """Whether models are asked the plain way, each prompt read from its start; the maths is the same."""

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose parameters may be set."""
        return (*self.methods, *self.attacks, *self.tasks, BASE)


class Cell(BaseModel):
    """One point of the grid. ``settings`` holds what the command set of its method, of the base and of all tasks.

    Those of the other tasks count too: one of them may say what is to be forgotten. So do those of the method that its
    own goes on from, if it does.
    """

    model_config = ConfigDict(frozen=True)

    method: str
    model: str
    task: str
    seed: int
    base_seed: int
    forget: int | str | None
    settings: Settings
    exact: bool = False
    attack: str | None = None
    """What attacks the unlearned model; None where it is evaluated as it is."""

    @property
    def typed(self) -> str:
        """What the command set, as it would be typed."""
        return " ".join(
            f"{owner}.{name}={value}" for owner, own in self.settings.items() for name, value in own.items()
        )


def cells(config: RunConfig) -> list[Cell]:
    """The grid in the order in which work is best shared: tasks of one unlearned model stand together."""
    owners = dict.fromkeys((*config.owners, *all_methods(config)))
    for owner in config.settings:
        if owner not in owners:
            raise UsageError(
                f"--set {owner}.…: {owner!r} is not part of this run; {did_you_mean(owner, owners)}"
                f"choose one of: {', '.join(owners)}"
            )
    return [cell for model in config.models for cell in _cells_of(model, _for_model(config, model))]


def _for_model(config: RunConfig, model: str) -> RunConfig:
    """The grid with the settings that are this model's alone."""
    further = config.of_model.get(model, {})
    settings = {owner: config.settings.get(owner, {}) | further.get(owner, {}) for owner in config.settings | further}
    return config.model_copy(update={"settings": settings}) if further else config


def _cells_of(model: str, config: RunConfig) -> list[Cell]:
    """A model's cells, with settings that are its own."""
    grid = product(config.seeds, config.forget, _variants(config, (BASE,)), config.methods)
    return [
        Cell(
            method=method,
            model=model,
            task=task,
            seed=seed,
            base_seed=_base_seed(config, seed),
            forget=forget,
            settings=base | before | own | attacking | asked,
            exact=config.exact,
            attack=attack,
        )
        for seed, forget, base, method in grid
        for own in _variants(config, (method,))
        for before in _variants(config, continued(method, own))
        for attack, attacking in _attacks(config)
        for asked in _variants(config, config.tasks)
        for task in (config.tasks if attack is None else attacked_tasks(config))
    ]


def _attacks(config: RunConfig) -> Iterator[tuple[str | None, Settings]]:
    """No attack, then every attack in each of its settings."""
    yield None, {}
    for attack in config.attacks:
        for own in _variants(config, (attack,)):
            yield attack, own


def attacked_tasks(config: RunConfig) -> tuple[str, ...]:
    """The tasks on which attacks are aimed; raises `UsageError` where an attack is asked for and there is none."""
    found = tuple(name for name in config.tasks if tasks.get(name).can_be_attacked())
    if config.attacks and not found:
        able = [name for name in tasks.names() if tasks.get(name).can_be_attacked()]
        raise UsageError(
            f"--attack {config.attacks[0]}: none of the tasks {', '.join(config.tasks)} can be attacked; add one that "
            f"can: {', '.join(able)}"
        )
    return found


def _base_seed(config: RunConfig, seed: int) -> int:
    """The seed of the base's training; all seeds share a base that was made elsewhere, with a seed that nobody told."""
    if config.base_seed is not None:
        return config.base_seed
    return seed if config.base_model is None else 0


def with_references(config: RunConfig) -> RunConfig:
    """The grid with the references that attacks are measured by, first, as these must be attacked alike."""
    if not config.attacks or config.alone:
        return config
    return config.model_copy(update={"methods": tuple(dict.fromkeys((*references(), *config.methods)))})


def references() -> tuple[str, ...]:
    """The references that a leaderboard measures by: what does nothing, and what never saw the forget set.

    One that cannot be imported is left out.
    """
    found = []
    for name in methods.names():
        with suppress(PluginError):
            kind = methods.get(name)
            if kind.role == "reference" and (kind.nothing or kind.ideal):
                found.append((kind.ideal, name))
    return tuple(name for _, name in sorted(found))


def all_methods(config: RunConfig) -> tuple[str, ...]:
    """The run's methods, and those that they go on with."""
    found = dict.fromkeys(config.methods)
    for method in config.methods:
        for own in _variants(config, (method,)):
            found |= dict.fromkeys(continued(method, own))
    return tuple(found)


def continued(method: str, settings: Settings) -> tuple[str, ...]:
    """The method that this one goes on with, as set for it; none for one that starts by itself."""
    kind = methods.get(method).Params if method in methods else Params
    if not issubclass(kind, Continued):
        return ()
    other = resolve(kind, method, "", settings.get(method, {})).method
    return (other,) if other else ()


def _variants(config: RunConfig, owners: Iterable[str]) -> Iterator[Settings]:
    """Every combination of the values set for ``owners``."""
    places = [(owner, name) for owner in owners for name in config.settings.get(owner, {})]
    for values in product(*(config.settings[owner][name] for owner, name in places)):
        settings: Settings = {}
        for (owner, name), value in zip(places, values, strict=True):
            settings.setdefault(owner, {})[name] = value
        yield settings


def resolve(kind: type[P], owner: str, scale: str, settings: Mapping[str, Any], family: str = "") -> P:
    """Parameters from a class's defaults, its preset for the model, and what was set; raises `UsageError`.

    A dotted name, ``lora.rank``, sets a field of a parameter that is a model itself and leaves its others alone.
    ``variant`` sets the parameters of that named variant, if the class has any; what is set beside it prevails.
    """
    settings = dict(settings)
    if has_variants(kind) and VARIANT in settings:
        settings = _variant(kind, owner, settings.pop(VARIANT)) | settings
    values: dict[str, Any] = {}
    for name, value in [*kind.preset(scale, family).items(), *settings.items()]:
        field, _, inner = name.partition(".")
        if inner:
            default = kind.model_fields[field].default if field in kind.model_fields else {}
            value = _with(values.get(field, default), inner, value)
        values[field] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        name = max((name for name in settings if f"{place}.".startswith(f"{name}.")), key=len, default=place)
        known = [*_names(kind), *([VARIANT] if has_variants(kind) else ())]
        if fault["type"] == "extra_forbidden":
            raise UsageError(
                f"--set {owner}.{name}: {owner} has no such parameter; {did_you_mean(name, known)}"
                f"it has: {', '.join(known) or 'none'}"
            ) from None
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] in _LISTS:
            example = json.dumps([str(fault["input"]).strip("[]() ")])
            said = f"it is a list: write it as JSON, --set '{owner}.{name}={example}'"
        described = "its parameters: " + ", ".join(known) if owner == BASE else f"see unlearnbench show {owner}"
        raise UsageError(f"--set {owner}.{name}={fault['input']}: {said}; {described}") from None


_LISTS = ("tuple_type", "list_type", "set_type", "frozen_set_type")
"""How pydantic calls what should have been a list and is none."""


def has_variants(kind: type[Params]) -> bool:
    """Whether ``variant`` names settings of ``kind``, and is no parameter of its own."""
    return bool(kind.variants) and VARIANT not in kind.model_fields


def variants_of(kind: type[Params]) -> dict[str, dict[str, Any]]:
    """What ``variant`` may be, and what each sets; `FULL` is the class as it is unless it says otherwise."""
    return {FULL: {}} | kind.variants if has_variants(kind) else {}


def _variant(kind: type[Params], owner: str, name: Any) -> dict[str, Any]:
    known = variants_of(kind)
    if not isinstance(name, str) or name not in known:
        raise UsageError(
            f"--set {owner}.variant={name}: {owner} has no such variant; {did_you_mean(str(name), known)}"
            f"it has: {', '.join(known)}"
        )
    return known[name]


def _with(old: Any, name: str, value: Any) -> dict[str, Any]:
    """The fields of ``old``, a model or a mapping, with the one of that dotted ``name`` changed."""
    fields = dict(old) if isinstance(old, BaseModel | Mapping) else {}
    field, _, inner = name.partition(".")
    return fields | {field: _with(fields.get(field), inner, value) if inner else value}


def _names(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The parameters of ``kind``; those of a nested model have dotted names."""
    for name, field in kind.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _names(type(field.default), f"{prefix}{name}.")
        else:
            yield prefix + name


def parse_settings(texts: Iterable[str], owners: Sequence[str]) -> dict[str, dict[str, tuple[Any, ...]]]:
    """``OWNER.PARAM=V1,V2`` to values; each is JSON where it parses as such, text otherwise.

    OWNER is one of ``owners`` if any fits, as both it and PARAM may have dots. Values of one parameter add up.
    """
    settings: dict[str, dict[str, tuple[Any, ...]]] = {}
    for text in texts:
        place, equals, values = text.partition("=")
        fitting = [owner for owner in owners if place.startswith(f"{owner}.")]
        owner = max(fitting, key=len, default=place.partition(".")[0])
        name = place[len(owner) + 1 :]
        if not (equals and owner and name and values):
            raise UsageError(f"--set {text}: write OWNER.PARAM=VALUE, for instance --set base.epochs=10,20")
        known = settings.setdefault(owner, {})
        known[name] = (*known.get(name, ()), *map(_value, split_list(values)))
    return settings


def split_list(text: str) -> list[str]:
    """Split at commas, but not within lists, objects and strings of JSON."""
    parts, comma = list[str](), -1
    while comma < len(text):
        start = comma + 1
        comma = text.find(",", _end_of_json(text, start + len(text[start:]) - len(text[start:].lstrip())))
        comma = len(text) if comma < 0 else comma
        parts.append(text[start:comma].strip())
    return parts


def _end_of_json(text: str, start: int) -> int:
    """Where the JSON value that starts at ``start`` ends; ``start`` if there is none."""
    try:
        return json.JSONDecoder().raw_decode(text, start)[1]
    except ValueError:
        return start


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text


def _no_number(word: str) -> NoReturn:
    """NaN and the infinities are not JSON."""
    raise ValueError(word)
