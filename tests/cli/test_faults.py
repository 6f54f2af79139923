"""What happens to a run's folders when disks do what disks do: named errors, nothing lost, the same rows again."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.place import Place
from unlearnbench.errors import StoreError
from unlearnbench.results.store import RowStore

CELLS = ("run", "--task", "fiubench,pope", "--quiet", "--json", "--set", "base.epochs=1", "--set", "ga-gd.epochs=1")
SHORT = ("--set", "pope.max_new_tokens=2", "--set", "fiubench.max_new_tokens=2", "--set", "ga-gd.lora.rank=2")


def run(place: Place, **options: str) -> tuple[int, dict[str, dict[str, object]], str]:
    """Exit code, metrics by cell, and what was said."""
    done = place.run(*CELLS, *SHORT, method="finetune,ga-gd", **options)
    rows = json.loads(done.out) if done.out else []
    return done.code, {row["row_id"]: row["metrics"] for row in rows if row["status"] == "ok"}, done.err


@pytest.fixture
def done(place: Place, once: Callable[..., Path]) -> Place:
    """A place with a finished run, which the first test to come has made."""

    def write(folder: Path) -> None:
        code, _, err = run(place)
        assert code == 0, err
        for name in ("results", "store"):
            shutil.copytree(place.folder / name, folder / name)

    finished = once("finished", write)
    shutil.rmtree(place.results)
    for name in ("results", "store"):
        shutil.copytree(finished / name, place.folder / name, dirs_exist_ok=True)
    return place


def flip(file: Path) -> None:
    """Change one bit somewhere."""
    content = bytearray(file.read_bytes())
    content[random.Random(file.name).randrange(len(content) // 4, len(content))] ^= 4
    file.write_bytes(bytes(content))


def forget_rows(place: Place) -> None:
    """As if another results folder were used: everything is evaluated again from what the store holds."""
    shutil.rmtree(place.results)


KINDS = {
    "weights of the base": ("store/base/*/weights.safetensors", "moved to"),
    "an edit": ("store/unlearned/*/adapter_model.safetensors", "moved to"),
    "a manifest": ("store/base/*/manifest.json", "moved to"),
    "answers": ("store/answers/*.jsonl", "what they held is asked again"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*damaged.*moved to")
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_told_and_made_good(
    done: Place, kind: str, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    _, expected, _ = run(done)
    pattern, said = KINDS[kind]
    files = list(done.folder.glob(pattern))
    assert files
    for file in files:
        flip(file)
    forget_rows(done)
    code, found, _ = run(done)
    told = [str(warning.message) for warning in recwarn] + caplog.messages
    assert (code, found) == (0, expected)
    assert any(said in line for line in told), told


@pytest.mark.slow
def test_a_flipped_bit_in_a_row_costs_that_row_which_is_computed_again(done: Place) -> None:
    _, expected, _ = run(done)
    lines = (done.results / "rows.jsonl").read_bytes().splitlines(keepends=True)
    place_of = lines[-1].index(b'"metrics"')
    damaged = bytearray(lines[-1])
    digit = next(at for at in range(place_of, len(damaged)) if chr(damaged[at]).isdigit())
    damaged[digit] ^= 1  # another number, and sound JSON
    (done.results / "rows.jsonl").write_bytes(b"".join(lines[:-1]) + bytes(damaged))
    [damage] = RowStore(done.results).scan().damage
    assert damage.reason == "changed since it was written: its check does not fit"
    code, found, _ = run(done)
    assert (code, found) == (0, expected)
    assert len((done.results / "rows.jsonl").read_bytes().splitlines()) == len(lines) + 1


@pytest.mark.slow
def test_changed_samples_are_refused_and_other_rows_stay(done: Place) -> None:
    store = RowStore(done.results)
    rows = [row for row in store.read() if row.samples]
    flip(done.results / rows[0].samples.path)
    with pytest.raises(StoreError, match=r"changed since row .* was written"):
        store.read_samples(rows[0])
    assert store.read_samples(rows[1])


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[None]:
    """A file system of so many bytes at ``folder``; skips the test where none may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["64k", "3m"])
def test_a_full_store_is_named_and_more_room_is_all_it_takes(place: Place, size: str) -> None:
    """Too little for anything, and for the base's weights."""
    small = place.folder / "small"
    with tmpfs(small, size):
        code, _, err = run(place, store=str(small / "store"))
        assert code == 1
        assert all(line.startswith("error: ") for line in err.splitlines()), err
        assert "No space left on device" in err
        assert "free some" in err
        rows = [json.loads(line) for line in place.rows().splitlines()[1:]]
        remount(small, "size=64m")
        code, found, err = run(place, store=str(small / "store"))
        assert (code, err) == (0, "")
        assert len(found) == 4
        ok = [row["row_id"] for row in rows if row["status"] == "ok"]
        assert all(row_id in found for row_id in ok)  # what had been computed was kept


@pytest.mark.slow
def test_full_results_are_named_and_lose_no_row(place: Place) -> None:
    small = place.folder / "small"
    with tmpfs(small, "44k"):
        code, _, err = run(place, results=str(small / "results"))
        assert code == 1
        assert "No space left on device" in err
        assert all(line.startswith("error: ") for line in err.splitlines())
        before = (small / "results" / "rows.jsonl").read_bytes() if (small / "results" / "rows.jsonl").exists() else b""
        assert not before or before.endswith(b"\n")
        remount(small, "size=64m")
        code, found, err = run(place, results=str(small / "results"))
        assert (code, err, len(found)) == (0, "", 4)
        assert (small / "results" / "rows.jsonl").read_bytes().startswith(before)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["store", "results"])
def test_a_folder_that_is_only_readable_is_named_before_anything_starts(done: Place, which: str) -> None:
    fixed = done.folder / "fixed"
    with tmpfs(fixed, "64m"):
        shutil.copytree(done.folder / which, fixed / which)
        remount(fixed, "ro")
        code, found, err = run(done, **{which: str(fixed / which)})
        assert (code, found) == (1, {})
        assert f"give a writable folder with --{which}" in err
        assert err.count("\n") == 1
        remount(fixed, "rw")
        assert run(done, **{which: str(fixed / which)})[0] == 0


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_nothing_that_counts(done: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of rows is that of the file, and what is there is found by its name."""
    _, expected, _ = run(done)
    before: Callable[[], datetime] = lambda: datetime.now(UTC) - timedelta(days=400)  # noqa: E731
    for module in ("engine.grid", "engine.artefacts"):
        monkeypatch.setattr(f"unlearnbench.{module}.utc_now", before)
    monkeypatch.setattr("time.time", lambda: before().timestamp())
    assert run(done)[:2] == (0, expected)
    forget_rows(done)
    assert run(done)[:2] == (0, expected)
    shutil.rmtree(done.store)
    forget_rows(done)
    assert run(done)[:2] == (0, expected)
