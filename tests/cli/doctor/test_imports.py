"""Imports are tried in another process, and one that never ends or ends it is named."""

import pytest

from unlearnbench.cli.doctor import imports


def test_what_never_ends_is_named_and_the_others_are_tried(tmp_path, monkeypatch):
    (tmp_path / "waits.py").write_text("import time\ntime.sleep(600)")
    (tmp_path / "leaves.py").write_text("import os\nprint('no licence', flush=True)\nos._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(imports, "SECONDS", 1.5)
    assert imports.broken(["json", "waits", "leaves", "string"]) == {
        "waits": "it takes more than 1.5 seconds",
        "leaves": "the process ended with exit code 3: no licence",
    }


@pytest.mark.parametrize("module", imports.OURS)
def test_modules_of_ours_are_there(module):
    from importlib.util import find_spec

    assert find_spec(module)
