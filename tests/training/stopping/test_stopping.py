"""Early stopping: each bound by itself, on losses that are made up."""

from collections.abc import Sequence
from typing import Any

import pytest

from unlearnbench.contracts.sample import Sets
from unlearnbench.training.params import Stopping
from unlearnbench.training.stopping import EarlyStopping, spread

SETS = Sets(forget=("f",) * 250, nonprivate=(), others=("o",), forgotten=("1",), validation=("v",) * 30)  # type: ignore[arg-type]


def losses(forget: list[float], validation: list[float], looked_at: list[int] | None = None) -> Any:
    series = {"f": iter(forget), "v": iter(validation)}

    def measure(samples: Sequence[Any]) -> float:
        if looked_at is not None:
            looked_at.append(len(samples))
        return next(series[samples[0]])

    return measure


@pytest.mark.parametrize(
    ("rule", "forget", "validation", "step", "reason"),
    [
        ({"forget_loss": 3.0}, [0.1, 2.9, 3.0], [0.0, 9.0, 9.0], 4, "forget loss reached its bound"),
        ({"retain_rise": 1.0}, [0.1, 99.0, 99.0], [0.5, 1.4, 1.6], 4, "validation loss reached its bound"),
        (
            {"forget_loss": 3.0, "retain_rise": 1.0},
            [0.1, 0.1, 5.0],
            [0.0, 0.0, 9.0],
            4,
            "forget loss reached its bound",
        ),
        ({}, [0.1, 99.0, 99.0], [0.5, 99.0, 99.0], None, None),
    ],
)
def test_the_first_look_past_a_bound_stops(
    rule: dict[str, float], forget: list[float], validation: list[float], step: int | None, reason: str | None
) -> None:
    stopping = EarlyStopping(Stopping(every=2, **rule), SETS, losses(forget, validation))  # type: ignore[arg-type]
    said = {at: stopping(at) for at in range(1, 5)}
    assert {at: why for at, why in said.items() if why} == ({step: reason} if step else {})
    assert stopping.note["start"] == {"forget": forget[0], "validation": validation[0]}
    assert stopping.note["last_look"] == {"step": 4, "forget": forget[2], "validation": validation[2]}
    assert stopping.note["rule"] == Stopping(every=2, **rule).model_dump(mode="json")  # type: ignore[arg-type]


def test_looks_take_in_few_samples_and_the_forget_set_alone_without_validation() -> None:
    looked_at: list[int] = []
    EarlyStopping(Stopping(samples=100), SETS, losses([0.0], [0.0], looked_at))
    assert looked_at == [84, 30]
    alone = Sets(forget=SETS.forget, nonprivate=(), others=SETS.others, forgotten=("1",), validation=())
    stopping = EarlyStopping(Stopping(every=1, retain_rise=0.1), alone, losses([0.0, 5.0], []))
    assert stopping(1) is None
    assert stopping.note["last_look"] == {"step": 1, "forget": 5.0}


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 250, 1000])
def test_spread_is_even_and_bounded(length: int) -> None:
    chosen = spread(range(length), 100)  # type: ignore[arg-type]
    assert len(chosen) <= 100
    assert len(chosen) >= min(length, 50)
    assert list(chosen) == sorted(set(chosen))
