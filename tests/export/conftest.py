"""A fresh folder in which the commands of docs/export.md have been run, from making data to three exports."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.place import Done
from unlearnbench.cli import main

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def documented(verb: str) -> list[list[str]]:
    """The words after ``unlearnbench`` of the page's commands of a ``verb``."""
    lines = "".join(re.findall(r"(?ms)^```bash\n(.*?)^```$", DOCUMENT)).splitlines()
    return [words for line in lines if (words := shlex.split(line)[1:])[0] == verb]


class Folder:
    """Where commands are run in this process, with a store of its own."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self._capsys, self._monkeypatch = path, capsys, monkeypatch
        monkeypatch.chdir(path)
        monkeypatch.setenv("XDG_CACHE_HOME", str(path / "cache"))

    def run(self, *words: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["unlearnbench", *words])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capsys.readouterr()
        return Done(int(end.value.code or 0), out, err)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where data were made and cells computed, as documented."""
    path = tmp_path_factory.mktemp("taken")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(path)
        monkeypatch.setenv("XDG_CACHE_HOME", str(path / "cache"))
        for words in (*documented("data"), *([*words, "--executor", "inline"] for words in documented("run"))):
            monkeypatch.setattr(sys, "argv", ["unlearnbench", *words])
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code
    return path


@pytest.fixture
def folder(trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Folder:
    """That folder, to run a command in."""
    return Folder(trained, capsys, monkeypatch)
