"""No path of the machine that wrote an export stands in it: not in its card, nor in the settings that were copied."""

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..models.files.check import json_object
from ..models.files.source import is_hub_id
from ..registry import models

SETTINGS = (
    "config.json", "generation_config.json", "processor_config.json", "preprocessor_config.json",
    "video_preprocessor_config.json", "tokenizer_config.json",
)  # fmt: skip
"""The files in which libraries have noted where something was read."""


def public(source: str) -> str:
    """``MODEL[@ADAPTER]`` for others' eyes: names and hub ids are whole, of a folder there is its last name."""
    if "@" in source and not Path(source).exists():
        model, _, adapter = source.partition("@")
        return f"{public(model)}@{public(adapter)}"
    known = source in models.names() or (is_hub_id(source) and not Path(source).expanduser().exists())
    return source if known else _last(source)


def without_paths(folder: Path) -> None:
    """Take where files lay when they were read (``_name_or_path``, ``*_file``) out of the settings in ``folder``."""
    for path in (folder / name for name in SETTINGS):
        told = json_object(path)
        if (left := _left(told)) != told:
            path.write_text(json.dumps(left, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _left(value: Any) -> Any:
    """Without entries that are named for a path and hold one."""
    if isinstance(value, list):
        return [_left(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _left(each)
        for name, each in value.items()
        if not (name.endswith(("name_or_path", "_file", "_path")) and isinstance(each, str) and _is_path(each))
    }


def _is_path(text: str) -> bool:
    own = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return own or text.startswith((".", "~"))


def _last(text: str) -> str:
    """The last name of a path of any system."""
    return PureWindowsPath(text).name or PurePosixPath(text).name or "a folder"
