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
    found, _ = standings(board)
    assert {*found["finetune"].scores.values()} == {0.0}
    assert {*found["retrain"].scores.values()} == {1.0}
    assert found["finetune"].rank is None
    assert found["retrain"].rank is None
    assert 0.2 < found["half"].score.mean < 0.9
    assert found["half"].rank == 1


def test_a_collapsed_model_never_stands_above_one_that_keeps_utility(board, results, sent):
    add_method(results, "ga", forget=0.0, retain=0.2)
    add_method(results, "timid", forget=0.98)
    add_method(results, "blind", forget=0.0, general=0.5)
    assert not sent().problems
    found, order = standings(board)
    assert found["ga"].score.mean == pytest.approx(1.0)
    assert (found["ga"].rank, found["blind"].rank, found["timid"].rank) == (None, None, 1)
    assert found["ga"].too_much == ("retain.exact_match",)
    assert found["blind"].too_much == ("pope.accuracy",)
    assert order.index("timid") < min(order.index("ga"), order.index("blind"))


def test_ties_are_ties_and_sure_differences_are_not(board, results, sent):
    add_method(results, "complete", forget=0.0)
    add_method(results, "thorough", forget=0.05)
    add_method(results, "half", forget=0.5)
    assert not sent().problems
    found, order = standings(board)
    assert [found[name].place for name in ("complete", "thorough", "half")] == ["1=", "1=", "3"]
    assert {order[place] for place in found["complete"].beats} == {"half"}


def test_the_scores_are_those_of_a_loop_over_rows(board, results, sent):
    rows = add_method(results, "half", forget=0.5)
    assert not sent().problems
    found, _ = standings(board)
    every = results.read()

    def value(method, seed, metric):
        return next(
            row.metrics[metric].value
            for row in every
            if (row.method.name, row.seed) == (method, seed) and metric in row.metrics
        )

    for seed in (0, 1, 2):
        shares = []
        for metric in ("forget.exact_match", "forget.rouge_l"):
            own, nothing, ideal = (value(name, seed, metric) for name in ("half", "finetune", "retrain"))
            shares.append(min(1, (nothing - own) / (nothing - ideal)))
        assert found["half"].scores[seed, seed] == pytest.approx(sum(shares) / 2)
    assert len(rows) == 6


def test_methods_on_one_base_are_measured_against_its_references(board, results, sent):
    """Seeds of unlearning without a reference of their own stand on the base's."""
    add_method(results, "half", forget=0.5, seeds=(7, 8), base_seed=1)
    assert not sent().problems
    found, _ = standings(board)
    assert set(found["half"].scores) == {(7, 1), (8, 1)}


def test_frozen_weights_and_lost_utility_are_marked(board, results, sent):
    add_method(results, "guard", forget=0.0, frozen=True)
    add_method(results, "ga", forget=0.0, retain=0.2)
    assert not sent().problems
    (table,) = tables(board, [read(path) for path in board.submissions])
    text = markdown([comparison(board, table)])
    (guard,) = (line for line in text.splitlines() if line.startswith("| guard"))
    (ga,) = (line for line in text.splitlines() if line.startswith("| ga"))
    assert "| kept | frozen |" in guard
    assert "| (1.000 ± 0.000) | lost | changed |" in ga
    assert "leave the method out" in text


def test_a_model_may_be_named_by_its_id_on_the_hub(tmp_path):
    board = read_board(board_in(tmp_path / "hub", DEFINITION.replace("[models.made-up]", '[models."org/model-7B"]')))
    store = RowStore(tmp_path / "results")
    store.check_writable()
    add_references(store, model="org/model-7B")
    add_method(store, "half", forget=0.5, model="org/model-7B")
    assert not add(board, store, board.rows / "first.jsonl").problems
    found, _ = standings(board)
    assert found["half"].rank == 1
