"""`benchmarks.tune`: every point is a setting of its method, all may see as much, and which of them is chosen."""

from pathlib import Path

import pytest

from benchmarks.tune.__main__ import forget_acquaintances
from benchmarks.tune.spaces import PASSES, SPACES
from benchmarks.tune.trial import OnSeed, Trial
from unlearnbench.config import resolve
from unlearnbench.embedded.data.make import make
from unlearnbench.registry import methods
from unlearnbench.tasks.fiubench.reader import read

FORGET, EVERYTHING = 48, 480


@pytest.mark.parametrize("name", SPACES)
def test_every_point_is_a_setting_of_its_method(name: str) -> None:
    space, kind = SPACES[name], methods.get(name)
    fixed = dict(space.fixed) | space.budget(FORGET, EVERYTHING)
    points = space.points(visual_tokens=64)
    assert len({str(point) for point in points}) == 4
    for point in points:
        resolve(kind.Params, name, "tiny", fixed | point)


def test_every_tuned_method_has_a_grid() -> None:
    ours = [name for name in methods.names() if methods.origin(name).startswith("unlearnbench ")]
    assert {name for name in ours if methods.get(name).Params.trials} == SPACES.keys()


@pytest.mark.parametrize("name", SPACES)
def test_a_training_sees_as_many_examples_as_any_other(name: str) -> None:
    space = SPACES[name]
    an_epoch = {"forget": FORGET, "pairs": 2 * FORGET, "everything": EVERYTHING}[space.sees]
    seen = sum(space.budget(FORGET, EVERYTHING).values()) * an_epoch
    assert seen == pytest.approx(PASSES * EVERYTHING, rel=0.05)


def test_the_people_are_read_without_acquaintances_and_nothing_is_left_over(tmp_path: Path) -> None:
    make(tmp_path / "people", identities=6, seed=1, scenes=1)
    forget_acquaintances(tmp_path / "people")
    found = read(tmp_path / "people")
    assert (len(found.identities), found.acquaintances, found.left_out) == (6, (), ())


def trial(*levels: dict[str, float], lost: float = 0.0, trace: float | None = 0.0) -> Trial:
    """A point on as many seeds, which loses so many tolerances of one condition."""
    return Trial({}, tuple(OnSeed(each, trace, {"kept": 0.0, "retain": lost}, {}) for each in levels))


def test_a_point_is_worth_its_lowest_level_on_each_seed() -> None:
    one = trial({"text": 1.0, "logits": 0.4}, {"text": 0.2, "logits": 1.0})
    assert one.score == pytest.approx(0.3)
    assert one.level_means == {"text": 0.6, "logits": 0.7}
    silent, even = trial({"text": 1.0, "logits": 0.0}), trial({"text": 0.4, "logits": 0.4})
    assert silent.order < even.order


def test_who_forgets_and_keeps_every_condition_goes_first_and_then_who_loses_least_for_it() -> None:
    good, gentle, idle = ({"text": level, "logits": level} for level in (1.0, 0.1, 0.01))
    keeping, losing, wrecked = trial(gentle, lost=1.0), trial(good, lost=1.1), trial(good, lost=9.0)
    nothing, diverged = trial(idle), Trial({}, ())
    assert sorted([keeping, diverged, nothing, losing, wrecked], key=lambda each: each.order) == [
        diverged, nothing, wrecked, losing, keeping,
    ]  # fmt: skip
    assert losing.worst == ("retain", 1.1)
    assert [each.verdict for each in (keeping, losing, diverged)] == ["leaks", "broken", "diverged"]
    assert trial(good).verdict == "erased"
    assert trial(good, trace=0.8).verdict == "overdone"
