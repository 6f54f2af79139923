"""The worst case of several askings, person by person, and what an attack cost, computed by hand."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.analysis.attacks.simulated import Values, answers, outcome, variant
from unlearnbench.analysis.attacks.costs import FEWEST, costs_of, lost_of
from unlearnbench.analysis.attacks.outcome import that_count
from unlearnbench.analysis.attacks.people.chance import more_than_chance
from unlearnbench.analysis.attacks.people.worst import worst
from unlearnbench.analysis.attacks.shares import Three, share
from unlearnbench.contracts import Attack, Scored
from unlearnbench.errors import DataError
from unlearnbench.results.row import Score

NAME = "said.right"


def of(**people: list[float]) -> Values:
    return {NAME: people}


def test_of_every_person_the_case_counts_that_tells_most_of_all_models_alike() -> None:
    first = Three(of(ann=[1, 0], bob=[0, 0]), of(ann=[1, 1], bob=[0, 1]), of(ann=[0, 0], bob=[1, 0]))
    second = Three(of(ann=[0, 0], bob=[1, 1]), of(ann=[0, 1], bob=[1, 1]), of(ann=[0, 1], bob=[0, 0]))
    found = worst([first, second])
    assert found.own == of(ann=[1, 0], bob=[1, 1])
    assert found.nothing == of(ann=[1, 1], bob=[1, 1])
    assert found.ideal == of(ann=[0, 1], bob=[1, 0])


def test_of_a_metric_that_is_low_where_more_is_told_the_lowest_counts() -> None:
    low, high, ideal = ({"forget.nll_of_nobody": {"ann": [each]}} for each in (0.2, 0.4, 0.9))
    found = worst([Three(high, low, ideal), Three(low, low, ideal)])
    assert found.own == low


def test_who_is_asked_other_questions_is_a_case_apart() -> None:
    """Half of the questions, as of relearning: its share counts by itself, and the lowest of both is told."""
    all_of_it = Three(of(ann=[0, 0], bob=[0, 0]), of(ann=[1, 1], bob=[1, 1]), of(ann=[0, 0], bob=[0, 0]))
    half = Three(of(ann=[1], bob=[1]), of(ann=[1], bob=[1]), of(ann=[0], bob=[0]))
    found = worst([all_of_it, half])
    assert {*found.own} == {NAME, f"2: {NAME}"}
    assert share(found, [NAME], two_sided=False, seed=0).value == pytest.approx(0)
    assert share(all_of_it, [NAME], two_sided=False, seed=0).value == pytest.approx(1)


def test_models_that_were_asked_otherwise_have_no_worst_case() -> None:
    with pytest.raises(DataError, match="other questions"):
        worst([Three(of(ann=[1]), of(ann=[1, 1]), of(ann=[0, 0]))] * 2)


@pytest.mark.parametrize("variants", [1, 4, 16])
def test_the_worst_case_of_the_retrained_model_is_what_it_is_measured_by(variants: int) -> None:
    """However often is asked, another retraining stays near 1: the lowest of single shares would not."""
    rng, alone, whole = np.random.default_rng(0), [], []
    for _ in range(30):
        cases = [Three(*(answers(rng, known) for known in (0.1, 0.9, 0.1))) for _ in range(variants)]
        alone.append(min(share(each, [NAME], two_sided=False, seed=0).value or 0.0 for each in cases))
        whole.append(share(worst(cases), [NAME], two_sided=False, seed=0).value)
    assert np.mean(whole) > 0.9
    if variants > 1:
        assert np.mean(whole) > np.mean(alone) + 0.02


def test_what_swapping_people_would_show_too_is_chance() -> None:
    """By all exchanges of five people, where the method tells one question more of everybody."""
    people = [f"p{number}" for number in range(5)]
    more, less, full = ({NAME: {who: [float(each), 0.0] for who in people}} for each in (1, 0, 1))
    three = Three(more, full, less)
    own = share(three, [NAME], two_sided=False, seed=0)
    assert own.value == pytest.approx(0)
    assert more_than_chance([three], [own], two_sided=False)  # 1 of 32
    some = Three(*({NAME: {who: each[NAME][who] for who in people[:3]}} for each in (more, full, less)))
    assert not more_than_chance([some], [share(some, [NAME], two_sided=False, seed=0)], two_sided=False)  # 1 of 8


def test_costs_of_any_variant_count_for_the_worst_case() -> None:
    three = Three(*(answers(np.random.default_rng(0), known) for known in (0.1, 0.9, 0.1)))
    fine = outcome(three, 0, [NAME])
    broken = outcome(three, 0, [NAME], costs=costs(0.2, 0.9), unable=("plasticity.gain",))
    found = variant([[fine, broken]])
    assert (found.lost, found.unable) == (("retain.exact_match",), ("plasticity.gain",))


class Kinds(Attack):
    worst = "any"


def test_what_an_attack_calls_its_worst_case_stands_alone_where_it_is_there() -> None:
    own, plain = Kinds(Kinds.Params()), Attack(Attack.Params())
    assert that_count(own, ["crop", "blur", "any"]) == ["any"]
    assert that_count(own, ["crop", "blur"]) == ["crop", "blur"]
    assert that_count(plain, ["8 bits", "4 bits"]) == ["8 bits", "4 bits"]


# ----------------------------------------------------------------------------------------------------- what was lost
TASK = cast("Any", SimpleNamespace(scored=Scored(conditions={"retain.exact_match": 0.05, "forget.fluency": 0.1})))


def row(value: float | None, half: float = 0.05, n: int = 48, metric: str = "retain@strong.exact_match") -> Any:
    low, high = (None, None) if value is None else (value - half, value + half)
    reason = "none" if value is None else None
    score = Score(value=value, ci_low=low, ci_high=high, n=n, higher_is_better=True, reason=reason)
    return SimpleNamespace(metrics={metric: score})


def trio(own: Any, nothing: Any, ideal: Any) -> Any:
    return SimpleNamespace(own=own, nothing=nothing, ideal=ideal, three=(own, nothing, ideal))


def costs(own: float | None, reference: float, **more: Any) -> Any:
    return costs_of(TASK, trio(row(own, **more), *(row(reference, **more) for _ in range(2))), "strong")


@pytest.mark.parametrize(
    ("own", "half", "lost"),
    [
        (0.2, 0.1, True),
        (0.9, 0.05, False),
        (0.75, 0.05, True),  # .15 lost, less sqrt(2) * .05: more than .05 whatever chance did
        (0.75, 0.1, False),  # .15 lost, less .14
        (None, 0.1, True),  # the references have a value, so it was asked
    ],
)
def test_a_condition_is_lost_where_the_whole_interval_of_the_loss_is_beyond_tolerance(
    own: float | None, half: float, lost: bool
) -> None:
    found = costs(own, 0.9, half=half)
    assert found.lost == (("retain.exact_match",) if lost else ())
    assert found.judged == ("retain.exact_match",)


def test_few_questions_say_nothing_of_what_was_kept() -> None:
    found = costs(0.0, 0.9, n=FEWEST - 1)
    assert (found.lost, found.judged) == ((), ())


def test_how_fluently_is_spoken_of_the_forgotten_says_nothing_of_what_was_kept() -> None:
    own, *references = (row(value, metric="forget@strong.fluency") for value in (0.2, 0.9, 0.9))
    found = costs_of(TASK, trio(own, *references), "strong")
    assert (found.lost, found.judged) == (("forget.fluency",), ())
    assert lost_of(TASK, trio(own, *references), "") == []  # it is of another variant
