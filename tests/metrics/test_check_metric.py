"""Our metrics pass their check, and what is wrong with one is told."""

from typing import Any

import pytest

from unlearnbench import Metric, metric
from unlearnbench.metrics.refusals import is_refusal
from unlearnbench.registry import metrics
from unlearnbench.tasks.fiubench.scorers import SCORERS
from unlearnbench.testing import CheckError, check_metric

OURS = (
    "ape", "choice", "choice_by_sum", "exact_match", "fluency", "min_k", "probability", "refusal_rate", "rouge_l",
    "truth_choice", "truth_odds", "truth_preference", "truth_ratio", "value_probability", "value_rouge",
)  # fmt: skip


def test_these_are_ours() -> None:
    assert [name for name in metrics.names() if metrics.get(name).__module__.startswith("unlearnbench.")] == [*OURS]


@pytest.mark.parametrize("scorer", SCORERS.values(), ids=[*SCORERS])
@pytest.mark.parametrize("name", OURS)
def test_ours_pass(name: str, scorer: Any) -> None:
    check_metric(name, scorer=scorer)


class Reads(Metric):
    """A key that it does not ask for."""

    said = r"requires should name what it reads: .* reads record\['prediction'\]"

    def evaluate(self, record: Any, scorer: Any) -> Any:
        return [float(is_refusal(record["prediction"]))]


class TooLarge(Metric):
    """A percentage."""

    said = "values should be numbers from 0 to 1, not 100.0"

    def evaluate(self, record: Any, scorer: Any) -> Any:
        return [100.0]


class Changes(Metric):
    """What it is given."""

    said = "evaluate should leave the record as it is"

    def evaluate(self, record: Any, scorer: Any) -> Any:
        record["keywords"].append("more")
        return [0.5]


class Counts(Metric):
    """How often it was asked."""

    said, asked = "evaluate should find the same each time", 0

    def evaluate(self, record: Any, scorer: Any) -> Any:
        type(self).asked += 1
        return [1 / self.asked]


class Elsewhere(Metric):
    """What no record has."""

    said, requires = "it is undefined on every record: give check_metric records of yours", ("tone",)

    def evaluate(self, record: Any, scorer: Any) -> Any:
        return [record["tone"]]


class Sideways(Metric):
    """No direction that there is."""

    said = r"direction\('forget'\) should be one of"

    def direction(self, set_name: str) -> Any:
        return "up"

    def evaluate(self, record: Any, scorer: Any) -> Any:
        return [0.5]


@pytest.mark.usefixtures("spared_registries")
@pytest.mark.parametrize("wrong", [Reads, TooLarge, Changes, Counts, Elsewhere, Sideways])
def test_what_is_wrong_is_told(wrong: Any) -> None:
    name = f"wrong-{wrong.__name__}"
    metric(name)(wrong)
    with pytest.raises(CheckError, match=f"^metric {name}: {wrong.said}"):
        check_metric(name)
