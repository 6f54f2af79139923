import pkgutil
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import unlearnbench
from unlearnbench import Method, Task
from unlearnbench.errors import PluginError, UsageError
from unlearnbench.models.files.card import ModelCard
from unlearnbench.registry import Registry, load_plugin, method, methods, task, tasks

SOUND = '''
    from unlearnbench import Method

    class Sound(Method):
        """Forgets everything."""

        name = "sound"

        def unlearn(self, model, sets, run):
            return None
'''


pytestmark = pytest.mark.usefixtures("spared_registries")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes an importable module that the test's end takes away again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))

    yield write
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def registry():
    """One that no entry point fills."""
    return Registry("things", "unlearnbench.contracts:Method")


def test_a_plugin_is_imported_when_it_is_asked_for_and_not_before(registry, module):
    module("lazy_module", SOUND)
    registry.register("sound", "lazy_module:Sound", "here")
    assert registry.names() == ["sound"]
    assert "sound" in registry
    assert registry.origin("sound") == "here"
    assert "lazy_module" not in sys.modules
    plugin = registry.get("sound")
    assert plugin is sys.modules["lazy_module"].Sound
    assert issubclass(plugin, Method)


def test_our_own_plugins_are_entry_points():
    assert {"cagul", "finetune", "pretrain"} <= set(methods.names())
    assert methods.origin("cagul") == f"unlearnbench {unlearnbench.__version__}"


@pytest.mark.parametrize("ask", ["get", "origin"])
def test_an_unknown_name_gets_a_suggestion_and_the_command_that_lists(registry, ask):
    registry.register("gradient-ascent", "x:Y", "here")
    with pytest.raises(UsageError) as error:
        getattr(registry, ask)("gradient-acsent")
    assert str(error.value) == (
        "no thing 'gradient-acsent'; did you mean 'gradient-ascent'? see unlearnbench list things"
    )
    with pytest.raises(UsageError, match=r"^no thing 'qqq'; see unlearnbench list things$"):
        getattr(registry, ask)("qqq")


@given(st.text())
def test_any_unknown_name_is_a_usage_error(name):
    registry = Registry("things", "unlearnbench.contracts:Method")
    with pytest.raises(UsageError):
        registry.get(name)
    assert name not in registry


BROKEN = {
    "missing_module": (None, "ModuleNotFoundError: No module named 'b_missing_module'"),
    "needs_more": ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
    "raises": ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "syntax": ("x = 1\ndef f(:", r"SyntaxError: invalid syntax \(b_syntax.py, line 2\)"),
    "no_attribute": ("x = 1", "AttributeError: module 'b_no_attribute' has no attribute 'Sound'"),
    "function": ("def Sound(): ...", "is not a subclass of unlearnbench.contracts.Method"),
    "class": ("class Sound: ...", "is not a subclass of unlearnbench.contracts.Method"),
    "abstract": ("from unlearnbench import Method\nclass Sound(Method): ...", "does not define unlearn"),
    "nameless": (SOUND.replace('name = "sound"', ""), "calls itself None, not 'nameless'"),
    "renamed": (SOUND, "calls itself 'sound', not 'renamed'"),
    "base": (SOUND.replace('"sound"', '"base"'), "has the name by which --set means the finetuning of the base model"),
    "a/b": (SOUND.replace('"sound"', '"a/b"'), "has a name with other characters than letters, digits"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_names_itself_its_origin_and_the_cause(registry, module, name):
    source, cause = BROKEN[name]
    target = f"b_{name.replace('/', '')}"
    if source is not None:
        module(target, source)
    module("sound_module", SOUND)
    registry.register("sound", "sound_module:Sound", "there")
    registry.register(name, f"{target}:Sound", "package 1.2")
    assert registry.names() == sorted([name, "sound"])
    with pytest.raises(PluginError, match=cause) as error:
        registry.get(name)
    message = str(error.value)
    assert message.startswith(f"thing {name!r} from package 1.2 ")
    assert f"{target}:Sound" in message
    assert "\n" not in message
    assert registry.get("sound").name == "sound"
    assert registry.check() == {name: message, "sound": None}


def test_a_collision_names_both_origins_and_hides_no_other(registry, module):
    module("one", SOUND)
    module("two", SOUND)
    module("third", SOUND.replace('"sound"', '"other"'))
    registry.register("sound", "one:Sound", "first 1.0")
    registry.register("sound", "two:Sound", "second 2.0")
    registry.register("other", "third:Sound", "third 3.0")
    assert registry.names() == ["other", "sound"]
    assert registry.get("other").name == "other"
    with pytest.raises(PluginError) as error:
        registry.get("sound")
    assert str(error.value) == (
        "thing 'sound' is claimed by first 1.0 (one:Sound) and by second 2.0 (two:Sound); rename or remove one of them"
    )
    assert registry.check() == {"other": None, "sound": str(error.value)}


def test_one_target_by_several_ways_is_no_collision(registry, module):
    module("defines", SOUND)
    module("exports", "from defines import Sound")
    registry.register("sound", "exports:Sound", "first 1.0")
    registry.register("sound", "defines:Sound", "second 2.0")
    registry.register("sound", "exports:Sound", "third 3.0")
    plugin = registry.get("sound")
    registry.register("sound", plugin, "file.py")
    assert registry.get("sound") is plugin
    assert registry.origin("sound") == "third 3.0"


def test_models_are_instances():
    registry = Registry("things", "unlearnbench.models.files.card:ModelCard", instances=True)
    card = ModelCard(name="mine", family="qwen2_5_vl", source="somewhere")
    registry.register("mine", card, "here")
    registry.register("class", ModelCard, "here")
    assert registry.get("mine") is card
    with pytest.raises(PluginError, match=r"is not an instance of unlearnbench.models.files.card.ModelCard"):
        registry.get("class")
    registry.register("mine", card.model_copy(), "there")
    with pytest.raises(PluginError, match=r"claimed by here .* and by there"):
        registry.get("mine")


def test_threads_may_ask_at_once(module):
    source = SOUND.replace("class Sound", '@method("threaded")\n    class Sound').replace(
        "import Method", "import Method, method"
    )
    module("threaded_module", "import time\ntime.sleep(0.05)\n" + textwrap.dedent(source))
    methods.register("threaded", "threaded_module:Sound", "here")
    found, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append(methods.get("threaded"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_decorators_name_and_register_a_class():
    @method("decorated", reference="arXiv:1", version="2")
    class Decorated(Method):
        def unlearn(self, model, sets, run):
            return None

    @method("bare")
    class Bare(Decorated):
        reference = "a book"

    assert methods.get("decorated") is Decorated
    assert (Decorated.name, Decorated.reference, Decorated.version) == ("decorated", "arXiv:1", "2")
    assert (Bare.name, Bare.reference, Bare.version) == ("bare", "a book", "2")
    assert Path(methods.origin("bare")).name == "test_registry.py"

    @task("decorated")
    class Asks(Task):
        def load(self, source, forget, seed=0):
            return None

        def evaluate(self, model, data, run):
            raise NotImplementedError

    assert tasks.get("decorated") is Asks
    assert (Asks.name, Asks.version, Asks.reference) == ("decorated", "1", "")


def test_a_class_defined_again_takes_its_own_place():
    def cell():
        @method("notebook")
        class Cell(Method):
            def unlearn(self, model, sets, run):
                return None

        return Cell

    cell()
    latest = cell()
    assert methods.get("notebook") is latest


def test_a_decorator_without_a_name_says_how_it_is_written():
    with pytest.raises(PluginError, match=r'write @method\("NAME"\)'):

        @method
        class Nameless(Method): ...


FILE = """
from unlearnbench import Method, method

@method("{name}")
class FromFile(Method):
    def unlearn(self, model, sets, run):
        return None
"""


def test_a_file_registers_what_it_decorates_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("my plugin.py")
    file.write_text(FILE.format(name="from-file"))
    load_plugin(file)
    plugin = methods.get("from-file")
    assert methods.origin("from-file") == "my plugin.py"
    load_plugin(file.resolve())
    assert methods.get("from-file") is plugin


def test_a_file_from_elsewhere_is_named_by_its_whole_path(tmp_path):
    file = tmp_path / "elsewhere.py"
    file.write_text(FILE.format(name="from-elsewhere"))
    load_plugin(file)
    assert methods.origin("from-elsewhere") == str(file.resolve())


def test_files_of_one_name_are_different_files(tmp_path):
    files = [tmp_path / folder / "same.py" for folder in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text(FILE.format(name="from-both"))
        load_plugin(file)
    with pytest.raises(PluginError) as error:
        methods.get("from-both")
    assert all(str(file.resolve()) in str(error.value) for file in files)


@pytest.mark.parametrize("name", ["missing.py", "folder.py", "notes.txt"])
def test_what_is_no_python_file_is_a_usage_error(tmp_path, name):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").write_text("not Python")
    with pytest.raises(UsageError, match=f"no Python file .*{name}; give --plugin the path"):
        load_plugin(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n\ndef f(:\n", r"SyntaxError: invalid syntax \(faulty.py, line 3\)"),
        ("x = 1\n\nx.missing\n", "at line 3: AttributeError: 'int' object has no attribute 'missing'"),
        ("import json\ndef f():\n    json.loads('{')\nf()\n", "at line 3: JSONDecodeError"),
        ("import not_there", "at line 1: ModuleNotFoundError: No module named 'not_there'"),
        ("raise SystemExit", "at line 1: SystemExit"),
        (
            "x = 1",
            r"registers nothing; put @method\(\"NAME\"\), @attack\(...\), .*or @family\(...\) above a class",
        ),
        ("\0", "SyntaxError"),
    ],
)
def test_a_faulty_file_says_where_and_can_be_corrected(tmp_path, source, message):
    file = tmp_path / "faulty.py"
    file.write_text(source)
    with pytest.raises(PluginError, match=message) as error:
        load_plugin(file)
    assert str(error.value).startswith(f"plug-in {file} ")
    assert "\n" not in str(error.value)
    file.write_text(FILE.format(name="corrected") + "# longer than before\n")
    load_plugin(file)
    assert Path(methods.origin("corrected")).name == "faulty.py"


def test_no_submodule_hides_a_public_name():
    submodules = {found.name for found in pkgutil.iter_modules(unlearnbench.__path__)}
    public = {name for name in dir(unlearnbench) if not name.startswith("_")} - submodules
    assert {"Method", "Params", "Task", "method", "task"} <= public
    assert unlearnbench.method is method
    assert unlearnbench.task is task
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = unlearnbench.nothing
