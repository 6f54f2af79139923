"""``unlearnbench show``: whatever `list` names: a plug-in's origin, reference and parameters, a leaderboard's rules."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from ..errors import UsageError
from ..registry import BASE, REGISTRIES, did_you_mean, load_plugin
from .parts.completing import LEADERBOARDS, kind_names, kinds, known, names
from .parts.summaries import what_it_needs

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..contracts import Params

_PARAMETERS = {"methods": "Params", "attacks": "Params", "tasks": "Options"}
"""The nested class that holds a kind's parameters."""

_FACTS = {
    "methods": ("start", "role", "frozen_weights"),
    "attacks": ("access", "needs"),
    "tasks": ("by_default", "provides_sets", "metric_sets"),
    "families": ("any_size", "layered", "shares_prefixes", "static_cache", "packs"),
    "metrics": ("requires",),
}
"""Further class attributes worth showing."""


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A method, attack, task, model, family, metric, leaderboard, or 'base'.", autocompletion=names()
        ),
    ],
    kind: Annotated[
        str | None, typer.Option(help="Which kind, where several share the name.", autocompletion=kind_names)
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.py", help="A file with plug-ins; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what 'list' names: a plug-in's origin, reference, parameters and defaults; a leaderboard's rules."""
    for file in plugin or ():
        load_plugin(file)
    found = _base() if (name, kind) == (BASE, None) else _found(name, kind)
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        _print(found)


def _found(name: str, kind: str | None) -> dict[str, Any]:
    of = _kind_of(name, kind)
    return _board(name) if of == LEADERBOARDS else _describe(of, name)


def _base() -> dict[str, Any]:
    """The base's parameters, which `--set` calls by its name as a method's; and those of one from elsewhere."""
    from ..config import variants_of
    from ..training.params import BaseParams, BroughtParams

    own = [*_parameters(BaseParams, _presets(BaseParams))]
    brought = [*_parameters(BroughtParams, _presets(BroughtParams))]
    return {
        "name": BASE,
        "kind": "stage",
        "description": inspect.cleandoc(BaseParams.__doc__ or ""),
        "parameters": [
            *own,
            *(each | {"description": f"with --base-model: {each['description']}"} for each in brought),
        ],
        "variants": variants_of(BaseParams),
        "n_trials_tuned": BaseParams.trials,
    }


def _kind_of(name: str, wanted: str | None) -> str:
    """The kind of thing that ``name`` is; raises `UsageError` unless there is exactly one."""
    fitting = [kind for kind in kinds() if wanted in (None, kind) and name in known(kind)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{name!r} is the name of several plug-ins; add --kind {' or --kind '.join(fitting)}")
    everything = {BASE, *(each for kind in kinds() for each in known(kind))}
    where = f"among the {wanted}" if wanted else "of any kind"
    raise UsageError(f"no plug-in {name!r} {where}; {did_you_mean(name, everything)}see unlearnbench list")


def _board(name: str) -> dict[str, Any]:
    """What a leaderboard asks of rows, and what it ranks by."""
    from ..leaderboard.definition import find

    board = find(name)
    rules, ranking = board.definition, board.definition.ranking
    references = rules.references
    return {
        "name": name,
        "kind": "leaderboard",
        "origin": str(board.folder),
        "title": rules.title,
        "description": " ".join(rules.about.split()),
        "models": ", ".join(rules.models),
        "tasks": ", ".join(rules.tasks),
        "seeds": ", ".join(map(str, rules.seeds)),
        "references": ", ".join((references.nothing, references.ideal, *references.also)),
        "ranked_by": {level: ", ".join(metrics) for level, metrics in ranking.levels.items()},
        "conditions": ", ".join(ranking.conditions),
        "submissions": len(board.submissions),
    }


def _describe(kind: str, name: str) -> dict[str, Any]:
    registry = REGISTRIES[kind]
    target = registry.get(name)
    found: dict[str, Any] = {"name": name, "kind": registry.one, "origin": registry.origin(name)}
    if kind == "models":
        needs = what_it_needs(target.source, target.parameters)
        return {**found, **target.model_dump(mode="json")} | ({"needs": needs} if needs else {})
    for attribute in ("version", "reference", *_FACTS[kind]):
        if hasattr(target, attribute):
            found[attribute] = getattr(target, attribute)
    if kind == "tasks" and target.Prediction:
        fields, required = get_type_hints(target.Prediction), target.Prediction.__required_keys__
        found["predictions"] = ", ".join(name for name in fields if name in required)
        if more := [name for name in fields if name not in required]:
            found["predictions_may_have"] = ", ".join(more)
    found["description"] = inspect.cleandoc(target.__doc__ or "")
    if kind in _PARAMETERS:
        from ..config import variants_of

        parameters = getattr(target, _PARAMETERS[kind])
        found["parameters"] = [*_parameters(parameters, _presets(parameters))]
        found["variants"] = variants_of(parameters)
        found["n_trials_tuned"] = parameters.trials
    return found


def _presets(parameters: "type[Params]") -> dict[str, dict[str, Any]]:
    """What differs by scale, base classes included, and what differs beside that for a family of a scale."""
    from ..models.files.card import Scale

    found = {scale: parameters.preset(scale) for scale in get_args(Scale)}
    kinds = (key for kind in parameters.__mro__ for key in vars(kind).get("presets", {}) if "/" in key)
    for key in sorted({*kinds}):
        scale, _, family = key.partition("/")
        found[key] = {
            name: value
            for name, value in parameters.preset(scale, family).items()
            if found[scale].get(name, parameters) != value
        }
    return found


def _parameters(
    model: "type[BaseModel]", scales: dict[str, dict[str, Any]], prefix: str = "", given: "BaseModel | None" = None
) -> Iterator[dict[str, Any]]:
    """Name, type, default, presets by scale and description of every field; those of a nested model have dotted names.

    The defaults of a nested model are those of ``given``, the instance that is the outer field's default.
    """
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        default = getattr(given, name) if given else field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from _parameters(type(default), scales, f"{prefix}{name}.", default)
            continue
        presets = {scale: values[prefix + name] for scale, values in scales.items() if prefix + name in values}
        yield {
            "name": prefix + name,
            "type": _type(field.annotation),
            "default": None if field.is_required() and not given else _plain(default),
            "presets": {scale: _plain(value) for scale, value in presets.items()},
            "description": field.description or "",
        }


def _type(annotation: Any) -> str:
    """An annotation as one would say it: alternatives with bars, classes without their modules."""
    if get_origin(annotation) is Literal:
        return " | ".join(json.dumps(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(_type(choice) for choice in get_args(annotation))
    return re.sub(r"(\w+\.)+", "", inspect.formatannotation(annotation)).replace("NoneType", "None")


def _plain(value: Any) -> Any:
    """``value`` as JSON has it; sets in alphabetical order."""
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(value, fallback=str)
    return sorted(plain) if isinstance(value, (set, frozenset)) else plain


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    for key, value in found.items():
        if key != "parameters" and value not in ("", None, {}):
            facts.add_row(key, Text(value if isinstance(value, str) else json.dumps(value)))
    console.print(facts)
    if not found.get("parameters"):
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("parameter", no_wrap=True)
    for column in ("type", "default", "description"):
        table.add_column(column, overflow="fold")
    for field in found["parameters"]:
        presets = [f"{json.dumps(value)} ({scale} models)" for scale, value in field["presets"].items()]
        default = "\n".join([json.dumps(field["default"]), *presets])
        table.add_row(*(Text(cell) for cell in (field["name"], field["type"], default, field["description"])))
    console.print()
    console.print(table)
