"""Who stands where, on made-up rows: through a board's files, as a user has them."""

import pytest

from tests.leaderboard.made_up import DEFINITION, add_method, add_references, board_in
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.definition import read_board
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.leaderboard.table import comparison
from unlearnbench.report.markdown import markdown
from unlearnbench.results.store import RowStore


def standings(board):
    (table,) = tables(board, [read(path) for path in board.submissions])
    return {each.line.method: each for each in table.standings}, [each.line.method for each in table.standings]


def test_doing_nothing_scores_0_and_retraining_1_in_every_seed(board, results, sent):
    add_method(results, "half", forget=0.5)
    assert not sent().problems
    found, order = standings(board)
    assert {*found["finetune"].scores.values()} == {0.0}
    assert {*found["retrain"].scores.values()} == {1.0}
    assert found["finetune"].rank is None
    assert found["retrain"].rank is None
    assert 0.2 < found["half"].score.mean < 0.9
    assert found["half"].rank == 1
    assert order == ["retrain", "half", "finetune"]
    verdicts = {name: each.verdict for name, each in found.items()}
    assert verdicts == {"finetune": "leaks", "half": "leaks", "retrain": "erased"}


def test_a_collapsed_model_never_stands_above_one_that_keeps_utility(board, results, sent):
    add_method(results, "ga", forget=0.0, retain=0.2)
    add_method(results, "timid", forget=0.95)
    add_method(results, "blind", forget=0.0, general=0.5)
    assert not sent().problems
    found, order = standings(board)
    assert found["ga"].score.mean > 0.9
    assert (found["ga"].rank, found["blind"].rank, found["timid"].rank) == (None, None, 1)
    assert found["ga"].too_much == ("nonprivate.exact_match", "retain.exact_match", "held_out.exact_match")
    assert found["blind"].too_much == ("pope.accuracy",)
    assert found["blind"].verdict == "broken"
    assert order.index("timid") < min(order.index("ga"), order.index("blind"))


def test_ties_are_ties_and_sure_differences_are_not(board, results, sent):
    add_method(results, "complete", forget=0.0)
    add_method(results, "thorough", forget=0.05)
    add_method(results, "none", forget=1.0)
    assert not sent().problems
    found, order = standings(board)
    assert [found[name].place for name in ("complete", "thorough", "none")] == ["1=", "1=", "3"]
    assert {order[place] for place in found["complete"].beats} == {"none"}


def leaked(values, ideal):
    mean = sum(ideal) / len(ideal)
    return sum(max(0.0, v - max(i, mean)) for v, i in zip(sorted(values), sorted(ideal), strict=True))


def test_the_scores_are_those_of_a_loop_over_samples(board, results, sent):
    from unlearnbench.leaderboard.check import task_of

    add_method(results, "half", forget=0.5)
    assert not sent().problems
    found, _ = standings(board)
    rows = {(row.method.name, row.seed): row for row in results.read() if row.task.name == "fiubench"}

    def values(method, seed, metric):
        row = rows[method, seed]
        of = task_of(row).by_question(results.read_samples(row))[metric]
        return [value for each in of.values() for value in each]

    for seed in (0, 1, 2):
        levels = {}
        for level, metrics in board.definition.ranking.levels.items():
            shares = []
            for metric in metrics:
                own, nothing, ideal = (values(name, seed, metric) for name in ("half", "finetune", "retrain"))
                shares.append(1 - leaked(own, ideal) / leaked(nothing, ideal))
            levels[level] = min(shares)
        assert {name: of[seed, seed] for name, of in found["half"].by_level.items()} == pytest.approx(levels)
        assert found["half"].scores[seed, seed] == pytest.approx(min(levels.values()))


def test_levels_are_never_averaged(board, results, sent):
    """One seed says everything and finds nothing likely, the next the other way round: each gives all away."""
    for seed, (forget, likely) in enumerate(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))):
        add_method(results, "mixed", forget=forget, likely=likely, seeds=[seed])
    assert not sent().problems
    found, _ = standings(board)
    assert found["mixed"].score.mean < 0.05
    assert 0.3 < found["mixed"].levels["text"].mean < 0.4


def test_frozen_weights_and_lost_utility_are_marked(board, results, sent):
    add_method(results, "guard", forget=0.0, frozen=True)
    add_method(results, "ga", forget=0.0, retain=0.2)
    assert not sent().problems
    (table,) = tables(board, [read(path) for path in board.submissions])
    text = markdown([comparison(board, table)])
    (guard,) = (line for line in text.splitlines() if line.startswith("| guard"))
    (ga,) = (line for line in text.splitlines() if line.startswith("| ga"))
    assert "| kept | erased | frozen |" in guard
    assert "| lost | broken | changed |" in ga
    assert ga.split("|")[3].strip().startswith("(")
    assert "leave the method out" in text
    said = text.replace("\\", "")
    assert "ga is not ranked: lost too much of nonprivate.exact_match, retain.exact_match" in said


def test_a_model_may_be_named_by_its_id_on_the_hub(tmp_path):
    board = read_board(board_in(tmp_path / "hub", DEFINITION.replace("[models.made-up]", '[models."org/model-7B"]')))
    store = RowStore(tmp_path / "results")
    store.check_writable()
    add_references(store, model="org/model-7B")
    add_method(store, "half", forget=0.5, model="org/model-7B")
    assert not add(board, store, board.rows / "first.jsonl").problems
    found, _ = standings(board)
    assert found["half"].rank == 1
