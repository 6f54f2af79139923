"""What is said of the metrics that somebody ranks by."""

import shutil
from pathlib import Path

import pytest

from tests.metrics_check.made_up_models import check_of
from unlearnbench.errors import DataError
from unlearnbench.leaderboard.definition import find, read_board
from unlearnbench.metrics_check.trusted import RankedBy

ONE = RankedBy("m", "any", ("forget.exact_match",), ("f",), None)


def test_a_metric_that_passes_is_not_doubted() -> None:
    assert [*ONE.doubts([check_of((0.9, 0.8, 0.85, 0.1, 0.12, 0.1))])] == [
        "all 1 metrics tell models that know from models that do not (metrics-check)"
    ]


def test_one_that_fails_or_that_nobody_checked_is() -> None:
    fooled = check_of((0.9, 0.1, 0.85, 0.1, 0.8, 0.1))
    more = RankedBy("m", "any", ("forget.exact_match", "forget.ape"))
    failed, unchecked = more.doubts([fooled])
    assert failed.startswith("forget.exact_match ranks here and does not pass the check of metrics: tells who knows")
    assert unchecked == "forget.ape ranks here and does not pass the check of metrics: it was not checked"


@pytest.mark.parametrize(
    "other",
    [
        RankedBy("other", "any", ONE.metrics, ("f",)),
        RankedBy("m", "other", ONE.metrics, ("f",)),
        RankedBy("m", "any", ONE.metrics, ("other data",)),
        RankedBy("m", "any", ONE.metrics, ("f",), "0" * 64),
    ],
)
def test_a_check_of_something_else_counts_for_nothing(other: RankedBy) -> None:
    (said,) = other.doubts([check_of((0.9, 0.8, 0.85, 0.1, 0.12, 0.1))])
    assert "was not checked" in said


def test_what_checks_say_of_its_metrics_stands_with_each_model(tmp_path: Path) -> None:
    """Of the shipped board: nobody has checked one model, and on the other a metric that ranks does not pass."""
    shutil.copy(find("private-attributes-tiny").folder / "leaderboard.toml", tmp_path)
    board = read_board(tmp_path)
    name, rule = next(iter(board.definition.models.items()))
    (task,) = [each for each, of in board.definition.tasks.items() if of.split is not None]
    (fingerprint,) = board.definition.tasks[task].data.fingerprint
    assert board.doubts(name) == [
        f"whether these metrics tell who knows was not checked on {name} (unlearnbench metrics-check)"
    ]
    made = check_of((0.9, 0.1, 0.85, 0.1, 0.8, 0.1))
    model = made.model.model_copy(update={"name": name, "weights_digest": rule.weights_digest})
    data = made.data.model_copy(update={"fingerprint": fingerprint})
    found = made.model_copy(update={"model": model, "data": data, "task": made.task.model_copy(update={"name": task})})
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "one.json").write_text(found.model_dump_json())
    said = board.doubts(name)
    assert len(said) == len(board.definition.ranking.forgetting)
    assert any(line.startswith("forget.exact_match ranks here and does not pass") for line in said)
    assert sum("it was not checked" in line for line in said) == len(said) - 1
    (tmp_path / "metrics" / "one.json").write_text("{}")
    with pytest.raises(DataError, match=r"one\.json"):
        board.doubts(name)


def test_the_shipped_board_says_of_its_check_what_the_docs_say() -> None:
    """On both models all metrics that rank pass."""
    board = find("private-attributes-tiny")
    for model in board.definition.models:
        assert [line.split(" metrics")[0] for line in board.doubts(model)] == ["all 6"]
