"""The JavaScript and CSS of others that the pages use, taken from the Python packages that carry them."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ...errors import UnlearnbenchError

_EXPORTS = re.compile(r"export\s*\{([^{}]*)\};?")


def libraries() -> Iterator[tuple[str, str]]:
    """Names and contents of the files: DataTables from ``itables``, Plotly from ``plotly``.

    Raises UnlearnbenchError where a package does not carry what is wanted.
    """
    yield "datatables.js", _as_script(_read("itables", "html/dt_bundle.js"))
    yield "datatables.css", _read("itables", "html/dt_bundle.css")
    yield "plotly.js", _read("plotly", "package_data/plotly.min.js")


def _read(package: str, name: str) -> str:
    """A file of an installed package, which is not imported for it."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    path = Path(next(iter(places)), name) if places else None
    if path is None or not path.is_file():
        raise UnlearnbenchError(f"the package {package} carries no {name}: pip install --upgrade {package}")
    return path.read_text(encoding="utf-8")


def _as_script(module: str) -> str:
    """An ES module as a script that sets ``window.itables``: browsers load no module from a folder."""
    exports = [*_EXPORTS.finditer(module)]
    if not exports:
        raise UnlearnbenchError(
            "the package itables carries another kind of bundle than we know: pip install 'itables<3'"
        )
    last = exports[-1]
    names = (part.split(" as ") for part in last[1].split(","))
    given = ", ".join(f"{alias[-1].strip()}: {alias[0].strip()}" for alias in names)
    body = f"{module[: last.start()]}window.itables = {{{given}}};{module[last.end() :]}"
    return f"(() => {{\n{body}\n}})();\n"
