import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearnbench.errors import StoreError
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore, sealed

FAILURE = {"type": "ModelError", "message": "too little memory"}

APPEND = """
import sys
from pathlib import Path
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
store, fields, name = RowStore(Path(sys.argv[1])), Row.model_validate_json(sys.argv[2]), sys.argv[3]
def append(number):
    store.append(fields.model_copy(update={"row_id": f"{name}-{number}"}))
    print(f"{name}-{number}", flush=True)
"""


@pytest.fixture
def store(tmp_path):
    return RowStore(tmp_path / "results")


def start(script, folder, row, name="w"):
    command = [sys.executable, "-c", APPEND + script, str(folder), row.to_line().decode(), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_rows_come_back_in_order(store, row):
    rows = [row(row_id=f"cell-{number}", seed=number) for number in range(3)]
    for each in rows:
        store.append(each)
    assert store.read() == rows
    assert len(store.rows.read_text().splitlines()) == 3


def test_an_empty_or_missing_folder_has_no_rows(store):
    assert store.read() == []
    store.check_writable()
    assert store.read() == []
    assert store.latest_ok("cell-0") is None


def test_the_latest_ok_row_of_a_cell_is_found(store, row):
    store.append(row(seed=1))
    store.append(row(seed=2))
    store.append(row(seed=3, status="error", error=FAILURE))
    store.append(row(seed=4, row_id="other"))
    assert store.latest_ok("cell-0").seed == 2
    assert store.latest_ok("missing") is None


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(), min_size=1, max_size=4), data=st.data())
def test_a_cut_anywhere_in_the_last_row_loses_no_other(row, texts, data):
    with tempfile.TemporaryDirectory() as folder:
        store = RowStore(Path(folder))
        rows = [row(row_id=f"cell-{number}", command=[text]) for number, text in enumerate(texts)]
        for each in rows:
            store.append(each)
        assert store.read() == rows
        whole = store.rows.read_bytes()
        line = sealed(rows[-1].to_line())
        last = len(line)
        lost = data.draw(st.integers(1, last), label="bytes lost")
        store.rows.write_bytes(whole[:-lost])

        kept = rows if lost == 1 else rows[:-1]  # without its newline alone the row is whole
        torn = [] if lost in (1, last) else [len(rows)]
        assert store.scan().rows == kept
        assert [damage.line for damage in store.scan().damage] == torn

        added = row(row_id="added")
        with pytest.warns(UserWarning, match="torn") if torn else contextlib.nullcontext():
            store.append(added)
        assert store.scan().rows == [*kept, added]
        assert store.scan().damage == []
        assert all(json.loads(line) for line in store.rows.read_bytes().splitlines())
        aside = store.torn.read_bytes() if torn else b"\n"
        assert aside == (line[:-lost] if torn else b"") + b"\n"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_costs_that_row_alone(row, data):
    with tempfile.TemporaryDirectory() as folder:
        store = RowStore(Path(folder))
        rows = [row(row_id=f"cell-{number}") for number in range(3)]
        for each in rows:
            store.append(each)
        content = bytearray(store.rows.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1), label="byte")
        content[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        store.rows.write_bytes(bytes(content))
        try:
            found = store.scan()
        except StoreError:  # of another schema, as far as one can see
            return
        told = [each.model_dump() for each in rows]  # a name of the check itself that is flipped adds a field
        assert all({name: each.model_dump()[name] for name in told[0]} in told for each in found.rows)
        assert len(found.rows) >= 1
        assert len(found.rows) == 3 or found.damage


def test_lines_without_a_check_are_read(store, row):
    store.rows.parent.mkdir(exist_ok=True, parents=True)
    store.rows.write_bytes(row().to_line())
    assert store.read() == [row()]


def test_reading_warns_of_a_torn_line(store, row):
    store.append(row())
    with store.rows.open("ab") as file:
        file.write(b'{"schema_version": 1, "row_id": "ce')
    with pytest.warns(UserWarning, match=r"rows\.jsonl:2: torn.*not counted"):
        assert store.read() == [row()]


def test_a_torn_line_longer_than_a_block_is_moved_whole(store, row):
    store.append(row())
    torn = b'{"' + b"x" * 200_000
    with store.rows.open("ab") as file:
        file.write(torn)
    with pytest.warns(UserWarning, match="torn"):
        store.append(row(row_id="next"))
    assert store.torn.read_bytes() == torn + b"\n"
    assert [each.row_id for each in store.read()] == ["cell-0", "next"]


@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=60))
def test_garbage_between_rows_is_reported_and_the_others_read(row, garbage):
    with tempfile.TemporaryDirectory() as folder:
        store = RowStore(Path(folder))
        line = row().to_line()
        store.rows.write_bytes(line + garbage + b"\n" + line)
        contents = store.scan()
        assert contents.rows == [row(), row()]
        assert len(contents.damage) == sum(1 for each in garbage.split(b"\n") if each.strip())


def test_damage_names_the_line_and_the_field(store, row, fields):
    store.append(row())
    with store.rows.open("a") as file:
        file.write(json.dumps(fields | {"seed": "many"}) + "\n")
    damage = store.scan().damage[0]
    assert (damage.line, "seed" in damage.reason) == (2, True)


def test_rows_of_an_unknown_schema_are_an_error_that_says_what_to_do(store, row, fields):
    store.append(row())
    with store.rows.open("a") as file:
        file.write(json.dumps(fields | {"schema_version": 3}) + "\n")
    with pytest.raises(StoreError, match=r"rows\.jsonl:2: a row of schema_version 3.*install"):
        store.read()


def test_processes_append_side_by_side(store, row):
    workers = [start("for number in range(15): append(number)", store.folder, row(), f"w{w}") for w in range(4)]
    confirmed = [line for worker in workers for line in worker.communicate()[0].split()]
    assert [worker.returncode for worker in workers] == [0] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = [each.row_id for each in store.read()]
    assert sorted(written) == sorted(confirmed)
    assert len(written) == 60
    for name in ("w0", "w3"):
        mine = [int(each.split("-")[1]) for each in written if each.startswith(name)]
        assert mine == sorted(mine)


def test_a_kill_at_any_moment_loses_no_confirmed_row(store, row):
    confirmed = []
    rng = random.Random(0)
    for name in range(4):
        worker = start("for number in range(10**6): append(number)", store.folder, row(), f"w{name}")
        confirmed.append(worker.stdout.readline().strip())
        time.sleep(rng.random() / 5)
        worker.send_signal(signal.SIGKILL)
        confirmed += worker.communicate()[0].split()
    read = [each.row_id for each in store.read()]
    assert set(confirmed) <= set(read)
    assert len(read) == len(set(read))
    assert len(read) <= len(confirmed) + 4


def test_a_kill_in_the_middle_of_a_write_is_recovered_from(store, row):
    script = """
import os
append(0)
write = os.write
def die(handle, data):
    write(handle, data[: len(data) // 2])
    os.kill(os.getpid(), 9)
os.write = die
append(1)
"""
    worker = start(script, store.folder, row())
    assert worker.communicate()[0].split() == ["w-0"]
    assert worker.returncode == -signal.SIGKILL
    with pytest.warns(UserWarning, match="torn"):
        assert [each.row_id for each in store.read()] == ["w-0"]
    with pytest.warns(UserWarning, match="moved to"):
        store.append(row())
    assert [each.row_id for each in store.read()] == ["w-0", "cell-0"]


def test_a_full_disk_is_an_error_that_leaves_the_file_as_it_was(store, row):
    script = """
import resource, signal
from unlearnbench.errors import StoreError
append(0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = (Path(sys.argv[1]) / "rows.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
try:
    append(1)
except StoreError as error:
    print(error)
"""
    said = start(script, store.folder, row()).communicate()[0].splitlines()
    assert said[0] == "w-0"
    assert "rows.jsonl: cannot be written" in said[1]
    assert len(said) == 2
    assert store.scan().damage == []
    assert [each.row_id for each in store.read()] == ["w-0"]


def test_an_unwritable_folder_is_said_early(tmp_path):
    (tmp_path / "file").write_text("")
    RowStore(tmp_path / "missing" / "results").check_writable()  # parents are made
    for folder in (tmp_path / "file", Path("/proc/results"), tmp_path / "file" / "x"):
        with pytest.raises(StoreError, match="--results") as caught:
            RowStore(folder).check_writable()
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_rows_that_are_no_file_are_said_early(store, row):
    store.rows.mkdir(parents=True)
    with pytest.raises(StoreError, match="not a file"):
        store.check_writable()
    with pytest.raises(StoreError, match=r"rows\.jsonl: cannot be written"):
        store.append(row())
    with pytest.raises(StoreError, match=r"rows\.jsonl: cannot be read"):
        store.read()


def test_samples_come_back_as_they_were(store, row):
    records = [{"id": "p/0", "prediction": "it\u2028is \x85 é\r\n", "logprobs": [-1.5, -0.25]}, {"id": "p/1"}]
    samples = store.write_samples("cell-0", records)
    assert samples.path.startswith("samples/cell-0-")
    store.append(row(samples=samples.model_dump()))
    assert store.read_samples(store.read()[0]) == records
    assert [path.name for path in (store.folder / "samples").iterdir()] == [Path(samples.path).name]


def test_numbers_of_a_diverged_model_are_null_in_the_samples(store, row):
    records = [{"logprobs": [float("nan"), float("-inf"), -1.0]}]
    samples = store.write_samples("cell-0", records)
    assert "NaN" not in (store.folder / samples.path).read_text()
    assert store.read_samples(row(samples=samples.model_dump())) == [{"logprobs": [None, None, -1.0]}]


def test_another_run_of_a_cell_leaves_the_samples_of_the_first_alone(store, row):
    first = row(samples=store.write_samples("cell-0", [{"id": 1}]).model_dump())
    second = row(samples=store.write_samples("cell-0", [{"id": 2}]).model_dump())
    assert [store.read_samples(each)[0]["id"] for each in (first, second)] == [1, 2]


def test_changed_and_missing_samples_are_refused(store, row):
    made = row(samples=store.write_samples("cell-0", [{"id": 1}]).model_dump())
    path = store.folder / made.samples.path
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(StoreError, match="changed since"):
        store.read_samples(made)
    path.unlink()
    with pytest.raises(StoreError, match="cannot read"):
        store.read_samples(made)
    with pytest.raises(StoreError, match="has no samples"):
        store.read_samples(row(samples=None))


@pytest.mark.parametrize("path", ["../secret", "samples/../../secret", "{outside}", "samples/link", "a\0b"])
def test_samples_outside_the_folder_are_never_read(store, row, tmp_path, path):
    secret = tmp_path / "secret"
    secret.write_text("{}\n")
    (store.folder / "samples").mkdir(parents=True)
    (store.folder / "samples" / "link").symlink_to(secret)
    sha256 = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
    evil: Row = row(samples={"path": path.format(outside=secret), "sha256": sha256})
    with pytest.raises(StoreError):
        store.read_samples(evil)


def test_each_of_many_rows_is_read_once(store, row, monkeypatch):
    """`benchmarks.many_rows` says what that costs in seconds."""
    store.check_writable()
    store.rows.write_bytes(row().to_line() * 1000)
    parsed, parse = [], Row.model_validate_json
    monkeypatch.setattr(Row, "model_validate_json", lambda line: parsed.append(len(line)) or parse(line))
    assert len(store.read()) == len(parsed) == 1000
