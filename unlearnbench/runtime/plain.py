"""Whatever a plug-in noted, as JSON has it: nothing that was computed is thrown away for the type of a note."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

MANY = 10_000
"""Numbers in an array beyond which its shape is kept in their place."""

DEEP = 50
"""Levels beyond which something is taken for a part of itself."""


class Plain:
    """Turns values into JSON's types; ``lost`` names those of which only a description is kept."""

    def __init__(self) -> None:
        self.lost: list[str] = []

    def __call__(self, value: Any, name: str, depth: int = 0) -> Any:
        """``value``, called ``name``; of numbers that are not finite JSON has none, so they become null."""
        if type(value) is str and value.isascii():
            return value
        if isinstance(value, Enum):
            value = value.value
        match value:
            case None | bool():
                return value
            case int():
                return int(value)
            case float():
                return float(value) if math.isfinite(value) else None
            case str():
                return utf8(value)
            case PurePath() | date() | timedelta():
                return utf8(str(value))
            case bytes() | bytearray():
                return self._described(value, name)
        if depth > DEEP:
            return self._described(value, name)
        if hasattr(value, "tolist") and hasattr(value, "shape"):  # NumPy's and torch's arrays and scalars
            return self._array(value, name, depth)
        if isinstance(value, BaseModel):
            value = dict(value)
        elif is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in fields(value)}
        if isinstance(value, Mapping):
            texts = {key: utf8(key if isinstance(key, str) else str(key)) for key in value}
            return {text: self(value[key], f"{name}.{text}", depth + 1) for key, text in texts.items()}
        if isinstance(value, (set, frozenset)):
            value = sorted(value, key=repr)
        if type(value) is list and set(map(type, value)) <= {float, int}:
            return value  # so are most numbers there are; those that are not finite become null when they are written
        if isinstance(value, Collection):
            return [self(each, f"{name}[{place}]", depth + 1) for place, each in enumerate(value)]
        return self._described(value, name)

    def _array(self, value: Any, name: str, depth: int) -> Any:
        if math.prod(value.shape) > MANY:
            self.lost.append(name)
            return f"{type(value).__name__} of shape {list(value.shape)}"
        try:
            numbers = value.tolist()
        except Exception:  # one without numbers, or of a kind that has no list
            return self._described(value, name)
        return self(numbers, name, depth + 1)

    def _described(self, value: Any, name: str) -> str:
        self.lost.append(name)
        try:
            text = repr(value)
        except Exception:  # it is a plug-in's
            text = ""
        return utf8(text if 0 < len(text) <= 200 else f"a {type(value).__name__}")


def utf8(text: str) -> str:
    """Text that UTF-8 can hold: file names and arguments may carry bytes that it cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
