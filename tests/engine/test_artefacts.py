import errno
import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from unlearnbench.engine import artefacts
from unlearnbench.engine.artefacts import MANIFEST, Store, default_store
from unlearnbench.engine.keys import digest
from unlearnbench.errors import StoreError

KEY = {"method": "cagul", "seed": 0}

MAKE = """
import os, sys, time
from pathlib import Path
from unlearnbench.engine.artefacts import Store
def make(folder):
    with (Path(sys.argv[1]) / "made").open("a") as log:
        log.write("x")
    (folder / "half").write_text("half")
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "half").rename(folder / "whole")
artefact = Store(Path(sys.argv[1]) / "store").get_or_make("base", {"method": "cagul", "seed": 0}, make)
print(artefact.made, sorted(path.name for path in artefact.folder.iterdir()))
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "weights").write_bytes(b"weights")
    (folder / "params.json").write_text("{}")
    return {"train_seconds": 1.5, "loss": float("nan")}


def never(folder):
    raise AssertionError("made again")


def start(folder, seconds=0.0):
    command = [sys.executable, "-c", MAKE, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_an_artefact_is_made_once_and_then_found(store):
    assert not store.has("base", KEY)
    made = store.get_or_make("base", KEY, make)
    assert store.has("base", KEY)
    found = store.get_or_make("base", {"seed": 0, "method": "cagul"}, never)
    assert (made.made, found.made) == (True, False)
    assert made.folder == found.folder == store.folder("base", KEY)
    assert made.folder == store.root / "base" / digest(KEY)[:16]
    assert made.manifest == found.manifest
    assert (found.folder / "deep" / "weights").read_bytes() == b"weights"


def test_the_manifest_says_what_went_in_and_what_came_out(store):
    manifest = store.get_or_make("base", KEY, make).manifest
    assert manifest.key == KEY
    assert manifest.metadata == {"train_seconds": 1.5, "loss": None}
    assert {name: file.size for name, file in manifest.files.items()} == {"deep/weights": 7, "params.json": 2}
    assert "unlearnbench" in manifest.versions
    assert json.loads((store.folder("base", KEY) / MANIFEST).read_text())["key"] == KEY


def test_other_keys_and_kinds_are_other_artefacts(store):
    folders = {
        store.get_or_make("base", KEY, make).folder,
        store.get_or_make("base", KEY | {"seed": 1}, make).folder,
        store.get_or_make("unlearned", KEY, make).folder,
    }
    assert len(folders) == 3


def test_three_processes_compute_it_once(tmp_path):
    workers = [start(tmp_path, seconds=0.5) for _ in range(3)]
    said = [worker.communicate()[0].splitlines()[-1] for worker in workers]
    assert sorted(said) == [f"{made} ['{MANIFEST}', 'whole']" for made in (False, False, True)]
    assert (tmp_path / "made").read_text() == "x"


def test_a_killed_maker_leaves_nothing_that_is_used_or_kept(tmp_path):
    killed = start(tmp_path, seconds=60)
    assert killed.stdout.readline() == "making\n"
    waiting = start(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert waiting.communicate()[0].splitlines()[-1] == f"True ['{MANIFEST}', 'whole']"
    folder = Store(tmp_path / "store").folder("base", KEY)
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_a_maker_that_fails_leaves_nothing_and_is_tried_again(store):
    def fail(folder):
        make(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.get_or_make("base", KEY, fail)
    assert not store.has("base", KEY)
    assert store.get_or_make("base", KEY, make).made


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip(folder / "deep" / "weights"), "deep/weights has another content"),
        (lambda folder: (folder / "deep" / "weights").write_bytes(b"short"), "deep/weights has another size"),
        (lambda folder: (folder / "params.json").unlink(), "params.json is missing"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("[1]"), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff{"), "manifest.json cannot be read"),
        (
            lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace("1.5", "2.5")),
            "manifest.json was changed",
        ),
    ],
)
def test_a_damaged_artefact_is_put_aside_and_made_again(store, damage, said):
    folder = store.get_or_make("base", KEY, make).folder
    damage(folder)
    with pytest.warns(UserWarning, match=f"damaged .{said}.*computed again"):
        again = store.get_or_make("base", KEY, make)
    assert again.made
    assert (folder / "deep" / "weights").read_bytes() == b"weights"
    assert [path.name.startswith(f"base-{folder.name}-") for path in (store.root / "quarantine").iterdir()] == [True]
    assert not store.get_or_make("base", KEY, never).made


def test_the_whole_manifest_is_guarded(store):
    path = store.get_or_make("base", KEY, make).folder / MANIFEST
    sound = path.read_bytes()
    for at in range(0, len(sound), 31):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert store.get_or_make("base", KEY, make).made == bool(caught)
        if caught:
            sound = path.read_bytes()
        else:  # a change of white space, which means nothing
            assert json.loads(path.read_bytes()) == json.loads(sound)


def test_an_artefact_of_another_key_in_this_place_is_not_used(store):
    other = store.get_or_make("base", KEY | {"seed": 1}, make).folder
    other.rename(store.folder("base", KEY))
    with pytest.warns(UserWarning, match="of another key"):
        assert store.get_or_make("base", KEY, make).made


def test_large_files_are_hashed_on_demand(store, monkeypatch):
    monkeypatch.setattr(artefacts, "HASHED", 4)
    folder = store.get_or_make("base", KEY, make).folder
    flip(folder / "deep" / "weights")
    assert not store.get_or_make("base", KEY, never).made
    with pytest.warns(UserWarning, match="another content"):
        assert store.get_or_make("base", KEY, make, verify=True).made


def test_a_key_that_names_a_path_is_refused(store):
    with pytest.raises(StoreError, match=r"key\.data: the path"):
        store.get_or_make("base", {"data": Path("/data")}, make)


def test_an_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.raises(StoreError, match="--store"):
        store.check_writable()
    with pytest.raises(StoreError, match="--store"):
        store.get_or_make("base", KEY, make)


def test_a_full_disk_is_named(store):
    def fill(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match=r"No space left.*--store"):
        store.get_or_make("base", KEY, fill)


def test_the_default_store_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_store() == tmp_path / ".cache" / "unlearnbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_store() == tmp_path / ".cache" / "unlearnbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_store() == Path("/cache/unlearnbench")
    assert default_store(Path("mine")) == Path("mine")
