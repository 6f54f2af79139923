"""Checks that authors of plug-ins run on their own, as ours pass them in the suite.

Each raises `CheckError` with what does not hold, or whatever the plug-in itself raises. Nothing is imported before it
is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attack import check_attack as check_attack
    from .expect import CheckError as CheckError
    from .family import check_family as check_family
    from .method import check_method as check_method
    from .metric import check_metric as check_metric
    from .task import check_task as check_task

_PUBLIC = {
    "CheckError": "expect",
    "check_attack": "attack",
    "check_family": "family",
    "check_method": "method",
    "check_metric": "metric",
    "check_task": "task",
}
"""Name to the module that defines it."""


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
