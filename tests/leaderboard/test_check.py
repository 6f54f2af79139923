"""What is refused, and with which words: each test spoils one thing of a sound leaderboard, as a stranger could."""

import base64
import gzip
import hashlib
import json
import math
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaderboard.made_up import (
    BASE,
    add_method,
    add_references,
    board_in,
    fiubench_records,
    pope_records,
    row_of,
)
from unlearnbench.errors import DataError
from unlearnbench.leaderboard import submission as submission_module
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.results.store import RowStore


@pytest.fixture
def sound(board, results, once):
    """A leaderboard with one submission of three methods, nothing wrong; the results have them all."""

    def write(folder):
        here, store = read_board(board_in(folder / "made-up")), RowStore(shutil.copytree(results.folder, folder / "r"))
        add_method(store, "half", forget=0.5)
        assert not add(here, store, here.rows / "first.jsonl").problems
        assert check(here) == []

    written = once("sound", write)
    shutil.copytree(written / "made-up", board.folder, dirs_exist_ok=True)
    shutil.copytree(written / "r", results.folder, dirs_exist_ok=True)
    return board


def lines_of(board):
    return board.submissions[0].read_bytes().splitlines(keepends=True)


def write(board, lines, *, sealed=True):
    """The file with these lines; a stranger can put its digest right too."""
    header = json.loads(lines[0])
    if sealed:
        header["sha256"] = hashlib.sha256(b"".join(lines[1:])).hexdigest()
    board.submissions[0].write_bytes(json.dumps(header).encode() + b"\n" + b"".join(lines[1:]))


def spoil(board, change, *, kind="row", which=lambda fields: True, sealed=True):
    """Change the first line of this kind that ``which`` holds of; its fields are changed in place."""
    lines = lines_of(board)
    for place, line in enumerate(lines[1:], start=1):
        fields = json.loads(line)
        if kind in fields and which(fields):
            change(fields)
            lines[place] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
            break
    else:
        raise AssertionError("nothing to spoil")
    write(board, lines, sealed=sealed)


def refused(board, *words):
    problems = [str(problem) for problem in check(board)]
    assert any(all(word in problem for word in words) for problem in problems), problems
    return problems


def half(fields):
    return fields["row"]["method"]["name"] == "half" and fields["row"]["task"]["name"] == "fiubench"


def test_an_edited_metric(sound):
    spoil(sound, lambda f: f["row"]["metrics"]["forget.exact_match"].update(value=0.01), which=half)
    refused(sound, "half fiubench seed 0", "forget.exact_match.value is 0.01, and its samples give")


@pytest.mark.parametrize("key", ["ci_low", "ci_high", "n", "higher_is_better", "reason"])
def test_an_edited_interval_or_direction(sound, key):
    spoil(sound, lambda f: f["row"]["metrics"]["forget.min_k"].update({key: 1}), which=half)
    refused(sound, "forget.min_k", key)


def edited_samples(board, change, *, honest=False):
    """Change the records of the method ``half``; ``honest`` puts the row's digest of them right too."""
    lines = lines_of(board)
    its = next(
        json.loads(line)["row"]["row_id"] for line in lines[1:] if b'"row"' in line[:7] and half(json.loads(line))
    )
    place = next(i for i, line in enumerate(lines) if line.startswith(f'{{"samples":"{its}"'.encode()))
    fields = json.loads(lines[place])
    records = [json.loads(line) for line in gzip.decompress(base64.b64decode(fields["gzip"])).splitlines()]
    change(records)
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    fields["gzip"] = base64.b64encode(gzip.compress(data)).decode()
    lines[place] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    if honest:
        for i, line in enumerate(lines[1:], start=1):
            row = json.loads(line)
            if "row" in row and row["row"]["row_id"] == fields["samples"]:
                row["row"]["samples"]["sha256"] = hashlib.sha256(data).hexdigest()
                lines[i] = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    write(board, lines)


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
        (lambda row: row.update(seed=9, base_seed=9), ["has no 'finetune' on base seed 9"]),
        (lambda row: row["method"].update(params={"k": 1}), ["1 seed, and this leaderboard wants 2"]),
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


def test_samples_that_unpack_without_end(sound, monkeypatch):
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


@pytest.mark.parametrize("missing", ["finetune", "retrain"])
def test_no_ranking_without_both_references(sound, missing):
    lines = lines_of(sound)
    gone = {
        json.loads(line)["row"]["row_id"].encode()
        for line in lines
        if line.startswith(b'{"row"') and f'"{missing}"'.encode() in line
    }
    write(sound, [line for line in lines if not any(row_id in line for row_id in gone)])
    refused(sound, f"no rows of the reference '{missing}'")


def test_a_base_that_has_not_memorised(board, results, sent):
    add_method(results, "half", forget=0.5, seeds=(5, 6))
    add_method(results, "finetune", forget=0.4, seeds=(5, 6), role="reference")
    add_method(results, "retrain", forget=0.1, seeds=(5, 6), role="reference", params=BASE)
    problems = [str(problem) for problem in sent().problems]
    assert any("has not memorised the forget set" in problem for problem in problems)
    assert not board.submissions


@pytest.mark.parametrize("known", [1.0, 0.96])
def test_an_ideal_that_knows_as_much(board, results, sent, known):
    """In one seed of three: that seed could not be scored."""
    add_method(results, "finetune", forget=1.0, seeds=(5,), role="reference")
    add_method(results, "retrain", forget=known, seeds=(5,), role="reference", params=BASE)
    problems = [str(problem) for problem in sent().problems]
    assert any("better than doing nothing in forget.exact_match" in problem for problem in problems)


def test_references_of_other_seeds_than_each_other(board, results, sent):
    """Else a stranger's weak ideal could be the measure of the stranger's method."""
    add_method(results, "retrain", forget=0.7, seeds=(7, 8), role="reference", params=BASE, base_seed=0)
    add_method(results, "lazy", forget=0.7, seeds=(7, 8), base_seed=0)
    problems = [str(problem) for problem in sent().problems]
    assert any("'finetune' and 'retrain' have not the same seeds" in problem for problem in problems)


def test_a_parameter_that_poses_as_another_method(sound, results, sent):
    add_method(results, "evil", forget=0.0, seeds=(7, 8), params={"method": "half", "version": "1"}, base_seed=0)
    assert not sent("second").problems
    (table,) = tables(sound, [read(path) for path in sound.submissions])
    assert {each.line.method: each.line.replicates for each in table.standings}["half"] == 3


def test_seeds_added_to_somebody_elses_method(sound, results, sent):
    add_method(results, "half", forget=0.0, seeds=(7, 8), base_seed=0)
    problems = [str(problem) for problem in sent("aaa").problems]
    assert any("half fiubench seed 7: other seeds came in first.jsonl" in problem for problem in problems)
    assert [path.name for path in sound.submissions] == ["first.jsonl"]


def test_one_run_under_several_seeds(board, results, sent):
    records = fiubench_records(0.5, 1.0, 1)
    for seed in (0, 1, 2):
        results.append(row_of(results, "copied", "fiubench", records, seed))
        results.append(row_of(results, "copied", "pope", pope_records(1.0, seed), seed))
    problems = [str(problem) for problem in sent().problems]
    assert any("copied fiubench seed 1 has the very samples of seed 0" in problem for problem in problems)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row["method"].update(role="reference"), ["role 'reference'", "finetune, retrain"]),
        (lambda row: row["method"].update(frozen_weights=None), ["frozen_weights is not told"]),
        (lambda row: row["model"].update(template_digest="c" * 64), ["model.template_digest", "its reference"]),
        (lambda row: row.update(base={"params": 5}), ["base.params"]),
        (lambda row: row.update(base={"params": None}), ["base.params"]),
        (lambda row: row["cost"].update(trainable_parameters=10**400), ["cost.trainable_parameters: too large"]),
        (lambda row: row["metrics"]["forget.ape"].update(n=10**400), ["metrics.forget.ape.n: too large"]),
        (lambda row: row.update(started_at="0001-01-01T00:00:00+14:00"), ["started_at", "not a moment"]),
        (lambda row: row["method"].update(name="cagul"), ["frozen_weights is False, and of cagul it is True"]),
    ],
)
def test_more_spoiled_rows(sound, change, words):
    spoil(sound, lambda fields: change(fields["row"]), which=half)
    refused(sound, *words)


@pytest.mark.parametrize(
    "change",
    [
        lambda records: [each.update(unique_id="one") for each in records],
        lambda records: [each.update(paraphrased_predictions=[]) for each in records],
        lambda records: [each.update(logprobs=each["logprobs"][:1]) for each in records],
        lambda records: [each.update(perturbed_logprobs=[]) for each in records],
        lambda records: records[0].update(group="other"),
        lambda records: records[0].update(id=["a list"]),
        lambda records: records[0].pop("id"),
        lambda records: records[0].update(logprobs=[10**400]),
        lambda records: records.__setitem__(0, [1, 2]),
        lambda records: records[0].update(prediction={"__proto__": 1}),
    ],
)
def test_records_changed_with_digests_put_right(sound, change):
    """Of a method, not of the reference: whatever could move a metric or a resample is given and not the model's."""
    edited_samples(sound, change, honest=True)
    problems = refused(sound, "first.jsonl")
    assert all("Traceback" not in each and "\n" not in each for each in problems)


def test_names_of_files_and_links(sound, tmp_path):
    whole = sound.submissions[0]
    (sound.rows / "link.jsonl").symlink_to(whole)
    refused(sound, "link.jsonl: a link: send a file of its own")
    (sound.rows / "link.jsonl").unlink()
    (sound.rows / "loop.jsonl").symlink_to(sound.rows / "loop.jsonl")
    refused(sound, "loop.jsonl: a link")
    (sound.rows / "loop.jsonl").unlink()
    (sound.rows / "<b>.jsonl").write_bytes(whole.read_bytes())
    refused(sound, "<b>.jsonl: not a name of letters")


def test_a_second_submitter_with_another_batch_size_and_folder(sound, results, sent):
    """What changes no result keeps nobody out; a digest tells what data are, wherever they came from."""

    def change(fields):
        fields["task"]["options"]["batch_size"] = 7
        fields["task"]["data"].update(id="elsewhere", revision="newer")

    add_references(results, seeds=(3, 4), change=change)
    add_method(results, "third", forget=0.3, seeds=(3, 4), change=change)
    assert not sent("second").problems
    assert check(sound) == []


def test_sums_that_differ_in_their_last_digit(sound):
    def change(fields):
        sums = fields["clusters"]["forget.min_k"]
        name = next(iter(sums))
        sums[name][0] = math.nextafter(sums[name][0], math.inf)

    spoil(sound, change, kind="summary", which=lambda f: "forget.min_k" in f["clusters"])
    assert check(sound) == []


def test_only_some_submissions_are_computed_again(sound, results, sent):
    add_method(results, "other", forget=0.3)
    assert not sent("second").problems
    spoil(sound, lambda f: f["row"]["metrics"]["forget.ape"].update(value=0.01), which=half)
    assert check(sound, [sound.rows / "second.jsonl"]) == []
    assert check(sound, [sound.rows / "first.jsonl"]) != []


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
        add_references(store, seeds=(0, 1))
        _boards["board"] = read_board(board_in(folder / "made-up"))
        assert not add(_boards["board"], store, _boards["board"].rows / "first.jsonl").problems
    return _boards["board"]
