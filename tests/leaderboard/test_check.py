"""What is refused, and with which words: each test spoils one thing of a sound leaderboard, as a stranger could."""

import base64
import gzip
import json
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaderboard.made_up import (
    add_references,
    board_in,
)
from tests.leaderboard.spoiled import edited_samples, half, lines_of, refused, repacked, spoil, write
from unlearnbench.errors import DataError
from unlearnbench.leaderboard import submission as submission_module
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.leaderboard.submission import read
from unlearnbench.results.store import RowStore


def test_an_edited_metric(sound):
    spoil(sound, lambda f: f["row"]["metrics"]["forget.exact_match"].update(value=0.01), which=half)
    refused(sound, "half fiubench seed 0", "forget.exact_match.value is 0.01, and its samples give")


@pytest.mark.parametrize("key", ["ci_low", "ci_high", "n", "higher_is_better", "reason"])
def test_an_edited_interval_or_direction(sound, key):
    spoil(sound, lambda f: f["row"]["metrics"]["forget.min_k"].update({key: 1}), which=half)
    refused(sound, "forget.min_k", key)


def test_an_edited_sample(sound):
    edited_samples(sound, lambda records: records[0].update(prediction="nothing"))
    refused(sound, "not those that it was computed from")


def test_an_edited_sample_with_its_digest_put_right(sound):
    edited_samples(sound, lambda records: records[0].update(prediction="nothing"), honest=True)
    refused(sound, "and its samples give")


def test_another_truth_in_the_samples(sound):
    """A row can agree with its samples and still have been marked against other answers."""
    edited_samples(sound, lambda records: records[0].update(keywords=["anything"]), honest=True)
    refused(sound, "keywords is not as in the reference's")


def test_samples_left_out_or_doubled(sound):
    edited_samples(sound, lambda records: records.pop(), honest=True)
    refused(sound, "1 are on one side alone")


def test_an_edited_summary(sound):
    def change(fields):
        fields["examples"][0]["prediction"] = "a lie"

    spoil(sound, change, kind="summary", which=lambda f: f.get("examples"))
    refused(sound, "its summary is not that of its samples")


def test_edited_values_of_single_questions(sound):
    def change(fields):
        of = fields["values"]["forget.probability"]
        of[next(iter(of))][0] = 0.0

    spoil(sound, change, kind="summary", which=lambda f: f.get("values"))
    refused(sound, "its summary is not that of its samples")


def test_a_changed_file_whose_digest_was_not_put_right(sound):
    spoil(sound, lambda f: f["row"]["cost"].update(train_seconds=2.5), sealed=False)
    refused(sound, "first.jsonl", "changed since it was written")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row["method"].update(name="<script>alert(1)</script>"), ["not a name that a plug-in can have"]),
        (lambda row: row["samples"].update(path="../../etc/passwd"), ["samples.path", "leads out of its folder"]),
        (lambda row: row.update(schema_version=3), ["schema_version 3", "install the version that wrote it"]),
        (lambda row: row["cost"].update(train_seconds=1e308), ["cost.train_seconds", "not plausible"]),
        (lambda row: row["metrics"]["forget.rouge_l"].update(value=1e308), ["forget.rouge_l: 1e+308 is not plausible"]),
        (lambda row: row["cost"].update(eval_seconds=-1), ["cost.eval_seconds", "not plausible"]),
        (lambda row: row["model"].update(dtype="float16"), ["model.dtype", "wants"]),
        (lambda row: row["model"].update(name="another"), ["model 'another' is not on this leaderboard"]),
        (lambda row: row["model"].update(weights_digest="c" * 64), ["model.weights_digest", "its reference"]),
        (lambda row: row["task"]["data"].update(fingerprint="c" * 64), ["task.data", "its reference 'finetune' has"]),
        (lambda row: row["task"]["data"].update(source="folder"), ["task.data.source", "wants"]),
        (lambda row: row["task"]["options"].update(scorer="fiubench"), ["task.options.scorer", "wants"]),
        (lambda row: row["task"].update(version="0"), ["version"]),
        (lambda row: row["task"].update(split="forget 1 of 8"), ["task.split", "its reference 'finetune' has"]),
        (lambda row: row["task"]["protocol"].update(limited=True), ["only some of the questions"]),
        (lambda row: row["base"]["params"].update(epochs=99), ["base was trained with other hyperparameters"]),
        (lambda row: row.update(status="error", error={"type": "X", "message": "y"}), ["status error"]),
        (lambda row: row.update(samples=None), ["samples"]),
        (lambda row: row["metrics"].pop("forget.ape"), ["forget.ape: missing"]),
        (lambda row: row["metrics"].update(fame=row["metrics"]["forget.ape"]), ["fame: not a metric of the task"]),
        (lambda row: row["metrics"]["forget.ape"].update(value=None), ["needs a reason"]),
        (lambda row: row.update(row_id="../x"), ["row_id"]),
        (lambda row: row.update(seed=1, base_seed=1), ["half fiubench seed 1 is there already"]),
        (lambda row: row.update(seed=9, base_seed=9), ["seed 9 is none of this leaderboard's: 0, 1, 2"]),
        (lambda row: row.update(base_seed=9), ["has no 'finetune' on base seed 9"]),
        (lambda row: row["method"].update(params={"k": 1}), ["lacks seed 1, 2, and this leaderboard wants 0, 1, 2"]),
        (lambda row: row.pop("command"), ["command", "required"]),
    ],
)  # fmt: skip
def test_a_spoiled_row(sound, change, words):
    spoil(sound, lambda fields: change(fields["row"]), which=half)
    refused(sound, *words)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("where", ["value", "rate"])
def test_numbers_that_are_none(sound, number, where):
    lines = lines_of(sound)
    place = next(i for i, line in enumerate(lines) if b'"half"' in line)
    fields = json.loads(lines[place])
    if where == "value":
        fields["row"]["metrics"]["forget.rouge_l"]["value"] = "HERE"
    else:
        fields["row"]["method"]["params"]["rate"] = "HERE"
    lines[place] = json.dumps(fields).replace('"HERE"', number).encode() + b"\n"
    write(sound, lines)
    assert refused(sound, "first.jsonl:")[0].startswith(f"first.jsonl:{place + 1}: ")


def test_a_line_of_50_mb(sound):
    lines = lines_of(sound)
    lines.insert(2, b'{"row":{"notes":"' + b"x" * 50_000_000 + b'"}}\n')
    write(sound, lines)
    refused(sound, "first.jsonl:3: a line of more than 32 MiB")


def test_gzipped_samples_of_form_2_are_read(sound):
    before = [read(sound.submissions[0]).samples(row) for row in read(sound.submissions[0]).rows]
    repacked(sound, "gzip", gzip.compress)
    lines = lines_of(sound)
    write(sound, [lines[0].replace(b'"submission": 3', b'"submission": 2'), *lines[1:]])
    assert lines_of(sound)[0].startswith(b'{"submission": 2')
    found = read(sound.submissions[0])
    assert [found.samples(row) for row in found.rows] == before
    assert check(sound) == []


@pytest.mark.parametrize("form", ["xz", "gzip"])
def test_samples_that_unpack_without_end(sound, form):
    data = b"\n" * (submission_module.LARGEST_SAMPLES + 1)
    packed = lzma.compress(data, preset=0) if form == "xz" else gzip.compress(data, 1)
    repacked(sound, form, lambda _: packed)
    (found,) = map(read, sound.submissions)
    assert not found.problems
    with pytest.raises(DataError, match="its samples unpack to more than 64 MiB"):
        found.samples(found.rows[0])


@pytest.mark.parametrize("form", ["xz", "gzip"])
def test_samples_that_are_cut_short_or_of_another_form(sound, form):
    pack, other = (lzma.compress, gzip.compress) if form == "xz" else (gzip.compress, lzma.compress)
    repacked(sound, form, lambda data: pack(data)[:-9])
    refused(sound, "its samples are cut short")
    (found,) = map(read, sound.submissions)
    line = json.dumps({"samples": found.rows[0].row_id, form: base64.b64encode(other(b"{}")).decode()})
    lines = [each for each in lines_of(sound) if not each.startswith(b'{"samples":"' + found.rows[0].row_id.encode())]
    write(sound, [*lines, line.replace(" ", "").encode() + b"\n"])
    refused(sound, "its samples are damaged")


@pytest.mark.parametrize("more", [b"junk", None])
@pytest.mark.parametrize("form", ["xz", "gzip"])
def test_samples_with_something_behind_their_end(sound, form, more):
    """A second stream, say, which no digest covers."""
    pack = lzma.compress if form == "xz" else gzip.compress
    repacked(sound, form, lambda data: pack(data) + (more or pack(b"{}")))
    refused(sound, "its samples have something behind their end")


def test_samples_whose_unpacking_takes_too_much_memory(sound, monkeypatch):
    monkeypatch.setattr(submission_module, "LARGEST_DICTIONARY", 2**20)
    refused(sound, "its samples are damaged (Memory usage limit exceeded)")


def test_samples_that_are_larger_than_the_limit(sound, monkeypatch):
    monkeypatch.setattr(submission_module, "LARGEST_SAMPLES", 1000)
    refused(sound, "its samples unpack to more than")
    (found,) = map(read, sound.submissions)
    with pytest.raises(DataError, match="unpack to more"):
        found.samples(found.rows[0])


def test_duplicates_in_a_file_and_between_files(sound):
    lines = lines_of(sound)
    row = next(line for line in lines if line.startswith(b'{"row"'))
    write(sound, [*lines, row])
    refused(sound, "is there already, in line")
    write(sound, lines)
    (sound.rows / "second.jsonl").write_bytes(sound.submissions[0].read_bytes())
    refused(sound, "second.jsonl:", "is there already, in first.jsonl:")


def test_lines_that_are_nothing(sound):
    lines = lines_of(sound)
    for junk in (b"[1,2]\n", b"hello\n", b"{}\n", b'{"row":{},"row":{}}\n', b"\xff\xfe\n", b"[" * 5000 + b"\n"):
        write(sound, [*lines[:1], junk, *lines[1:]])
        refused(sound, "first.jsonl:2: ")


def test_a_file_that_is_no_submission(sound):
    (sound.rows / "rows.jsonl").write_bytes(lines_of(sound)[1])
    refused(sound, "rows.jsonl:1: no header of a submission")
    (sound.rows / "rows.jsonl").write_bytes(b"")
    refused(sound, "rows.jsonl: empty")


def test_a_header_of_another_board_and_a_link_that_is_none(sound):
    lines = lines_of(sound)
    write(sound, [json.dumps(json.loads(lines[0]) | {"board": "other"}).encode() + b"\n", *lines[1:]])
    refused(sound, "was made for the leaderboard 'other'")
    write(sound, [json.dumps(json.loads(lines[0]) | {"link": "javascript:alert(1)"}).encode() + b"\n", *lines[1:]])
    refused(sound, "first.jsonl:1", "link")


def test_pictures_outside_of_the_data(sound):
    def change(fields):
        fields["examples"][0]["image"] = "../../../etc/passwd"

    spoil(sound, change, kind="summary", which=lambda f: f.get("examples"))
    refused(sound, "'../../../etc/passwd' leads out of the data's folder")


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_flipped_byte_gets_through(tmp_path_factory, data):
    board = flipped_board(tmp_path_factory)
    whole = board.submissions[0].read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    spoiled = bytearray(whole)
    spoiled[place] ^= bit
    try:
        board.submissions[0].write_bytes(spoiled)
        unchecked = whole[: whole.index(b"\n")]  # who sent it, and when, are told and not checked
        if place > len(unchecked):
            assert check(board, [board.rows / "none"])
        else:
            check(board, [board.rows / "none"])
    finally:
        board.submissions[0].write_bytes(whole)


_boards = {}


def flipped_board(tmp_path_factory):
    """One board for all examples."""
    if "board" not in _boards:
        folder = tmp_path_factory.mktemp("flipped")
        store = RowStore(folder / "results")
        store.check_writable()
        add_references(store)
        _boards["board"] = read_board(board_in(folder / "made-up"))
        assert not add(_boards["board"], store, _boards["board"].rows / "first.jsonl").problems
    return _boards["board"]
