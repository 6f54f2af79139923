"""Pictures are encoded once, kept in memory and then in files, read ahead in threads: the same bits whichever way."""

import gc
import logging
import shutil
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.processes import context
from unlearnbench.contracts.sample import Sample
from unlearnbench.errors import DataError
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.pictures import cache as pictures
from unlearnbench.models.pictures.ahead import AHEAD, Ahead
from unlearnbench.models.pictures.cache import CACHE_BYTES, Picture, cache_room

MODELS = ["tiny-qwen2.5-vl", "tiny-mllama"]


@pytest.fixture
def paths(asked: list[Sample]) -> list[Path]:
    return list(dict.fromkeys(sample.image for sample in asked))[:4]


def counted(model: VLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the model's tower runs."""
    encoded: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda pixels: encoded.append(1) or encode(pixels))
    return encoded


def assert_same(one: Picture, other: Picture) -> None:
    for name in ("features", "tokens"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert (one.ids, one.covers) == (other.ids, other.covers)
    assert one.extra.keys() == other.extra.keys()
    assert all(torch.equal(one.extra[name], other.extra[name]) for name in one.extra)
    assert (one.valid is None) == (other.valid is None)
    assert one.valid is None or torch.equal(one.valid, other.valid)


@pytest.mark.parametrize("name", MODELS)
def test_what_memory_does_not_hold_comes_back_from_files(
    name: str, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(card_for(name), "cpu")
    encoded = counted(model, monkeypatch)
    first = [model.see(path) for path in paths]
    model.pictures.room = first[0].nbytes  # one picture
    model.let_go(paths)
    for path, known in [*zip(paths, first, strict=True)] * 3:
        assert_same(model.see(path), known)
    assert len(encoded) == 2 * len(paths)
    assert model.pictures.lossless


def test_a_projector_that_has_changed_projects_what_comes_from_files(paths: list[Path]) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    before = model.see(paths[0]).tokens
    model.pictures.room = 0
    model.see(paths[1])  # the first is in a file now
    with torch.no_grad():
        next(model.projector().parameters()).mul_(0.5)
    model.refresh()
    again = model.see(paths[0])
    assert not torch.equal(again.tokens, before)
    assert torch.equal(again.tokens, model.project(again))


def test_without_room_on_the_disk_pictures_are_encoded_anew(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "save_file", full)
    encoded = counted(model, monkeypatch)
    model.pictures.room = 3 * model.see(paths[0]).nbytes
    with caplog.at_level(logging.WARNING):
        for path in paths[:3] * 3:
            model.see(path)
        assert len(encoded) == 3
        assert model.pictures.lossless
        model.see(paths[3])
        model.see(paths[2])
        assert len(encoded) == 4
        model.see(paths[0])  # the least recently seen had to go
    assert len(encoded) == 5
    assert not model.pictures.lossless
    assert "No space left" in caplog.text
    assert len(caplog.records) == 1


def test_the_last_fifth_of_a_disk_is_left_free(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    size = model.see(paths[0]).features.nbytes
    usage = type(shutil.disk_usage("/"))(1000 * size, 0, 202 * size)  # room for two
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=usage.free - size * written(model)))
    model.pictures.room = 0
    for path in paths:
        model.see(path)
    assert written(model) == 2
    assert not model.pictures.lossless


def written(model: VLM) -> int:
    folder = model.pictures._files._folder
    return len([*Path(folder.name).iterdir()]) if folder else 0


def test_what_is_let_go_is_gone_from_memory_and_files(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    encoded = counted(model, monkeypatch)
    model.pictures.room = 0
    for path in paths * 2:
        model.see(path)
    assert len(encoded) == 4
    folder = Path(model.pictures._files._folder.name)  # type: ignore[union-attr]
    assert len([*folder.iterdir()]) == 4
    model.let_go(paths)
    assert not [*folder.iterdir()]
    model.see(paths[0])
    assert len(encoded) == 5


def see(folder: Path, paths: list[Path], teller: Connection) -> None:
    """In a process of its own, whose temporary files are in ``folder``: look at pictures, and keep them a while."""
    tempfile.tempdir = str(folder)
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.pictures.room = 0
    for path in paths:
        model.see(path)
    teller.send("seen")
    with suppress(EOFError):
        teller.recv()


def test_what_killed_processes_left_is_removed(paths: list[Path], tmp_path: Path) -> None:
    """And what those that run have written stays, other machines' and other programs' folders too."""
    ends: list[Connection] = []  # a process lives until its own is closed

    def started() -> BaseProcess:
        ours, theirs = context.Pipe()
        process = context.Process(target=see, args=(tmp_path, paths[:2], theirs))
        process.start()
        theirs.close()
        assert ours.recv() == "seen"
        ends.append(ours)
        return process

    (tmp_path / "unlearnbench-pictures-elsewhere-1-abc").mkdir()
    first = started()
    (left,) = set(tmp_path.iterdir()) - {tmp_path / "unlearnbench-pictures-elsewhere-1-abc"}
    assert [*left.iterdir()]
    second = started()
    assert left.is_dir()
    first.kill()
    first.join()
    third = started()
    assert not left.exists()
    for end in ends:
        end.close()
    for process in (second, third):
        process.join()
    assert [path.name for path in tmp_path.iterdir()] == ["unlearnbench-pictures-elsewhere-1-abc"]


@pytest.mark.parametrize("harm", ["vanished", "damaged"])
def test_a_file_that_came_to_harm_is_made_anew(harm: str, paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    encoded = counted(model, monkeypatch)
    known = model.see(paths[0])
    model.pictures.room = 0
    model.see(paths[1])
    (file,) = Path(model.pictures._files._folder.name).iterdir()  # type: ignore[union-attr]
    file.unlink() if harm == "vanished" else file.write_bytes(file.read_bytes()[:-7])
    assert_same(model.see(paths[0]), known)
    assert len(encoded) == 3


def test_files_go_with_the_model(paths: list[Path]) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.pictures.room = 0
    model.see(paths[0])
    model.see(paths[1])
    folder = Path(model.pictures._files._folder.name)  # type: ignore[union-attr]
    assert [*folder.iterdir()]
    del model
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize("name", MODELS)
def test_pictures_that_were_read_ahead_are_the_same(name: str, paths: list[Path]) -> None:
    plain, ahead = load(card_for(name), "cpu"), load(card_for(name), "cpu")
    ahead.look_ahead(paths)
    for path in paths:
        assert_same(ahead.see(path), plain.see(path))


def test_a_picture_that_cannot_be_read_fails_when_it_is_seen(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.look_ahead([paths[0], tmp_path / "bad.png", paths[1]])
    model.see(paths[0])
    with pytest.raises(DataError, match=r"bad\.png cannot be decoded"):
        model.see(tmp_path / "bad.png")
    assert model.see(paths[1]).count


@pytest.mark.parametrize("missing", [False, True], ids=["", "pictures are missing"])
def test_a_model_goes_as_soon_as_nobody_wants_it(missing: bool, paths: list[Path], tmp_path: Path) -> None:
    """Weights of two models at once may be more than a GPU holds, so none may wait for the garbage collector."""
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.look_ahead([paths[0], *(tmp_path / path.name if missing else path for path in paths[1:])])
    model.see(paths[0])
    time.sleep(0.2)
    gc.collect()
    gone = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_a_gpus_room_for_pictures_is_a_quarter_of_what_weights_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6 * 2**30, 24 * 2**30))
    assert cache_room(torch.device("cuda")) == 1.5 * 2**30
    assert cache_room(torch.device("cpu")) == CACHE_BYTES
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * 2**30, 80 * 2**30))
    assert cache_room(torch.device("cuda")) == CACHE_BYTES


# ---------------------------------------------------------------------------------------------------------- ahead
def test_no_more_than_a_few_results_wait() -> None:
    done: list[Path] = []
    names = [Path(str(number)) for number in range(3 * AHEAD)]
    ahead = Ahead(lambda path: done.append(path) or path.name)
    ahead.expect(names)
    assert [ahead.take(name) for name in names[:2]] == ["0", "1"]
    while len(done) < AHEAD + 2:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(done) == AHEAD + 2


def test_whatever_the_order_every_result_is_right() -> None:
    ahead = Ahead(lambda path: path.name)
    names = [Path(str(number)) for number in range(3 * AHEAD)]
    ahead.expect(names)
    for number in (5, 4, 20, 21, 3, 23, 0, 100):
        assert ahead.take(Path(str(number))) == str(number)
    ahead.expect(reversed(names))
    assert [ahead.take(name) for name in reversed(names)] == [name.name for name in reversed(names)]


def test_what_was_skipped_does_not_stop_the_rest_from_being_read() -> None:
    """As where a killed run goes on: its first batches are answered without their pictures."""
    threads: dict[str, str] = {}
    ahead = Ahead(lambda path: threads.setdefault(path.name, threading.current_thread().name))
    names = [Path(str(number)) for number in range(4 * AHEAD)]
    ahead.expect(names)
    for name in names[2 * AHEAD :]:
        ahead.take(name)
        time.sleep(0.01)
    assert all(threads[name.name].startswith("pictures") for name in names[2 * AHEAD + 1 :])
