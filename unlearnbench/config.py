"""What a run is made of: its options, checked at the door, and the cells that they span."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .contracts import Params
from .errors import UsageError
from .registry import did_you_mean

P = TypeVar("P", bound=Params)

BASE = "base"
"""What ``--set base.PARAM=VALUE`` addresses: the finetuning that makes the base model."""

Settings = dict[str, dict[str, Any]]
"""Owner (a method, a task or `BASE`) to parameter to value."""


class RunConfig(BaseModel):
    """A grid: every method with every model, task, seed, forget set and combination of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = ("fiubench", "mme", "pope")
    seeds: tuple[int, ...] = (0,)
    base_seed: int | None = None
    forget: tuple[int | str | None, ...] = (None,)
    data: str | None = None
    settings: dict[str, dict[str, tuple[Any, ...]]] = Field(default_factory=dict)
    device: str | None = None


class Cell(BaseModel):
    """One point of the grid. ``settings`` holds what the command set, one value a parameter."""

    model_config = ConfigDict(frozen=True)

    method: str
    model: str
    task: str
    seed: int
    base_seed: int
    forget: int | str | None
    settings: Settings


def cells(config: RunConfig) -> list[Cell]:
    """The grid in the order in which work is best shared: tasks of one unlearned model stand together."""
    owners = (*config.methods, *config.tasks, BASE)
    for owner in config.settings:
        if owner not in owners:
            raise UsageError(
                f"--set {owner}.…: {owner!r} is not part of this run; {did_you_mean(owner, owners)}"
                f"choose one of: {', '.join(owners)}"
            )
    grid = product(config.models, config.seeds, config.forget, _variants(config, (BASE,)), config.methods)
    return [
        Cell(
            method=method,
            model=model,
            task=task,
            seed=seed,
            base_seed=seed if config.base_seed is None else config.base_seed,
            forget=forget,
            settings=base | own | asked,
        )
        for model, seed, forget, base, method in grid
        for own in _variants(config, (method,))
        for task in config.tasks
        for asked in _variants(config, (task,))
    ]


def _variants(config: RunConfig, owners: Iterable[str]) -> Iterator[Settings]:
    """Every combination of the values set for ``owners``."""
    places = [(owner, name) for owner in owners for name in config.settings.get(owner, {})]
    for values in product(*(config.settings[owner][name] for owner, name in places)):
        settings: Settings = {}
        for (owner, name), value in zip(places, values, strict=True):
            settings.setdefault(owner, {})[name] = value
        yield settings


def resolve(kind: type[P], owner: str, scale: str, settings: Mapping[str, Any]) -> P:
    """Parameters from a class's defaults, its preset for the model's scale, and what was set; raises `UsageError`."""
    try:
        return kind.model_validate({**kind.presets.get(scale, {}), **settings})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = ".".join(map(str, fault["loc"][:1]))
        if fault["type"] == "extra_forbidden":
            known = list(kind.model_fields)
            raise UsageError(
                f"--set {owner}.{name}: {owner} has no such parameter; {did_you_mean(name, known)}"
                f"it has: {', '.join(known) or 'none'}"
            ) from None
        raise UsageError(f"--set {owner}.{name}={fault['input']}: {fault['msg']}; see unlearnbench show {owner}") from None


def parse_settings(texts: Sequence[str]) -> dict[str, dict[str, tuple[Any, ...]]]:
    """``OWNER.PARAM=V1,V2`` to values; each is JSON where it parses as such, text otherwise."""
    settings: dict[str, dict[str, tuple[Any, ...]]] = {}
    for text in texts:
        place, equals, values = text.partition("=")
        owner, dot, name = place.rpartition(".")
        if not (equals and dot and owner and name and values):
            raise UsageError(f"--set {text}: write OWNER.PARAM=VALUE, for instance --set cagul.k=4,8")
        settings.setdefault(owner, {})[name] = tuple(_value(part) for part in split_list(values))
    return settings


def split_list(text: str) -> list[str]:
    """Split at commas that stand outside of brackets and quotes."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def folder(path: Path | None, fallback: Path) -> Path:
    """``path`` with ``~`` expanded, or ``fallback``."""
    return fallback if path is None else path.expanduser()
