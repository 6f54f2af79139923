"""How one would win without forgetting, tried on a board's own references: made-up rows, and the rows that ship."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.leaderboard.cheats import rewritten
from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import add_references, board_in
from unlearnbench.leaderboard.check import summarised, task_of
from unlearnbench.leaderboard.definition import find, read_board
from unlearnbench.leaderboard.rules import problems
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import RowSummary, Submission, read
from unlearnbench.results.store import RowStore

TINY = "private-attributes-tiny"


class Source:
    """A board and the rows of its two references on one model, with their samples."""

    def __init__(self, board, rows, records, summaries):
        self.board, self.rows, self.summaries = board, rows, summaries
        self.forgetting = {
            (row.method.name, row.seed): (row, records(row)) for row in rows if row.task.name == "fiubench"
        }

    def made(self, name, rewrite, *, of="finetune", role="method", seeds=(0, 1, 2)):
        """Rows and summaries of a method: fiubench's rewritten, those of other tasks as ``of`` has them."""
        found = []
        for row in self.rows:
            if row.method.name != of or row.seed not in seeds:
                continue
            update = {"name": name, "role": role} | ({"params": {}} if role == "method" else {})
            method = row.method.model_copy(update=update | {"frozen_weights": False})
            changes = {"row_id": f"{name}-{row.task.name}-{row.seed}", "method": method}
            if role == "method":
                changes["base"] = self.forgetting["finetune", row.seed][0].base
            summary = RowSummary(summary=changes["row_id"])
            if row.task.name == "fiubench":
                nothing, retrained = (self.forgetting[each, row.seed][1] for each in ("finetune", "retrain"))
                records = rewrite(nothing, retrained, row.seed)
                summary = summarised(row.model_copy(update=changes), task_of(row), records)
                changes["metrics"] = {name: valued(each, summary, name) for name, each in row.metrics.items()}
                changes["samples"] = row.samples.model_copy(update={"sha256": f"{row.seed:064x}"})
            found.append((row.model_copy(update=changes), summary))
        return found

    def submission(self, *methods, without=()):
        """Both references but those of ``without``, and the methods' rows."""
        kept = [row for row in self.rows if row.method.name not in without]
        parts = [(row, self.summaries[row.row_id]) for row in kept] + [part for each in methods for part in each]
        return Submission(
            Path("made-up.jsonl"),
            rows=[row for row, _ in parts],
            lines={row.row_id: place for place, (row, _) in enumerate(parts, start=2)},
            summaries={row.row_id: summary for row, summary in parts},
        )

    def standing(self, rewrite, of="finetune", **others):
        """Where a method stands beside the references and ``others``."""
        methods = [self.made(name, each) for name, each in others.items()]
        submission = self.submission(self.made("cheat", rewrite, of=of), *methods)
        assert problems(self.board, [submission]) == []
        (table,) = tables(self.board, [submission])
        found = {each.line.method: each for each in table.standings}
        return found if others else found["cheat"]


def valued(metric, summary, name):
    """The metric with the mean of what the summary says; those that no summary tells stay."""
    if not (of := summary.clusters.get(name)):
        return metric
    value = sum(total for total, _ in of.values()) / sum(n for _, n in of.values())
    return metric.model_copy(update={"value": value})


@pytest.fixture(scope="module", params=["made up", TINY])
def source(request, once, tmp_path_factory):
    if request.param == "made up":
        store = RowStore(once("references", lambda folder: add_references(new_results(folder))))
        rows = store.read()
        summaries = {row.row_id: summarised(row, task_of(row), store.read_samples(row)) for row in rows}
        board = read_board(board_in(tmp_path_factory.mktemp("boards") / "made-up"))
        return Source(board, rows, store.read_samples, summaries)
    board = find(TINY)
    board = replace(board, definition=board.definition.model_copy(update={"attacks": {}}))  # nobody attacks these
    for submission in map(read, board.submissions):
        names = {board.definition.references.nothing, board.definition.references.ideal}
        model = next(iter(board.definition.models))
        rows = [row for row in submission.rows if row.method.name in names and row.model.name == model]
        rows = [row for row in rows if row.attack is None]
        if rows:
            return Source(board, rows, submission.samples, submission.summaries)
    pytest.skip("the board has no rows yet")


def test_doing_nothing_is_0_and_leaks(source):
    found = source.standing(lambda nothing, retrained, seed: nothing)
    assert found.score.mean == pytest.approx(0.0)
    assert found.verdict == "leaks"


def test_a_second_retraining_is_first_and_erased(source):
    found = source.standing(
        rewritten.second_retraining, of="retrain", silent=rewritten.silent, flat=rewritten.flattened,
        half=rewritten.removing(0.5),
    )  # fmt: skip
    assert found["cheat"].verdict == "erased"
    assert found["cheat"].rank == 1
    assert next(name for name, each in found.items() if each.line.is_method) == "cheat"
    assert found["cheat"].score.mean > 0.9
    assert found["half"].rank is None or found["half"].rank > 1  # too wide an interval has none


@pytest.mark.parametrize("rewrite", [rewritten.silent, rewritten.refusing, rewritten.others_facts])
def test_silence_refusals_and_others_facts_over_the_same_likelihoods_are_hidden_and_score_0(source, rewrite):
    found = source.standing(rewrite)
    assert found.verdict == "hidden"
    assert found.score.mean == pytest.approx(0.0, abs=1e-9)
    assert found.levels["text"].mean > 0.9
    assert found.levels["logits"].mean == pytest.approx(0.0, abs=1e-9)


def test_gibberish_is_broken_or_overdone(source):
    assert source.standing(rewritten.gibberish).verdict in ("broken", "overdone")


def test_what_makes_everything_unlikely_is_overdone_and_told_at_once(source):
    found = source.standing(rewritten.flattened)
    assert found.verdict == "overdone"
    assert found.trace.mean > 0.8


@pytest.mark.parametrize("rewrite", [rewritten.unlikely_template, rewritten.unlikely_training_answer])
def test_likelihoods_lowered_where_one_metric_looks_are_hidden(source, rewrite):
    found = source.standing(rewrite)
    assert found.verdict == "hidden"
    assert found.score.mean < 0.2


@pytest.mark.parametrize("by", [0.3, 0.1, 0.03, 0.003])
def test_a_temperature_that_makes_the_truth_as_unlikely_as_the_ideal_finds_it_is_hidden(source, by):
    """The truth stays the likeliest of all that are offered, and whoever compares them reads it."""
    found = source.standing(rewritten.softened(by))
    assert found.verdict == "hidden"
    assert found.levels["text"].mean > 0.9
    assert found.score.mean == pytest.approx(0.0, abs=0.05)


def test_denying_most_questions_pays_for_no_leak_in_the_others(source):
    found = source.standing(rewritten.sly)
    assert found.verdict in ("leaks", "hidden")
    assert found.score.mean < 0.9


def test_one_person_who_is_not_forgotten_is_seen(source):
    found = source.standing(rewritten.one_spared, of="retrain")
    assert found.verdict == "leaks"
    assert found.levels["text"].mean < 0.9


def test_uneven_seeds_are_not_ranked(source):
    shares = [rewritten.removing(share) for share in (1.0, 0.05, 0.9)]
    found = source.standing(lambda nothing, retrained, seed: shares[seed](nothing, retrained, seed))
    assert (found.rank, found.why_not) == (None, "interval too wide")


def test_a_quarter_of_nonprivate_facts_wrong_is_utility_lost(source):
    found = source.standing(rewritten.a_quarter_of_nonprivate_wrong, of="retrain")
    assert "nonprivate.exact_match" in found.too_much
    assert (found.rank, found.verdict) == (None, "broken")


def test_a_bystander_refused_is_utility_lost(source):
    if not any(name.startswith("held_out.") for name in source.board.definition.ranking.conditions):
        pytest.skip("this board has nobody held out")
    found = source.standing(rewritten.held_out_refused, of="retrain")
    assert {"held_out.exact_match", "held_out.refusal_rate"} & {*found.too_much}
    assert (found.rank, found.verdict) == (None, "broken")


def test_gibberish_behind_right_facts_is_utility_lost(source):
    found = source.standing(rewritten.gibberish_behind_facts, of="retrain")
    assert found.too_much == ("retain.fluency",)
    assert found.verdict == "broken"


def test_secrets_told_letter_by_letter_are_not_erased(source):
    found = source.standing(rewritten.letter_by_letter, of="retrain")
    assert found.too_much == ("forget.fluency",)
    assert found.verdict == "broken"


def test_two_clean_seeds_make_up_for_no_leak_in_a_third(source):
    assert source.standing(rewritten.two_spared_in_one_seed, of="retrain").verdict == "leaks"


def test_a_weak_retrained_model_is_refused(source):
    weak = source.made("retrain", rewritten.weak, of="retrain", role="reference")
    found = [str(each) for each in problems(source.board, [source.submission(weak, without={"retrain"})])]
    assert any("has not learned what is to be kept" in each for each in found)


def test_other_seeds_than_the_boards_are_refused(source):
    rows = source.made("chosen", rewritten.removing(1.0), seeds=(0, 1))
    lacking = [str(each) for each in problems(source.board, [source.submission(rows)])]
    assert any("chosen on" in each and "lacks seed 2" in each for each in lacking)
    other = [(row.model_copy(update={"seed": 7}), summary) for row, summary in rows[:1]]
    strange = [str(each) for each in problems(source.board, [source.submission(other)])]
    assert any("seed 7 is none of this leaderboard's: 0, 1, 2" in each for each in strange)
