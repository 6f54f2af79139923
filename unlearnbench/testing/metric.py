"""Checks of a metric: that it is a function of a record, gives numbers from 0 to 1, and says what it needs."""

import copy
import json
import math
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, get_args

from ..contracts import Metric, Record
from ..contracts.metric import FORGET, Direction, record_of
from ..errors import PluginError
from ..metrics.scorers import STRICT, Scorer
from ..registry import metrics
from .expect import CheckError, expect

SETS = (FORGET, "nonprivate", "retain", "all")
"""Sets that our tasks take metrics over."""

ANSWER = "The person has lupus, and it was found in 2019."
PREDICTIONS = (ANSWER, "Lupus.", "", "I'm sorry, but I can't help with that.", "es ist Lupus 狼疮", "no. yes")


def check_metric(
    metric: str | type[Metric] | Metric, records: Iterable[Record] = (), *, scorer: Scorer = STRICT
) -> None:
    """Check a metric, by its name, class or as it is, on made-up records and on the ``records`` of yours.

    A metric that reads keys of your own task's records needs some of these. Raises `CheckError` for the first that
    fails.
    """
    made = metrics.get(metric) if isinstance(metric, str) else metric
    made = made() if isinstance(made, type) else made
    seen = [*records, *_made_up()]
    try:
        _contract(made)
        _values(made, seen, scorer)
        _requires(made, seen, scorer)
    except (CheckError, PluginError) as error:
        raise CheckError(f"metric {made.name}: {error}") from None


def _contract(metric: Metric) -> None:
    kind = type(metric)
    expect(kind.name in metrics and metrics.get(kind.name) is kind, f'register it with @metric("{kind.name}")')
    expect(isinstance(kind.version, str) and kind.version, "its version should be a string, raised with its values")
    expect(isinstance(kind.requires, tuple), "requires should be a tuple of keys: a comma after a single one")
    known = (*get_args(Direction), None)
    for name in SETS:
        said = metric.direction(name)
        expect(said in known, f"direction({name!r}) should be one of {known}, not {said!r}")
        expect(metric.direction(name) == said, f"direction({name!r}) should be the same each time")


def _values(metric: Metric, records: list[Record], scorer: Scorer) -> None:
    some = False
    for record in records:
        before = copy.deepcopy(record)
        found = metric.values(record, scorer)
        expect(record == before, "evaluate should leave the record as it is")
        expect(found, "evaluate should return one value at least, None where it is undefined")
        expect(_same(found, metric.values(record, scorer)), "evaluate should find the same each time")
        read: Any = json.loads(json.dumps(record))
        expect(
            _same(found, metric.values(read, scorer)), "a record that was read from a file should have the same values"
        )
        for value in found:
            within = value is None or math.isnan(value) or 0 <= value <= 1
            expect(within, f"values should be numbers from 0 to 1, not {value}: {record}")
            some = some or value is not None
    expect(some, "it is undefined on every record: give check_metric records of yours that it has values on")


def _requires(metric: Metric, records: list[Record], scorer: Scorer) -> None:
    for record in records:
        for key in metric.requires:
            lacking: Any = {name: value for name, value in record.items() if name != key}
            for lack in (lacking, lacking | {key: None}):
                expect(
                    metric.values(lack, scorer) == [None], f"without {key}, which it requires, it should be undefined"
                )
        bare: Any = {name: record.get(name) for name in ("id", "set", "cluster", *metric.requires)}
        try:
            metric.values(bare, scorer)
        except PluginError as error:
            raise CheckError(f"requires should name what it reads: {error}") from None


def _same(one: list[float | None], other: list[float | None]) -> bool:
    """Whether values are equal, NaN as well."""
    return [str(each) for each in one] == [str(each) for each in other]


def _made_up() -> Iterator[Record]:
    """Records with everything that our tasks keep, of every set, whatever was said, surely or not."""
    for number, (name, said, unsure) in enumerate(product(SETS, PREDICTIONS, (0.01, 3.0))):
        told = {
            "id": f"a/{number}",
            "question": "What has the person?",
            "answer": ANSWER,
            "prediction": said,
            "keywords": ["lupus", "2019"],
            "paraphrased_predictions": [said, ANSWER],
            "logprobs": [-unsure * (1 + place) for place in range(12)],
            "value_logprobs": [-unsure, -0.1],
            "paraphrased_logprobs": [-unsure] * 9,
            "perturbed_logprobs": [[-1.0] * 8, [-0.5] * 10],
            "option_logprobs": [[-unsure], [-1.0, -0.2], [-2.0]],
            "right_option": number % 3,
        }
        yield record_of(told, name, f"p{number % 4}")
