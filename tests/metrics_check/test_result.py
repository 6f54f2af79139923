"""What passes, what does not and why; and a file that cannot be read otherwise than it was made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.metrics_check.made_up_models import check_of, entry
from unlearnbench.errors import DataError
from unlearnbench.metrics_check.check import NULLS, null
from unlearnbench.metrics_check.figures import figures
from unlearnbench.metrics_check.kinds import KINDS
from unlearnbench.metrics_check.pool import Valuations
from unlearnbench.metrics_check.result import (
    MetricEntry,
    MetricsCheck,
    read_check,
)

TELLS, FOOLED = (0.9, 0.8, 0.85, 0.1, 0.12, 0.1), (0.9, 0.1, 0.85, 0.1, 0.8, 0.1)


def test_what_tells_passes() -> None:
    found = entry(TELLS)
    assert found.passes
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"known": FOOLED}, "tells who knows with an AUC of"),
        ({"known": TELLS[::-1]}, "the other way round"),
        ({"known": (0.55, 0.54, 0.56, 0.45, 0.44, 0.46), "shift": 0.1, "noise": 0.01}, "deviations of seeds apart"),
        ({"known": (0.9, 0.9, 0.9, 0.1, 0.1, 0.1), "shift": 0.2, "noise": 0.01}, "two retrained models differ by"),
    ],
)
def test_what_does_not_says_why(made: dict[str, Any], why: str) -> None:
    found = entry(**made)
    assert not found.passes
    assert any(why in reason for reason in found.reasons)


def test_a_constant_and_a_random_metric_never_pass() -> None:
    told = [
        Valuations(kind, seed, {"forget.any": {f"p{person}": [0.0] * 6 for person in range(8)}})
        for kind in KINDS
        for seed in (0, 1)
    ]
    for name in NULLS:
        found = MetricEntry.of(name, figures(name, null(name, told)), {})
        assert not found.passes
    constant = figures(NULLS[0], null(NULLS[0], told))
    assert (constant.faithfulness, constant.d_prime, constant.floor) == (0.5, 0.0, None)
    drawn = [value for each in null(NULLS[1], told) for of in each.values.values() for value in of]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)
    assert len({*drawn}) == len(drawn)


@pytest.fixture
def found() -> MetricsCheck:
    return check_of(TELLS)


def test_a_file_is_read_as_it_was_written(found: MetricsCheck, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(found.model_dump_json())
    read = read_check(path)
    assert read == found
    assert read.passing == {"forget.exact_match"}
    assert read.against("forget.exact_match") is None
    assert read.against("forget.ape") == "it was not checked"


def spoil(found: MetricsCheck, path: Path, **changes: Any) -> None:
    content = json.loads(found.model_dump_json())
    content["metrics"][0] |= changes
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"passes": False}, "the verdict on forget.exact_match is not that of its figures"),
        ({"floor": 0.5}, "the verdict on forget.exact_match is not that of its figures"),
        ({"faithfulness": 0.95}, "the AUC of forget.exact_match is not that of its means"),
        ({"d_prime": 50.0}, "d' of forget.exact_match is not that of its means"),
        ({"means": {"base": {"0": 1.0}}}, "forget.exact_match"),
        ({"faithfulness": "high"}, "metrics.0.faithfulness"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    found: MetricsCheck, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    path = tmp_path / "metrics.json"
    spoil(found, path, **changes)
    with pytest.raises(DataError, match=why) as refused:
        read_check(path)
    assert str(path) in str(refused.value)


def test_a_check_that_passes_what_knows_nothing_is_none(found: MetricsCheck) -> None:
    fooled = found.metrics[0].model_copy(update={"metric": NULLS[1]})
    with pytest.raises(ValueError, match="knows nothing"):
        MetricsCheck.model_validate(found.model_dump() | {"nulls": [fooled.model_dump()]})


def test_what_is_no_file_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        read_check(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json"):
        read_check(tmp_path / "metrics.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_check(tmp_path)
