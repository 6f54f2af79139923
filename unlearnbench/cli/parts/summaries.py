"""A line about each plug-in and what a model needs, read from source text: nothing of it is imported."""

import ast
import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ...registry import Registry

HERE = "nothing: it ships with its package"
"""What a model needs whose source is a folder of an installed package."""

_HOPS = 4
"""From how many modules at most a name is handed on."""


def description(registry: Registry[Any], name: str) -> str:
    """The first sentence or line that a plug-in says of itself; empty where it says none, or cannot be read."""
    target = registry.target(name)
    if isinstance(target, str):
        node = _node(*_halves(target))
        text = ast.get_docstring(node) if isinstance(node, ast.ClassDef) else _words(node).get("description")
    else:
        said = getattr(target, "description", None)  # a model's card has one
        text = said if isinstance(said, str) else inspect.getdoc(target)
    return first_line(text or "")


def needs(registry: Registry[Any], name: str) -> str:
    """What must be had to run a model, as far as its card says so by itself."""
    target = registry.target(name)
    words = _words(_node(*_halves(target))) if isinstance(target, str) else dict(getattr(target, "__dict__", {}))
    return what_it_needs(words.get("source") or "", words.get("parameters"))


def what_it_needs(source: str, parameters: int | None) -> str:
    """The same for a card's source and number of parameters."""
    if ":" in source:
        return HERE
    if not parameters:
        return ""
    return f"{2 * parameters / 1e9:.1f} GB of files; a GPU with more memory than that (plan --memory)"


def first_line(text: str) -> str:
    """The first paragraph of a description, in a line; of several sentences the first."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].replace("``", "`").split())
    return paragraph.partition(". ")[0].removesuffix(".")


def _halves(address: str) -> tuple[str, str]:
    module, _, attribute = address.partition(":")
    return module, attribute


def _node(module: str, attribute: str, hops: int = _HOPS) -> ast.AST | None:
    """The class or the call that a module's source gives a name to, or that another module does which hands it on."""
    for node in _tree(module):
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            return node
        if isinstance(node, ast.Assign) and any(isinstance(at, ast.Name) and at.id == attribute for at in node.targets):
            return node.value
        if isinstance(node, ast.ImportFrom) and hops:
            for alias in node.names:
                if attribute == (alias.asname or alias.name):
                    return _node(_origin(module, node), alias.name, hops - 1)
    return None


def _words(node: ast.AST | None) -> Mapping[str, Any]:
    """The keywords of a call that are written out."""
    found = {}
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        with suppress(ValueError):
            found[str(keyword.arg)] = ast.literal_eval(keyword.value)
    return found


def _origin(module: str, node: ast.ImportFrom) -> str:
    """The full name of the module that an import is from."""
    if not node.level:
        return node.module or ""
    spec = _spec(module)
    package = module.split(".") if spec and spec.submodule_search_locations else module.split(".")[:-1]
    return ".".join(
        [*package[: len(package) - node.level + 1], *((node.module or "").split(".") if node.module else ())]
    )


@cache
def _tree(module: str) -> list[ast.stmt]:
    spec = _spec(module)
    if spec is None or not (spec.origin or "").endswith(".py"):
        return []
    try:
        return ast.parse(Path(str(spec.origin)).read_bytes()).body
    except (OSError, ValueError, SyntaxError):
        return []


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module's source is. `importlib.util.find_spec` would import the packages that it stands in."""
    parent, _, _ = module.rpartition(".")
    within = _spec(parent) if parent else None
    if parent and (within is None or within.submodule_search_locations is None):
        return None
    path = within.submodule_search_locations if within else None
    found = (finder.find_spec(module, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return next((spec for spec in found if spec), None)
