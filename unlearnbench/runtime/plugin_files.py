"""Files beside a single-file plug-in that it imports: made importable, and part of what the plug-in is known by.

Only what the plug-in names in an ``import``, itself or by way of those files, can be imported so. Its folder is not put
on ``sys.path``, where a ``random.py`` in it would take the standard library's place, in the workers too.
"""

import ast
import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

from ..errors import PluginError

OURS = "unlearnbench"


def helpers(file: Path) -> dict[str, Path]:
    """The modules and packages beside ``file`` that it needs, by name: a ``.py`` file or a package's folder."""
    folder, found = file.parent, dict[str, Path]()
    waiting = [file]
    while waiting:
        for name in sorted(_imported(waiting.pop()) - {*found, OURS} - sys.stdlib_module_names):
            if place := _beside(folder, name):
                found[name] = place
                waiting += _sources(place)
    return found


def content_digest(file: Path) -> str:
    """The SHA-256 of a plug-in: of its file, or of that and the files beside it that it imports."""
    own = hashlib.sha256(file.read_bytes()).hexdigest()
    sources = [source for place in helpers(file).values() for source in _sources(place)]
    if not sources:
        return own
    named = {each.relative_to(file.parent).as_posix(): _sha256(each) for each in sources if each != file}
    return hashlib.sha256(json.dumps([own, named], sort_keys=True).encode()).hexdigest()


def make_importable(file: Path) -> None:
    """Let the plug-in ``file`` import what it needs of the files beside it, now and later.

    Raises `PluginError` for a name that stands for something else in this process: which one is meant, nobody can say.
    """
    for name, place in helpers(file).items():
        if _FINDER.places.get(name) == place:
            continue
        if other := _elsewhere(name, place):
            raise PluginError(
                f"plug-in {file} imports {name!r}, and that is both {place} beside it and {other}; rename the former"
            )
        _FINDER.places[name] = place
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)


def names_of(file: Path) -> list[str]:
    """The names under which plug-ins import ``file``, itself a plug-in perhaps."""
    return [name for name, place in _FINDER.places.items() if place == file]


class _Finder:
    """Finds what was made importable, after all that Python finds by itself."""

    def __init__(self) -> None:
        self.places: dict[str, Path] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is None:
            return None
        if place.is_file():
            return spec_from_file_location(name, place)
        if (place / "__init__.py").is_file():
            return spec_from_file_location(name, place / "__init__.py", submodule_search_locations=[str(place)])
        spec = ModuleSpec(name, None, is_package=True)  # a folder of modules alone
        spec.submodule_search_locations = [str(place)]
        return spec


_FINDER = _Finder()


def _imported(source: Path) -> set[str]:
    """The first parts of the names that a file imports anywhere; none of one that is no Python."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _beside(folder: Path, name: str) -> Path | None:
    """What ``name`` would be in ``folder``; a mere folder counts only where nothing else has its name."""
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if module.is_file():
        return module
    mere = package.is_dir() and any(package.glob("*.py")) and not _elsewhere(name, package)
    return package if mere else None


def _elsewhere(name: str, place: Path) -> str | None:
    """Where else a module of this name is, if it is."""
    try:
        spec = getattr(sys.modules.get(name), "__spec__", None) or find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        return None
    where = [Path(each).resolve() for each in (spec.submodule_search_locations or [spec.origin or ""])]
    return None if place in where or any(path == place / "__init__.py" for path in where) else str(where[0])


def _sources(place: Path) -> Iterator[Path]:
    """The Python files of a module or package."""
    return iter([place] if place.is_file() else sorted(place.rglob("*.py")))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def plugin_line(error: BaseException) -> str:
    """The line of a plug-in's file that led to an error, in brackets; empty if none did."""
    steps = [*walk_tb(error.__traceback__)]
    own = [(f, line) for f, line in steps if str(f.f_globals.get("__name__", "")).startswith("unlearnbench_plugin_")]
    return f" ({Path(own[-1][0].f_code.co_filename).name}, line {own[-1][1]})" if own else ""


def module_name(file: Path) -> str:
    """What the module of a single file is called."""
    return f"unlearnbench_plugin_{re.sub(r'[^0-9A-Za-z]', '_', file.stem)}_{zlib.crc32(bytes(file)):08x}"


def is_imported(file: Path) -> bool:
    """Whether another plug-in, beside which it lies, has imported this one."""
    return any(name in sys.modules for name in names_of(file))


def share(file: Path) -> None:
    """Let other plug-ins that import this one, which is loaded, have the same module and not its code once more."""
    for name in names_of(file):
        sys.modules.setdefault(name, sys.modules[module_name(file)])


def share_plugins(file: Path) -> None:
    """Do so for those that lie beside ``file`` and are loaded already."""
    for other in file.parent.glob("*.py"):
        if module_name(other) in sys.modules:
            share(other)


def execute(name: str, file: Path) -> None:
    """Import ``file`` as the module ``name``; one that fails is no module."""
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None  # for a name that ends in .py there is always one
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
