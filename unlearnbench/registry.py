"""One lazy registry a kind of plug-in: listing names imports nothing, asking for one imports that one.

A plug-in is an entry point of an installed distribution, ours like anyone's, or a class that ``@method``, ``@task`` and
their like name in a single file (``--plugin FILE.py``). What is wrong with a plug-in, or with a name that two of them
claim, is reported to whoever asks for that name and hides no other.
"""

import pkgutil
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .errors import PluginError, UsageError
from .runtime.plugin_files import (
    content_digest,
    execute,
    is_imported,
    make_importable,
    module_name,
    share,
    share_plugins,
)

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from .contracts import Attack, Method, Metric, Task
    from .models.contract.vlm import VLM
    from .models.files.card import ModelCard

T = TypeVar("T")
C = TypeVar("C", bound=type)

BASE = "base"
"""What is no plug-in's name: by it ``--set`` means the finetuning of the base model."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, eq=False)
class _Claim:
    """That a name stands for ``target``, an object or "module:attribute", and who says so."""

    target: object
    origin: str

    @property
    def address(self) -> str:
        """The same for a class and for the string that leads to it."""
        if isinstance(self.target, str):
            return self.target
        if isinstance(self.target, type):
            return f"{self.target.__module__}:{self.target.__qualname__}"
        return f"object {id(self.target)}"


class Registry(Generic[T]):
    """The plug-ins of one kind ("methods", say; ``one``: "method") by name.

    ``base`` is the "module:attribute" of the class that they are subclasses of, or with ``instances`` instances of.
    Safe to use from several threads; no lock is held while a plug-in is imported.
    """

    def __init__(self, kind: str, base: str, *, instances: bool = False, one: str | None = None) -> None:
        self.kind = kind
        self.one = one or kind.removesuffix("s")
        self._base = base
        self._instances = instances
        self._added: dict[str, dict[str, _Claim]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Every registered name, broken ones included, in alphabetical order."""
        with self._lock:
            return sorted({*self._installed, *self._added})

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def get(self, name: str) -> T:
        """The plug-in, imported if need be.

        Raises `UsageError` for a name that nobody registered, `PluginError` for one that two plug-ins claim and for a
        plug-in that is broken.
        """
        claims = self._claims(name)
        origins = {claim.address: claim.origin for claim in reversed(claims)}
        if len(origins) > 1 and not _lead_to_one_object(claims):
            rivals = " and by ".join(f"{origin} ({address})" for address, origin in reversed(origins.items()))
            raise PluginError(f"{self._what(name)} is claimed by {rivals}; rename or remove one of them")
        return self._load(name, claims[0])

    def origin(self, name: str) -> str:
        """Where a plug-in comes from: "DISTRIBUTION VERSION", or the path of a single file."""
        return self._claims(name)[0].origin

    def target(self, name: str) -> object:
        """What a name stands for, not imported: the plug-in itself, or the "module:attribute" that leads to it."""
        return self._claims(name)[0].target

    def code(self, name: str) -> str | None:
        """The digest of a single-file plug-in, whose version nobody raises; None for a package's, known by its own."""
        origin = Path(self.origin(name))
        if origin.suffix != ".py" or not origin.is_file():
            return None
        return content_digest(origin.resolve())

    def foreign(self, name: str) -> str | None:
        """What tells states of a plug-in apart, not imported: a digest, or distribution and version; None for ours."""
        origin = self.origin(name)
        ours = origin.split()[0] == __package__
        return None if ours else self.code(name) or origin

    def modules(self) -> list[str]:
        """The modules that installed plug-ins stand in; none is imported."""
        with self._lock:
            claims = [claim for rivals in self._installed.values() for claim in rivals]
        return sorted({str(claim.target).partition(":")[0] for claim in claims})

    def check(self) -> dict[str, str | None]:
        """Import every plug-in; what is wrong with each, None where nothing is."""
        return {name: self._problem(name) for name in self.names()}

    def register(self, name: str, target: object, origin: str) -> None:
        """Let ``name`` stand for ``target``: the plug-in itself or its "module:attribute".

        The same target may be registered again; another for a taken name is an error once the name is asked for.
        """
        claim = _Claim(target, origin)
        with self._lock:
            self._added.setdefault(name, {})[claim.address] = claim

    def added(self) -> set[_Claim]:
        """What was registered in this process, beside the entry points."""
        with self._lock:
            return {claim for claims in self._added.values() for claim in claims.values()}

    @cached_property
    def _installed(self) -> dict[str, list[_Claim]]:
        claims: dict[str, list[_Claim]] = {}
        for entry in _all_entry_points().select(group=f"unlearnbench.{self.kind}"):
            claims.setdefault(entry.name, []).append(_Claim(entry.value, _label(entry.dist)))
        return {name: sorted(rivals, key=lambda claim: claim.origin) for name, rivals in claims.items()}

    def _claims(self, name: str) -> list[_Claim]:
        with self._lock:
            claims = [*self._installed.get(name, ()), *self._added.get(name, {}).values()]
        if not claims:
            raise UsageError(
                f"no {self._what(name)}; {did_you_mean(name, self.names())}see unlearnbench list {self.kind}"
            )
        return claims

    def _load(self, name: str, claim: _Claim) -> T:
        what = f"{self._what(name)} from {claim.origin}"
        try:
            target = _object_of(claim)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{what} cannot be imported ({claim.address}): {_cause(error)}; "
                f"{_moved(error) or 'install what it lacks, or remove it'}"
            ) from error
        fault = self._fault(name, target)
        if fault:
            raise PluginError(f"{what} is broken: {claim.address} {fault}; correct it, or remove it")
        return cast("T", target)

    def _fault(self, name: str, target: object) -> str | None:
        """Why ``target`` is not a plug-in of this kind, or None where it is one."""
        base = pkgutil.resolve_name(self._base)
        shown = self._base.replace(":", ".")
        if self._instances:
            if not isinstance(target, base):
                return f"is not an instance of {shown}"
        elif not (isinstance(target, type) and issubclass(target, base)):
            return f"is not a subclass of {shown}"
        elif missing := sorted(getattr(target, "__abstractmethods__", ())):
            return f"does not define {' and '.join(missing)}"
        for own in ("Params", "Options"):
            if hasattr(base, own) and not _is_params(getattr(target, own)):
                return f"has {own} that are no subclass of unlearnbench.Params"
        if getattr(target, "name", None) != name:
            return f"calls itself {getattr(target, 'name', None)!r}, not {name!r}"
        if not NAME.fullmatch(name):
            return "has a name with other characters than letters, digits, '.', '_' and '-'"
        if name == BASE:
            return "has the name by which --set means the finetuning of the base model"
        return None

    def _problem(self, name: str) -> str | None:
        try:
            self.get(name)
        except PluginError as error:
            return str(error)
        return None

    def _what(self, name: str) -> str:
        return f"{self.one} {name!r}"


methods: "Registry[type[Method]]" = Registry("methods", "unlearnbench.contracts:Method")
attacks: "Registry[type[Attack]]" = Registry("attacks", "unlearnbench.contracts:Attack")
tasks: "Registry[type[Task]]" = Registry("tasks", "unlearnbench.contracts:Task")
models: "Registry[ModelCard]" = Registry("models", "unlearnbench.models.files.card:ModelCard", instances=True)
metrics: "Registry[type[Metric]]" = Registry("metrics", "unlearnbench.contracts:Metric")
families: "Registry[type[VLM]]" = Registry("families", "unlearnbench.models.contract.vlm:VLM", one="family")

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry for registry in (methods, attacks, tasks, models, families, metrics)
}
"""Every registry by its kind."""


def method(name: str, *, reference: str | None = None, version: str | None = None) -> Callable[[C], C]:
    """Class decorator: register a `Method` under ``name`` and set its ``name``, ``reference`` and ``version``."""
    return _named(methods, name, reference, version)


def attack(name: str, *, reference: str | None = None, version: str | None = None) -> Callable[[C], C]:
    """Class decorator: register an `Attack` under ``name`` and set its ``name``, ``reference`` and ``version``."""
    return _named(attacks, name, reference, version)


def task(name: str, *, reference: str | None = None, version: str | None = None) -> Callable[[C], C]:
    """Class decorator: register a `Task` under ``name`` and set its ``name``, ``reference`` and ``version``."""
    return _named(tasks, name, reference, version)


def metric(name: str, *, reference: str | None = None, version: str | None = None) -> Callable[[C], C]:
    """Class decorator: register a `Metric` under ``name`` and set its ``name``, ``reference`` and ``version``."""
    return _named(metrics, name, reference, version)


def family(name: str, *, reference: str | None = None) -> Callable[[C], C]:
    """Class decorator: register a `VLM` under ``name``, its models' ``model_type``; set its ``name``, ``reference``."""
    return _named(families, name, reference, None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put into an error, with a space after it: the known word that comes closest, or "" if none does."""
    close = get_close_matches(word, [*known], n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def load_plugin(path: Path) -> None:
    """Import the single file ``path``, once however often it is called, so that its decorated classes are registered.

    It may import files that lie beside it (`unlearnbench.runtime.plugin_files`), another plug-in among them.
    Raises `UsageError` if there is no such Python file, `PluginError` if it cannot be imported or registers nothing.
    """
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"no Python file {path}; give --plugin the path of a file that ends in .py")
    file = path.resolve()
    name = module_name(file)
    with _loading:
        make_importable(file)
        if name in sys.modules or is_imported(file):
            return
        before = _all_added()
        share_plugins(file)
        try:
            execute(name, file)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"plug-in {path} cannot be imported{_line_in(file, error)}: {_cause(error)}; {_remedy(error)}"
            ) from error
        share(file)
        if _all_added() == before:
            del sys.modules[name]
            raise PluginError(
                f'plug-in {path} registers nothing; put @method("NAME"), @attack(...), @task(...), '
                "@metric(...) or @family(...) above a class"
            )


_loading = threading.RLock()


def _remedy(error: BaseException) -> str:
    if moved := _moved(error):
        return moved
    if isinstance(error, ModuleNotFoundError):
        return f"install it, or put {error.name}.py beside the plug-in"
    if "relative import" in str(error):
        return "import a file beside the plug-in by its bare name: import NAME"
    return "correct it"


def _moved(error: BaseException) -> str:
    """What to do where a plug-in imports a module of ours that this version has elsewhere, or a name it lacks there."""
    if isinstance(error, ImportError) and f"{error.name}.".startswith("unlearnbench."):
        return "modules within unlearnbench move: import what plug-ins need from unlearnbench itself"
    return ""


def _named(registry: Registry[Any], name: str, reference: str | None, version: str | None) -> Callable[[C], C]:
    kind = registry.one
    if not isinstance(name, str):
        raise PluginError(f'@{kind} is used without a name; write @{kind}("NAME")')

    def decorate(cls: C) -> C:
        for attribute, value in {"name": name, "reference": reference, "version": version}.items():
            if value is not None:
                setattr(cls, attribute, value)
        registry.register(name, cls, _file_of(cls))
        return cls

    return decorate


@cache
def _all_entry_points() -> Any:
    """Those of all distributions: one scan of ``sys.path`` for all kinds."""
    from importlib.metadata import entry_points

    return entry_points()


@cache
def _label(distribution: "Distribution | None") -> str:
    return f"{distribution.name} {distribution.version}" if distribution else "an unnamed distribution"


def _all_added() -> set[_Claim]:
    return {claim for registry in REGISTRIES.values() for claim in registry.added()}


def _object_of(claim: _Claim) -> object:
    return pkgutil.resolve_name(claim.target) if isinstance(claim.target, str) else claim.target


def _lead_to_one_object(claims: list[_Claim]) -> bool:
    """Whether different addresses are one thing after all, such as a class and its package's re-export of it."""
    try:
        first, *others = map(_object_of, claims)
    except (Exception, SystemExit):
        return False
    return all(other is first for other in others)


def _file_of(cls: type) -> str:
    """The file that defines ``cls``, relative to the working directory where it lies below it."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None:
        return cls.__module__
    path, here = Path(file).resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _is_params(kind: object) -> bool:
    from .contracts import Params

    return isinstance(kind, type) and issubclass(kind, Params)


def _cause(error: BaseException) -> str:
    """The error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line_in(file: Path, error: BaseException) -> str:
    """The deepest line of ``file`` that led to ``error``, as " at line N"; empty if the error names its own place."""
    if isinstance(error, SyntaxError):
        return ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {line}" if line else ""
