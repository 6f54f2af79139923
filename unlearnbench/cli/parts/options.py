"""Options that are declared once: a command takes a dataclass of them, and its users the options themselves."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def spread(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Let a command be called with every field of the dataclasses among its parameters, each an option of its own.

    Those ``without`` which it goes are no options, and None: the command fills them in.
    """
    own = list(inspect.signature(command).parameters.values())
    groups: dict[str, Any] = {each.name: each.annotation for each in own if is_dataclass(each.annotation)}
    names = {name: [field.name for field in fields(kind) if field.name not in without] for name, kind in groups.items()}

    @wraps(command)
    def taking(**given: Any) -> None:
        made = {
            name: kind(**_left_out(kind, without), **{field: given.pop(field) for field in names[name]})
            for name, kind in groups.items()
        }
        command(**made, **given)

    options = [
        option
        for each in own
        for option in (_options(groups[each.name]) if each.name in groups else [each])
        if option.name not in without
    ]
    taking.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    taking.__annotations__ = {option.name: option.annotation for option in options}
    return taking


def _left_out(kind: Any, without: Collection[str]) -> dict[str, None]:
    """The fields that are no options."""
    return {field.name: None for field in fields(kind) if field.name in without}


def _options(kind: Any) -> list[inspect.Parameter]:
    """The fields of a dataclass as parameters."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=_default(field), annotation=hints[field.name]
        )
        for field in fields(kind)
    ]


def _default(field: "Field[Any]") -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default
