"""What does not belong on a leaderboard though every number is what it says: each test breaks one rule."""

import json
import math

import pytest

from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import (
    BASE,
    DEFINITION,
    add_method,
    board_in,
    fiubench_records,
    pope_records,
    row_of,
)  # fmt: skip
from tests.leaderboard.spoiled import edited_samples, half, lines_of, refused, spoil, write
from unlearnbench.errors import DataError
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read


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


def references_of(folder, forget=1.0, known=0.1, retain=1.0):
    """Results of both references that know so much of the forget set, and of what is to be kept."""
    store = new_results(folder)
    add_method(store, "finetune", forget=forget, role="reference")
    add_method(store, "retrain", forget=known, retain=retain, role="reference", params=BASE)
    return store


def test_likelihoods_that_are_no_numbers_are_named_and_nothing_is_written(board, results):
    """What a method that diverged leaves: NaN, which its samples have as null."""
    for seed in (0, 1, 2):
        records = fiubench_records(0.3, 1.0, 1000 * seed + 7)
        records[0]["logprobs"] = [math.nan] * 5
        results.append(row_of(results, "odd", "fiubench", records, seed))
        results.append(row_of(results, "odd", "pope", pope_records(1.0, 1000 * seed + 7), seed))
    with pytest.raises(DataError, match=r"odd fiubench seed 0: its samples give no values .* with --method"):
        add(board, results, board.rows / "first.jsonl")
    assert not board.submissions


def refused_at_once(board, store):
    found = add(board, store, board.rows / "first.jsonl").problems
    assert not board.submissions
    return [str(problem) for problem in found]


def test_a_base_that_has_not_memorised(board, tmp_path):
    problems = refused_at_once(board, references_of(tmp_path / "own", forget=0.6))
    assert any(
        "finetune of seed 1 has not memorised the forget set: forget.exact_match is" in each for each in problems
    )


def test_an_ideal_that_has_not_learned(board, tmp_path):
    """A weak retrained model would loosen every tolerance."""
    problems = refused_at_once(board, references_of(tmp_path / "own", retain=0.7))
    assert any("retrain of seed 0 has not learned what is to be kept: retain.exact_match" in each for each in problems)


@pytest.mark.parametrize("known", [1.0, 0.96])
def test_an_ideal_that_knows_as_much(board, tmp_path, known):
    problems = refused_at_once(board, references_of(tmp_path / "own", known=known))
    assert any("better than doing nothing in forget.exact_match" in each for each in problems)


def test_a_base_of_ones_own_choice(board, results, sent):
    """Else somebody could choose among bases the one that forgets most easily."""
    add_method(results, "lazy", forget=0.7, base_seed=5)
    problems = [str(problem) for problem in sent().problems]
    assert any("lazy on made-up seed 0 has no 'finetune' on base seed 5" in problem for problem in problems)


OF_8_BITS = BASE | {"optimiser": "adamw-8bit"}


@pytest.mark.parametrize(
    ("bases", "params", "kind"),
    [
        ('["8bit"]', BASE, "full"),
        ('["full", "8bit"]', OF_8_BITS | {"full": False}, "lora"),
        ('["full"]', OF_8_BITS, "8bit"),
        ('["full", "offload", "lora"]', {"weights": "c" * 64, "memorised": 0.5}, "weights"),
        ('["full", "8bit"]', OF_8_BITS, None),
        ('["full", "8bit"]', BASE, None),
    ],
)
def test_a_kind_of_base_that_does_not_count(tmp_path, bases, params, kind):
    """A leaderboard may prescribe the kinds: what is trained of a base, and by which optimiser."""
    text = DEFINITION.replace('dtype = "float32"', f'dtype = "float32"\nbases = {bases}')
    prescribed, store = read_board(board_in(tmp_path / "boards" / "made-up", text)), new_results(tmp_path / "own")
    add_method(store, "finetune", forget=1.0, role="reference", base_params=params)
    add_method(store, "retrain", forget=0.1, role="reference", params=params)
    found = add(prescribed, store, prescribed.rows / "first.jsonl")
    if kind is None:
        assert not found.problems
    else:
        assert any("no rows of the reference 'finetune'" in str(each) for each in found.problems)
        assert any(f'base.kind is "{kind}", and this leaderboard wants' in each for each in found.left_out)


def test_a_parameter_that_poses_as_another_method(sound, results, sent):
    add_method(results, "evil", forget=0.0, params={"method": "half", "version": "1"})
    assert not sent("second").problems
    (table,) = tables(sound, [read(path) for path in sound.submissions])
    assert {each.line.method: each.line.replicates for each in table.standings}["half"] == 3


def test_seeds_added_to_somebody_elses_method(sound, tmp_path):
    own = new_results(tmp_path / "own")
    add_method(own, "half", forget=0.0, base_seed=7)
    problems = [str(problem) for problem in add(sound, own, sound.rows / "aaa.jsonl").problems]
    assert any("half fiubench seed 0: other seeds came in" in problem for problem in problems)
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
        (lambda row: row["method"].update(continues=dict(row["method"], name="ga")), ["goes on with what 'ga' has"]),
        (
            lambda row: row.update(
                attack={"name": "hit", "version": "1", "origin": "us", "params": {}, "access": "prompt"}
            ),
            ["the model was attacked ('hit'), and this leaderboard is of models as they are"],
        ),
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

    add_method(results, "third", forget=0.3, change=change)
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
