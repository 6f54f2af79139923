"""What artefacts and cells are named by: canonical JSON of all that determines them, and digests of weights."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..errors import ModelError, StoreError
from ..runtime.atomic import atomic_write, sha256_of

_SETTLED = 2.0
"""Seconds after which a change of a file surely shows in its modification time, on any file system in use."""


def canonical(value: object, name: str = "key") -> str:
    """JSON that is the same for equal values: keys sorted, sets ordered, models and dataclasses as their fields.

    ``name`` is what an error calls the value. Raises StoreError for what has no such form, paths above all: they differ
    between machines that agree on content.
    """
    return json.dumps(_plain(value, name), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """The SHA-256 of `canonical`, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def weights_digest(folder: Path, cache: Path, *, remember: bool = True) -> str:
    """The SHA-256 over names and contents of a folder's safetensors files, in the order of their names.

    A file's digest is remembered in ``cache`` for as long as its path, size and times of change stay the same, so
    that large weights are read once; without ``remember`` nothing is written there. Raises ModelError where there are
    no such files.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: holds no *.safetensors: give a model's folder with its weights in that format")
    return digest([[path.name, _file_digest(path, cache, remember)] for path in files])


def _file_digest(path: Path, cache: Path, remember: bool) -> str:
    real = path.resolve()
    state = real.stat()
    # The time of the last change of any kind cannot be set back, as the modification time can (cp -p, rsync -t).
    memo = cache / f"{digest([str(real), state.st_size, state.st_mtime_ns, state.st_ctime_ns])}.sha256"
    if memo.is_file() and len(known := memo.read_text()) == hashlib.sha256().digest_size * 2:
        return known
    content = sha256_of(real)
    if remember and time.time() - max(state.st_mtime, state.st_ctime) > _SETTLED:
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_write(memo) as temporary:
            temporary.write_text(content)
    return content


def _hidden(field: FieldInfo | None, value: Any) -> bool:
    """Whether a field says itself that such a value of it is no part of what its model is."""
    return field is not None and bool(field.exclude or (field.exclude_if and field.exclude_if(value)))


def _plain(value: Any, where: str) -> Any:
    """``value`` in JSON's own types; ``where`` names it in an error."""
    match value:
        case Enum():
            return _plain(value.value, where)
        case None | bool() | int() | str():
            return value
        case float():
            if math.isfinite(value):
                return value
            raise StoreError(f"{where}: {value} cannot be part of a key: give a finite number or None")
        case BaseModel():
            fields_of = type(value).model_fields
            return _plain({name: each for name, each in value if not _hidden(fields_of.get(name), each)}, where)
        case Mapping():
            if odd := [name for name in value if not isinstance(name, str)]:
                raise StoreError(f"{where}: {odd[0]!r} cannot name a part of a key: use a string")
            return {str(name): _plain(each, f"{where}.{name}") for name, each in value.items()}
        case list() | tuple():
            return [_plain(each, f"{where}[{index}]") for index, each in enumerate(value)]
        case set() | frozenset():
            return sorted((_plain(each, where) for each in value), key=canonical)
        case PurePath():
            raise StoreError(f"{where}: the path {value} cannot be part of a key: use a digest of its content")
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _plain({field.name: getattr(value, field.name) for field in fields(value)}, where)
    raise StoreError(f"{where}: a {type(value).__name__} cannot be part of a key: use numbers, text, lists and dicts")
