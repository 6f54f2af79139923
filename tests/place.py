"""A place in which a command is run in this process: a model, data, a store and a results folder."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unlearnbench.cli import main
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Place:
    """A model, data, a store and a results folder that holds a row already; `run` is one command in this process."""

    def __init__(self, folder: Path, model: Path, data: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.model, self.data = folder, model, data
        self.results, self.store = folder / "results", folder / "store"
        self._capsys, self._monkeypatch = capsys, monkeypatch
        RowStore(self.results).append(Row.model_validate(EARLIER))
        self.earlier = self.rows()

    def words(self, *words: str, **options: str | None) -> list[str]:
        given: dict[str, str | None] = {
            "method": "finetune",
            "model": str(self.model),
            "data": str(self.data),
            "forget": "2",
            "device": "cpu",
            "results": str(self.results),
            "store": str(self.store),
        } | options
        if words[0] == "run":  # what workers do is asked in tests/engine/test_local.py
            given = {"executor": "inline"} | given
        return [*words, *(word for name, value in given.items() if value for word in (f"--{name}", value))]

    def run(self, *words: str, **options: str | None) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["unlearnbench", *self.words(*(words or ("run",)), **options)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capsys.readouterr()
        return Done(int(end.value.code or 0), out, err)

    def rows(self) -> bytes:
        return (self.results / "rows.jsonl").read_bytes()


@pytest.fixture
def place(
    tmp_path: Path,
    random_model: Path,
    small_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    return Place(tmp_path, random_model, shutil.copytree(small_data, tmp_path / "data"), capsys, monkeypatch)


EARLIER = {
    "row_id": "earlier", "status": "ok",
    "method": {"name": "m", "version": "1", "origin": "somewhere", "params": {}},
    "model": {"name": "x", "family": "f", "source": "s", "revision": None, "weights_digest": None, "dtype": None},
    "task": {
        "name": "t", "version": "1", "split": None, "options": {},
        "data": {"source": "embedded", "id": "d", "revision": None, "fingerprint": None},
    },
    "seed": 0, "base_seed": 0, "metrics": {}, "cost": {}, "command": [],
    "environment": {
        "unlearnbench": "0", "git": None, "python": "3", "packages": {}, "device": "cpu", "os": "Linux",
    },
    "started_at": "2026-11-22T19:00:00Z", "finished_at": "2026-11-22T19:01:00Z",
}  # fmt: skip

TINY = {"method": "pretrain", "task": "pope", "set": "pope.max_new_tokens=2"}
"""A cell that needs no training."""


def assert_one_line(done: Done, code: int, *named: str) -> None:
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert done.code == code
    assert "unexpected" not in done.err
    for each in named:
        assert each in done.err
