"""A plug-in that imports files lying beside it: safely, in every process, and known by their content too."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unlearnbench.errors import PluginError
from unlearnbench.registry import load_plugin, methods
from unlearnbench.runtime import plugin_files as beside

PLUGIN = """
import random
{imports}
from unlearnbench import Method, method

@method("{name}")
class Forgetful(Method):
    def unlearn(self, model, sets, run):
        {inside}
        return {value}
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a test imports or registers is left."""
    before = set(sys.modules)
    monkeypatch.setattr(beside._FINDER, "places", {})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(methods, "_added", dict(methods._added))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(
    folder: Path, name: str, imports: str = "", inside: str = "pass", value: str = "None", **files: str
) -> Path:
    """A plug-in and what lies beside it, by name: ``a/b`` for a file in a folder."""
    for other, text in files.items():
        file = folder / f"{other}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    plugin = folder / f"{name.replace('-', '_')}.py"
    plugin.parent.mkdir(parents=True, exist_ok=True)
    plugin.write_text(PLUGIN.format(name=name, imports=imports, inside=inside, value=value))
    return plugin


def made(name: str) -> Any:
    """What the loaded method returns."""
    kind = methods.get(name)
    return kind(kind.Params()).unlearn(None, None, None)  # type: ignore[arg-type]


def test_files_beside_are_imported_now_and_later_and_nothing_else_is(tmp_path: Path) -> None:
    files = {
        "my_helper": "from my_second import VALUE",
        "my_second": "VALUE = 1",
        "my_package/__init__": "",
        "my_package/deep": "from . import deeper\nMORE = deeper.MORE",
        "my_package/deeper": "MORE = 10",
        "my_mere/part": "MOST = 100",
        "my_unnamed": "",
        "random": "raise ImportError('not the standard library')",
    }
    value = "VALUE + my_package.deep.MORE + my_mere.part.MOST"
    later = "import my_package.deep, my_mere.part"
    plugin = written(tmp_path, "beside-one", "from my_helper import VALUE", later, value, **files)
    path = [*sys.path]
    load_plugin(plugin)
    assert made("beside-one") == 111
    assert sys.path == path
    with pytest.raises(ModuleNotFoundError):
        __import__("my_unnamed")


def test_a_plugin_is_known_by_the_files_that_it_imports(tmp_path: Path) -> None:
    plugin = written(
        tmp_path, "beside-two", "import my_helper", my_helper="import my_second", my_second="", my_other=""
    )
    load_plugin(plugin)
    seen = [methods.code("beside-two")]
    for change in ("my_helper", "my_second", "beside_two"):
        file = tmp_path / f"{change}.py"
        file.write_text(file.read_text() + "\n# changed\n")
        seen.append(methods.code("beside-two"))
    assert len(set(seen)) == 4
    (tmp_path / "my_other.py").write_text("changed = True")
    assert methods.code("beside-two") == seen[-1]
    moved = tmp_path / "moved"
    for file in tmp_path.glob("*.py"):
        moved.mkdir(exist_ok=True)
        (moved / file.name).write_bytes(file.read_bytes())
    assert beside.content_digest(moved / "beside_two.py") == seen[-1]


def test_a_plugin_alone_is_known_by_its_own_bytes(tmp_path: Path) -> None:
    import hashlib

    plugin = written(tmp_path, "beside-three", "import json, torch, unlearnbench")
    assert beside.content_digest(plugin) == hashlib.sha256(plugin.read_bytes()).hexdigest()


def test_one_name_for_two_files_is_an_error_that_names_both(tmp_path: Path) -> None:
    first = written(tmp_path / "a", "beside-four", "import my_helper", value="my_helper.VALUE", my_helper="VALUE = 1")
    second = written(tmp_path / "b", "beside-five", inside="import my_helper", my_helper="VALUE = 2")
    load_plugin(first)
    with pytest.raises(PluginError) as error:
        load_plugin(second)
    for file in (second, tmp_path / "a" / "my_helper.py", tmp_path / "b" / "my_helper.py"):
        assert str(file) in str(error.value)
    assert made("beside-four") == 1


def test_what_is_installed_is_not_shadowed(tmp_path: Path) -> None:
    """A folder of data that happens to be called as a package is none; a module of that name is an error."""
    harmless = written(tmp_path / "a", "beside-six", "import yaml", value="yaml.__name__", **{"yaml/convert": ""})
    load_plugin(harmless)
    assert made("beside-six") == "yaml"
    assert hasattr(sys.modules["yaml"], "safe_load")
    with pytest.raises(
        PluginError, match=r"imports 'yaml', and that is both .*/b/yaml.py beside it and .*site-packages"
    ):
        load_plugin(written(tmp_path / "b", "beside-seven", "import yaml", yaml=""))


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
@pytest.mark.parametrize("lazily", [True, False])
def test_a_plugin_may_import_another_and_both_be_given(tmp_path: Path, order: Any, lazily: bool) -> None:
    where = {"inside": "import beside_eight"} if lazily else {"imports": "import beside_eight"}
    files = {
        "first": written(tmp_path, "beside-eight"),
        "second": written(tmp_path, "beside-nine", value="beside_eight.Forgetful", **where),
    }
    for each in order:
        load_plugin(files[each])
    assert made("beside-nine") is methods.get("beside-eight")


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        (
            "import not_there",
            r"at line 3: ModuleNotFoundError: No module named 'not_there'; install it, or put not_there.py",
        ),
        ("from .my_helper import VALUE", "by its bare name: import NAME"),
        (
            "from unlearnbench.models.edits import Weights",
            "models.edits'; .* import what plug-ins need from unlearnbench it",
        ),
        ("from unlearnbench.runtime.run import Gone", "cannot import name 'Gone' .* from unlearnbench itself"),
        ("import my_broken", r"at line 3: ZeroDivisionError: division by zero; correct it"),
    ],
)
def test_what_cannot_be_imported_says_what_to_do(tmp_path: Path, imports: str, said: str) -> None:
    plugin = written(tmp_path, "beside-ten", imports, my_helper="VALUE = 1", my_broken="1 / 0")
    with pytest.raises(PluginError, match=said):
        load_plugin(plugin)
