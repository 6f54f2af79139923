"""``unlearnbench store`` and ``status``: what is kept, what is damaged, what goes, and where cells stand."""

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from tests.place import EARLIER
from unlearnbench.cli import app
from unlearnbench.engine.artefacts import Store, default_store
from unlearnbench.results.cells import Announced, Cells
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

KEYS = [{"seed": 0, "method": {"name": "cagul"}}, {"seed": 1, "method": {"name": "ga"}}]
ATTACKED = {"seed": 0, "start": "a", "attack": {"name": "relearn"}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two artefacts, answers, a checkpoint and what a killed process has left."""
    made = Store(tmp_path / "store")
    for key in KEYS:
        made.get_or_make("unlearned", key, lambda folder: (folder / "edit.json").write_text("{}") and {"edit": True})
    (made.root / "answers").mkdir()
    (made.root / "answers" / "a.jsonl").write_text("{}\n")
    (made.root / "unlearned" / ".abc.tmp-123").mkdir()
    (made.root / "unlearned" / ".abc.tmp-123" / "weights").write_bytes(b"0" * 100)
    return made


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout


def test_list_says_what_each_artefact_is(store: Store) -> None:
    code, out = call("store", "list", "--store", str(store.root), "--json")
    found = json.loads(out)
    assert code == 0
    assert {(each["kind"], each["of"], each["seed"]) for each in found} == {
        ("unlearned", "cagul", 0),
        ("unlearned", "ga", 1),
        ("answers", "", ""),
    }
    assert all(each["bytes"] > 0 for each in found)
    assert "cagul" in call("store", "list", "--store", str(store.root))[1]


def test_of_attacks_it_lists_what_they_made_and_their_pictures_which_go_when_they_are_old(store: Store) -> None:
    store.get_or_make("attacked", ATTACKED, lambda folder: None)
    pictures = store.root / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png"):
        (pictures / name).write_bytes(b"0" * 10)
    found = {each["kind"]: each for each in json.loads(call("store", "list", "--store", str(store.root), "--json")[1])}
    assert found["attacked"]["of"] == "relearn"
    assert found["pictures"]["bytes"] == 20
    assert call("store", "prune", "--store", str(store.root))[0] == 0
    assert pictures.is_dir()
    os.utime(pictures, (1, 1))
    assert f"removing {pictures} (0.0 MB)" in call("store", "prune", "--store", str(store.root))[1]
    assert not pictures.exists()


def held(store: Store) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.suffix != ".lock")


def test_verify_moves_what_is_damaged_aside(store: Store) -> None:
    assert call("store", "verify", "--store", str(store.root)) == (0, "all artefacts are sound\n")
    damaged = store.folder("unlearned", KEYS[0])
    (damaged / "edit.json").write_text("[]")
    code, out = call("store", "verify", "--store", str(store.root))
    assert code == 1
    assert f"{damaged}: damaged (edit.json has another content)" in out
    assert not damaged.exists()
    assert len(list((store.root / "quarantine").iterdir())) == 1
    assert store.has("unlearned", KEYS[1])
    assert call("store", "verify", "--store", str(store.root))[0] == 0


def test_prune_takes_what_is_old_and_what_is_broken(store: Store) -> None:
    old = store.folder("unlearned", KEYS[0])
    for file in (old / "manifest.json", old.with_name(f".{old.name}.lock")):
        os.utime(file, (1, 1))
    new = store.folder("unlearned", KEYS[1])
    os.utime(new / "manifest.json", (1, 1))
    store.get_or_make("unlearned", KEYS[1], lambda folder: None)  # used, so not to be pruned
    (store.root / "quarantine" / "x").mkdir(parents=True)
    before = held(store)
    code, out = call("store", "prune", "--store", str(store.root), "--dry-run")
    assert (code, held(store)) == (0, before)
    assert out.count("would remove") == 3
    call("store", "prune", "--store", str(store.root))
    assert not old.exists()
    assert not list((store.root / "quarantine").iterdir())
    assert not list((store.root / "unlearned").glob(".*.tmp-*"))
    assert store.has("unlearned", KEYS[1])


def test_prune_leaves_what_is_being_made(store: Store) -> None:
    with FileLock(store.root / "unlearned" / ".abc.lock"):
        call("store", "prune", "--store", str(store.root))
    assert (store.root / "unlearned" / ".abc.tmp-123").exists()


def test_no_store_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["store", "list", "--store", str(tmp_path / "none")])
    assert "there is no store" in str(done.exception)


def announced(name: str, job: str | None = None) -> Announced:
    return Announced(row_id=name, method="m", model="x", task="t", seed=0, job=job)


def test_status_tells_every_state(tmp_path: Path) -> None:
    results = RowStore(tmp_path / "results")
    failed = EARLIER | {"row_id": "failed", "status": "error", "error": {"type": "ValueError", "message": "no [good]"}}
    for row in (EARLIER, failed):
        results.append(Row.model_validate(row))
    cells = Cells(results)
    cells.announce(announced(name) for name in ("earlier", "failed", "waiting", "busy"))
    cells.log("busy").write_text("step 1\nstep 2\n\n")
    (tmp_path / "results" / "cells" / "torn.json").write_text('{"row_id": ')
    with cells.claimed("busy", wait=False) as mine:
        assert mine
        code, out = call("status", str(tmp_path / "results"), "--json")
        _, table = call("status", str(tmp_path / "results"))
    found = {each["row_id"]: (each["state"], each["said"]) for each in json.loads(out)}
    assert found == {
        "earlier": ("done", ""),
        "failed": ("failed", "ValueError: no [good]"),
        "waiting": ("queued", ""),
        "busy": ("running", "step 2"),
    }
    assert code == 1
    assert "step 2" in table
    assert dict(call_states(cells))["busy"] == "queued"  # whoever held it is gone


def test_status_and_store_look_where_run_writes(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "results is no folder" in str(CliRunner().invoke(app, ["status"]).exception)
    Cells(RowStore(tmp_path / "results")).announce([announced("waiting")])
    default_store().parent.mkdir()
    store.root.rename(default_store())
    assert [each["row_id"] for each in json.loads(call("status", "--json")[1])] == ["waiting"]
    assert len(json.loads(call("store", "list", "--json")[1])) == 3


def call_states(cells: Cells) -> list[tuple[str, str]]:
    return [(each.cell.row_id, each.state) for each in cells.states()]


def test_the_queue_tells_of_jobs(tmp_path: Path) -> None:
    cells = Cells(RowStore(tmp_path))
    cells.announce([announced("a", "7_0"), announced("b", "7_1"), announced("c", "7_2")])
    assert cells.jobs() == {"7_0", "7_1", "7_2"}
    states = {each.cell.row_id: each.state for each in cells.states({"7_0": "RUNNING", "7_1": "PENDING"})}
    assert states == {"a": "running", "b": "queued", "c": "queued"}
