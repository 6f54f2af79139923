"""``--config FILE``: options of a command from a TOML or YAML file; what the command line says goes before them."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import typer

from ...errors import UsageError
from ...registry import did_you_mean

FORMATS = (".toml", ".yaml", ".yml")

_NOT_HERE = {"config", "help"}


class Option(Protocol):
    """An option as the parser has it: of typer's or click's class, by typer's version."""

    @property
    def name(self) -> str | None:
        """What the command calls it."""

    @property
    def opts(self) -> list[str]:
        """How it is typed."""


def read(context: typer.Context, file: Path | None) -> Path | None:
    """Let a file's values stand for options that are not typed: the callback of ``--config``, which is parsed first."""
    if file is not None:
        options = {name: each for each in context.command.params for name in _long_names(each)}
        context.default_map = {
            **(context.default_map or {}),
            **{str(options[name].name): value for name, value in _checked(file, options)},
        }
    return file


def _long_names(option: Option) -> list[str]:
    """What a file may call an option: its long names without dashes."""
    return [each.removeprefix("--") for each in option.opts if each.startswith("--") and each[2:] not in _NOT_HERE]


def _checked(file: Path, options: Mapping[str, Option]) -> Iterator[tuple[str, Any]]:
    """The options that a file gives, as the command line would have them; raises `UsageError` for what is none."""
    given: dict[str | None, object] = {}
    for key, value in _parsed(file).items():
        name = str(key).replace("_", "-")
        if name not in options:
            raise UsageError(
                f"--config {file}: no option {key!r}; {did_you_mean(name, options)}see --help for their names"
            )
        if (other := given.setdefault(options[name].name, key)) != key:
            raise UsageError(f"--config {file}: {other!r} and {key!r} are one option; give it once")
        several = bool(getattr(options[name], "multiple", False))
        try:
            words = [*_words(name, value)]
        except ValueError as error:
            raise UsageError(f"--config {file}: {key}: {error}") from None
        if not several and len(words) != 1:
            raise UsageError(f"--config {file}: {key}: give one value")
        yield name, words if several else words[0]


def _words(name: str, value: Any) -> Iterator[Any]:
    """The values of an option, each as it would be typed; a table of them is pairs of name and value."""
    if isinstance(value, Mapping) and name == "set":
        yield from (f"{place}={values}" for place, values in settings_of(value))
    elif isinstance(value, Mapping):
        yield from (f"{key}={each}" for key, own in value.items() for each in _plain(own))
    else:
        yield from _plain(value)


def _plain(value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, list | Mapping) or each is None:
            raise ValueError("give a value, or a list of values")
        yield each


def settings_of(table: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """``OWNER.PARAM`` and its values with commas between, of nested tables; in a list each is a value to be tried."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from settings_of(value, f"{before}{key}.")
        else:
            values = value if isinstance(value, list) else [value]
            yield f"{before}{key}", ",".join(json.dumps(each, default=str) for each in values)


def _parsed(file: Path) -> Mapping[Any, Any]:
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"--config {file}: give a file whose name ends in {', '.join(FORMATS)}")
    try:
        text = file.read_text("utf-8")
        found = tomllib.loads(text) if file.suffix.lower() == ".toml" else _yaml(text)
    except OSError as error:
        raise UsageError(f"--config {file}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise UsageError(f"--config {file}: {error}; correct the file") from None
    if not isinstance(found, Mapping):
        raise UsageError(f"--config {file}: it holds no options; write OPTION: VALUE, for instance seed: [0, 1]")
    return found


def _yaml(text: str) -> Any:
    import yaml

    try:
        _refuse_twice(yaml.compose(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _refuse_twice(node: Any) -> None:
    """Raise `ValueError` for a mapping in YAML, a ``node`` or one in it, that has a key twice: the last would count."""
    pairs = node.value if node and node.id == "mapping" else ()
    lines: dict[str, int] = {}
    for key, value in pairs:
        line = key.start_mark.line + 1
        if key.id == "scalar" and (first := lines.setdefault(key.value, line)) != line:
            raise ValueError(f"line {line}: {key.value!r} is given in line {first} already")
        _refuse_twice(value)
    for each in node.value if node and node.id == "sequence" else ():
        _refuse_twice(each)
