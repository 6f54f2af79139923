import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from unlearnbench.results.row import Row, Score, latest


def strict(text):
    """JSON as the standard has it: without NaN and Infinity."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_the_fields_have_the_published_names(row, fields):
    assert strict(row().to_line()) == fields | {
        "attack": None,
        "base": None,
        "trained_on": None,
        "notes": {},
        "baselines": {},
        "task": fields["task"] | {"protocol": {}, "code": None, "split": fields["task"]["split"] | {"drawn": None}},
        "method": fields["method"] | {"frozen_weights": None, "code": None, "continues": None, "elsewhere": None},
        "model": fields["model"] | {"template_digest": None},
        "environment": fields["environment"] | {"processes": 1, "exact": False},
        "cost": fields["cost"] | {"examples": None, "epoch": None},
        "metrics": {
            "forget.rouge_l": fields["metrics"]["forget.rouge_l"]
            | {"reason": None, "questions": None, "of_questions": None}
        },
    }


def test_a_line_reads_back_as_the_same_row(row):
    line = row().to_line()
    assert line.count(b"\n") == 1
    assert Row.model_validate_json(line) == row()


@pytest.mark.parametrize(
    ("value", "reason"), [(float("nan"), "not a number"), (float("inf"), "infinite"), (float("-inf"), "infinite")]
)
def test_a_number_that_is_none_is_null_with_a_reason(row, value, reason):
    metric = {"value": value, "ci_low": value, "ci_high": 1.0, "n": 3, "higher_is_better": True}
    written = strict(row(metrics={"x": metric}).to_line())["metrics"]["x"]
    assert written == {
        "value": None, "ci_low": None, "ci_high": 1.0, "n": 3, "higher_is_better": True, "reason": reason,
        "questions": None, "of_questions": None,
    }  # fmt: skip


def test_a_given_reason_is_kept():
    assert Score(value=float("nan"), n=0, higher_is_better=True, reason="no paraphrases").reason == "no paraphrases"


def test_a_null_metric_without_a_reason_is_refused():
    with pytest.raises(ValidationError, match="needs a reason"):
        Score(value=None, n=0, higher_is_better=True)


@given(st.floats())
def test_no_float_anywhere_spoils_the_json(row, fields, number):
    method = fields["method"] | {"params": {"a": {"b": [number]}}}
    cost = fields["cost"] | {"train_seconds": number}
    assert strict(row(method=method, cost=cost, later={"c": number}).to_line())["seed"] == 0


def test_fields_of_a_newer_version_survive_a_copy(row, fields):
    newer = json.dumps(fields | {"energy": {"joules": 5}, "task": fields["task"] | {"language": "en"}})
    copy = strict(Row.model_validate_json(newer).to_line())
    assert copy["energy"] == {"joules": 5}
    assert copy["task"]["language"] == "en"


def test_times_are_written_in_utc_whatever_zone_they_are_given_in(row):
    moment = datetime(2026, 11, 22, 20, 30, tzinfo=timezone(timedelta(hours=2)))
    made = row(started_at=moment)
    assert made.started_at == moment.astimezone(UTC)
    assert strict(made.to_line())["started_at"] == "2026-11-22T18:30:00Z"


def test_a_time_without_a_zone_is_refused(row):
    with pytest.raises(ValidationError, match="started_at"):
        row(started_at="2026-11-22T18:30:00")


@pytest.mark.parametrize(("status", "error"), [("ok", {"type": "E", "message": "m"}), ("error", None)])
def test_an_error_stands_exactly_where_the_status_is_not_ok(row, status, error):
    with pytest.raises(ValidationError, match="exactly where"):
        row(status=status, error=error)


@pytest.mark.parametrize("row_id", ["", "../up", "a/b", ".hidden", "a b", "x" * 200])
def test_a_row_id_is_a_plain_file_name(row, row_id):
    with pytest.raises(ValidationError, match="row_id"):
        row(row_id=row_id)


def test_an_undecodable_file_name_in_an_error_does_not_lose_the_row(row):
    failed = row(status="error", error={"type": "DataError", "message": "bad \udcff.png"}, command=["run", "\udcff"])
    assert strict(failed.to_line())["error"]["message"] == "bad ?.png"


def test_the_last_ok_row_of_a_cell_counts_else_its_last(row):
    failure = {"type": "E", "message": "m"}
    rows = [
        row(row_id="a", seed=1),
        row(row_id="b", status="error", error=failure, seed=2),
        row(row_id="a", status="error", error=failure, seed=3),
        row(row_id="b", status="error", error=failure, seed=4),
        row(row_id="a", seed=5),
    ]
    assert [(each.row_id, each.seed) for each in latest(rows)] == [("a", 5), ("b", 4)]
    assert [each.seed for each in latest(rows[:4])] == [1, 4]
