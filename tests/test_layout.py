"""The shape of the code: no file, function or folder too large, no circle, and a core that names no plug-in."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from unlearnbench.registry import families, methods, models, tasks

ROOT = Path(__file__).parents[1]
CODE = ("unlearnbench", "methods", "tasks", "leaderboards", "benchmarks", "tests")
LINES = 400
"""Of a file at most."""
FUNCTION = 60
"""Lines of a function at most, outside of the tests."""
NAMES = 12
"""In a folder at most, beside ``__init__.py``."""

ROOMS = ("unlearnbench", "tests")
"""What holds the rooms of the house itself, and the tests of each."""

PLUGINS = ("embedded", "testing", "models/families", "models/files/cards.py")
"""What lies within the package beside the core, which knows none of it: plug-ins, and their checks on a tiny model."""


COPIES = "unlearnbench/embedded/tiny-"
"""Folders of models, with the code that models are saved with: copies, which tests/embedded compares."""


def files() -> list[Path]:
    """Every Python file of ours."""
    found = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not short(path).startswith(COPIES)]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """Every file of the package, the plug-ins and the benchmarks as Python reads it."""
    return {path: ast.parse(path.read_text()) for path in files() if not short(path).startswith("tests/")}


def test_files_are_short() -> None:
    lengths = {short(path): path.read_text().count("\n") for path in files()}
    assert {path: length for path, length in lengths.items() if length > LINES} == {}


def test_functions_are_short(trees: dict[Path, ast.Module]) -> None:
    lengths = {
        f"{short(path)}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION} == {}


def test_folders_hold_a_dozen_names_at_most() -> None:
    names = defaultdict(set)
    for path in files():
        for inner, outer in zip([path, *path.parents], path.parents, strict=False):
            if outer == ROOT:
                break
            names[short(outer)].add(inner.name)
    crowded = {
        folder: sorted(of - {"__init__.py"}) for folder, of in names.items() if len(of - {"__init__.py"}) > NAMES
    }
    assert {folder: of for folder, of in crowded.items() if folder not in ROOMS} == {}


def test_no_class_shares_its_name_with_another(trees: dict[Path, ast.Module]) -> None:
    """A word that means one thing here: of two classes with one name, readers would have to ask which is meant."""
    found = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(short(path))
    protocols = {"Checkpoint", "Checkpoints", "Journal"}
    assert {name: of for name, of in found.items() if len(of) > 1 and name not in protocols} == {}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("unlearnbench", "methods", "tasks", exclude_type_checking_imports=True, cache_dir=None)
    circles = [
        (module, *chain[1:])
        for module in sorted(graph.modules)
        for other in graph.find_modules_directly_imported_by(module)
        if (chain := graph.find_shortest_chain(importer=other, imported=module)) is not None
    ]
    assert circles == []


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text that is no docstring, with its line."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def test_the_core_names_no_plugin(trees: dict[Path, ast.Module]) -> None:
    """Not in its strings either: what it says of a method, task, model or family it has from the plug-in."""
    names = {name for registry in (methods, tasks, models, families) for name in registry.names()}
    word = re.compile(rf"(?<![\w-])({'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})(?![\w-])")
    core = ROOT / "unlearnbench"
    found = [
        f"{short(path)}:{line}: {match[0]}"
        for path, tree in trees.items()
        if path.is_relative_to(core) and not path.relative_to(core).as_posix().startswith(PLUGINS)
        for line, text in strings(tree)
        for match in word.finditer(text)
    ]
    pages = [path for kind in ("j2", "css", "js") for path in core.rglob(f"*.{kind}")]
    assert pages
    found += [f"{short(path)}: {match[0]}" for path in pages for match in word.finditer(path.read_text())]
    assert found == []


def test_what_is_installed_is_every_folder_of_the_code() -> None:
    """Some folders install under other names, so that pyproject lists packages by hand."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [path.parent for path in files() if path.name == "__init__.py"]
    names = [".".join(path.relative_to(ROOT).parts) for path in folders]
    ours = [name for name in names if name.partition(".")[0] not in ("tests", "benchmarks")]
    assert sorted(listed) == sorted(
        name if name.startswith("unlearnbench") else f"unlearnbench.{name}" for name in ours
    )
