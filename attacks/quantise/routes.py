"""Who rounds: this package, or a library that must be installed."""

from importlib import import_module
from typing import Any, Literal

from unlearnbench import UsageError

Route = Literal["rtn", "bnb-nf4", "bnb-fp4", "torchao"]

LIBRARIES: dict[str, str] = {"bnb-nf4": "bitsandbytes", "bnb-fp4": "bitsandbytes", "torchao": "torchao"}


def needed(route: Route) -> Any:
    """The library of a route; raises `UsageError` that says what to install."""
    name = LIBRARIES[route]
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"attack quantise: route={route} needs {name}, which is not installed: pip install 'unlearnbench[{name}]', "
            "or leave the route out"
        ) from None
