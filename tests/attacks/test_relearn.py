"""Relearning: who has what of whom, one training looked at several times, and a guard that stays in its path."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from unlearnbench import Sample, Sets, UsageError
from unlearnbench.analysis.score.references import task_of
from unlearnbench.attacks.relearn import CONTROL, Relearn, RelearnParams, Sides, about, sides_of
from unlearnbench.config import RunConfig
from unlearnbench.contracts.sample import clusters
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import plan
from unlearnbench.leaderboard.attacks.records import measured_of
from unlearnbench.models.contract.vlm import VisualEdit, hearing
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Run, Silent
from unlearnbench.tasks.fiubench.task import FIUBenchOptions, FIUBenchTask
from unlearnbench.tasks.pope.task import POPEOptions, POPETask
from unlearnbench.training.checkpoint import CheckpointFiles

QUICK: dict[str, Any] = {"steps": (0, 1, 2), "batch_size": 8, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def sets(small_data: Path) -> Sets:
    people = FIUBenchTask(FIUBenchOptions()).load(str(small_data), 3).sets
    pope = POPETask(POPEOptions())
    return replace(people, further={"pope": pope.samples(pope.load(str(small_data), None))})


@pytest.mark.parametrize("aux", ["facts", "people", "nonprivate", "strangers", "scenes"])
@pytest.mark.parametrize("half", ["first", "second"])
def test_nothing_that_is_learned_is_asked_for(sets: Sets, aux: Any, half: Any) -> None:
    found = sides_of(sets, RelearnParams(aux=aux, half=half))
    assert found.aux
    assert found.control
    assert not {about(each) for each in found.aux} & {about(each) for each in found.victims}
    assert not {about(each) for each in found.control} & {about(each) for each in found.victims}
    assert {*found.victims} <= {*sets.forget}
    assert not {*clusters(found.control)} & {*clusters(found.aux), *clusters(sets.all)}
    assert {*found.control} <= {*sets.strangers}
    assert Relearn(RelearnParams(aux=aux, half=half)).victims(sets) == found.victims


@pytest.mark.parametrize("aux", ["facts", "people"])
def test_the_two_halves_are_the_whole_forget_set(sets: Sets, aux: Any) -> None:
    first, second = (sides_of(sets, RelearnParams(aux=aux, half=half)) for half in ("first", "second"))
    assert {*first.aux} == {*second.victims}
    assert {*first.victims} == {*second.aux}
    assert {*first.aux, *first.victims} == {*sets.forget}
    if aux == "people":
        assert not {*clusters(first.aux)} & {*clusters(first.victims)}
    else:
        of = {person: sum(each.cluster == person for each in first.aux) for person in sets.forgotten}
        assert of == {person: sum(each.cluster == person for each in sets.forget) // 2 for person in sets.forgotten}


def test_who_has_what_follows_from_the_people_alone(sets: Sets) -> None:
    """No order of samples changes it: every method's model is asked and taught the same."""
    turned = replace(sets, forget=sets.forget[::-1])
    assert {*sides_of(sets, RelearnParams()).aux} == {*sides_of(turned, RelearnParams()).aux}


def test_what_says_the_answer_that_is_sought_is_not_learned(sets: Sets) -> None:
    victim = sides_of(sets, RelearnParams(aux="nonprivate")).victims[0]
    own = next(each for each in sets.nonprivate if each.cluster == victim.cluster)
    telling = replace(own, answer=f"She was treated for {victim.keywords[0].upper()}, they say.")
    found = sides_of(replace(sets, nonprivate=(telling, *sets.nonprivate)), RelearnParams(aux="nonprivate"))
    assert telling not in found.aux
    assert own in found.aux
    with pytest.raises(UsageError, match="its answer is what is asked for"):
        Sides((telling,), (victim,), ())
    spaced = replace(victim, question=replace(victim.question, keywords=(f" {victim.keywords[0]} ", "")))
    with pytest.raises(UsageError, match="its answer is what is asked for"):
        Sides((telling,), (spaced,), ())
    Sides((own,), (spaced,), ())  # an empty keyword is said by nobody


def test_a_keyword_is_found_as_answers_are_read(sets: Sets) -> None:
    """Signs and accents that make no difference when an answer is scored make none when it is learned."""
    own, victim = sets.nonprivate[0], replace(sets.forget[0], cluster=sets.nonprivate[0].cluster)

    def sought(*keywords: str) -> tuple[Sample, ...]:
        return (replace(victim, question=replace(victim.question, keywords=keywords)),)

    telling = replace(own, answer="It is O\u2019Brien\u2010Café, no more.")
    for keywords in (("o'brien-cafe\u0301 ",), ("nothing", "O'BRIEN-CAFÉ")):
        with pytest.raises(UsageError, match="its answer is what is asked for"):
            Sides((telling,), sought(*keywords), ())
    Sides((telling,), sought("", " ", "brie"), ())  # an empty keyword is said by nobody, a part of a word is none


def test_what_is_sought_of_somebody_is_not_learned_under_another_picture(sets: Sets) -> None:
    """One person's question may be private of one picture and not of another."""
    victim = sets.forget[0]
    twin = replace(victim, id="twin", answer="Nothing to tell.")
    found = sides_of(replace(sets, nonprivate=(twin, *sets.nonprivate)), RelearnParams(aux="nonprivate"))
    assert twin not in found.aux
    assert {*found.aux} <= {*sets.nonprivate}


@pytest.mark.parametrize("steps", [1, 60])
def test_each_stranger_is_learned_as_often_as_what_the_attacker_has(sets: Sets, steps: int) -> None:
    """As many of them, or for fewer steps: else less plasticity than the attack needs would do."""
    for aux in ("facts", "nonprivate", "strangers", "scenes"):
        params = RelearnParams(aux=aux, steps=(0, steps), batch_size=8)
        sides = sides_of(sets, params)
        seen = min(8 * steps, len(sides.aux))
        control_steps = Relearn(params).steps_of_control(sides.aux, sides.control)
        assert len(sides.control) <= seen
        assert 8 * (control_steps - 1) / len(sides.control) < 8 * steps / seen <= 8 * control_steps / len(sides.control)
        if len(sides.control) == seen:
            assert control_steps == steps


def test_a_row_says_where_no_keyword_tells_what_may_be_learned(random_model: Path, sets: Sets, tmp_path: Path) -> None:
    whole = [replace(each, question=replace(each.question, keywords=(each.answer,))) for each in sets.forget]
    run = Run(3)
    relearned(random_model, replace(sets, forget=tuple(whole)), tmp_path / "whole", run, steps=(0, 1))
    assert run.notes["aux"]["victims_without_keywords"] == sum(
        " " in each.answer for each in sides_of(replace(sets, forget=tuple(whole)), RelearnParams()).victims
    )
    relearned(random_model, sets, tmp_path / "own", run, steps=(0, 1))
    assert "victims_without_keywords" not in run.notes["aux"]


def test_a_division_that_gives_answers_away_cannot_be_made(sets: Sets) -> None:
    one, other = sets.forget[:2]
    with pytest.raises(UsageError, match="its answer is what is asked for"):
        Sides((one, other), (other,), ())
    with pytest.raises(UsageError, match="is no stranger"):
        Sides((one,), (other,), (sets.nonprivate[0],))


def test_scenes_come_from_another_task_and_no_method_is_handed_them(
    random_model: Path, small_data: Path, tmp_path: Path
) -> None:
    config = RunConfig(
        methods=("finetune",), models=(str(random_model),), tasks=("fiubench",), attacks=("relearn",), forget=(3,),
        data=str(small_data), device="cpu", settings={"relearn": {"aux": ("facts", "scenes")}},
    )  # fmt: skip
    clean, facts, scenes = plan(config, Store(tmp_path))
    assert clean.sets == facts.sets == scenes.sets == facts.attacked_sets
    learned = scenes.attacked_sets.further["pope"]
    assert {each.answer for each in learned} == {"Yes", "No"}
    assert len({each.id for each in learned}) == len(learned)
    assert scenes.aimed is not None
    assert scenes.aimed.made.victims(scenes.attacked_sets) == scenes.sets.forget
    assert scenes.last.key["lent"][0]["name"] == "pope"
    assert "lent" not in facts.last.key


def test_an_attacker_with_nothing_is_an_error(sets: Sets) -> None:
    with pytest.raises(UsageError, match="under aux=nonprivate nothing is left to be learned from"):
        sides_of(Sets(forget=sets.forget), RelearnParams(aux="nonprivate"))
    with pytest.raises(ValueError, match="the first of them 0"):
        RelearnParams(steps=(15, 30))


def test_the_ceiling_is_taught_all_and_scores_nothing(sets: Sets) -> None:
    attack = Relearn(RelearnParams(aux="ceiling"))
    assert attack.victims(sets) == sets.forget
    assert attack.values(FIUBenchTask(FIUBenchOptions()), [{"set": "forget"}]) == {}


# ------------------------------------------------------------------------------------------------------- the training
Adapters = dict[str, dict[str, Tensor]]


def relearned(
    folder: Path, sets: Sets, out: Path, run: Run | None = None, guard: VisualEdit | None = None, **more: Any
) -> Adapters:
    """The adapters that the attack makes of a folder's model, by variant, as they are stored in ``out``."""
    model = load(card_for(str(folder)), "cpu")
    model.visual_edit = guard
    found = {}
    for name, edit in Relearn(RelearnParams(**QUICK | more)).change(model, sets, run or Run(3)).items():
        (own := out / name).mkdir(parents=True)
        edit.save(own)
        found[name] = load_file(own / "adapter_model.safetensors")
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_all_steps_are_moments_of_one_training(random_model: Path, sets: Sets, tmp_path: Path) -> None:
    with hearing() as heard:
        long = relearned(random_model, sets, tmp_path / "long")
    asked = {each.id for batch in heard for each in batch}
    assert not asked & {each.id for each in Relearn(RelearnParams()).victims(sets)}
    short = relearned(random_model, sets, tmp_path / "short", steps=(0, 1))
    assert [*long] == ["0 steps", "1 steps", "2 steps", CONTROL]
    assert same(long["1 steps"], short["1 steps"])  # a rate that fell with the length would make another step of it
    assert not any(value.any() for name, value in long["0 steps"].items() if "lora_B" in name)
    assert not same(long["1 steps"], long["2 steps"])
    assert not same(long[CONTROL], long["2 steps"])


def test_the_control_starts_where_the_attack_did(random_model: Path, sets: Sets, tmp_path: Path) -> None:
    """It learns the same whatever the attacker has."""
    how = QUICK | {"steps": (0, 1)}
    few = {aux: relearned(random_model, sets, tmp_path / aux, aux=aux, steps=(0, 1))
           for aux in ("facts", "nonprivate")}  # fmt: skip
    aux = {name: sides_of(sets, RelearnParams(**how | {"aux": name})) for name in few}
    assert same(few["facts"]["0 steps"], few["nonprivate"]["0 steps"])
    assert not same(few["facts"]["1 steps"], few["nonprivate"]["1 steps"])
    assert same(few["facts"][CONTROL], few["nonprivate"][CONTROL]) == (
        aux["facts"].control == aux["nonprivate"].control
    )


class Dimmed:
    """A guard: shows the language model pictures at half strength, and counts how often."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, batch: Any, tokens: list[Tensor]) -> list[Tensor]:
        self.seen += 1
        return [each * 0.5 for each in tokens]


def test_a_guard_stays_in_the_path_of_training(random_model: Path, sets: Sets, tmp_path: Path) -> None:
    bare = relearned(random_model, sets, tmp_path / "bare", steps=(0, 1))
    guard = Dimmed()
    found = relearned(random_model, sets, tmp_path / "guarded", guard=guard, steps=(0, 1))
    assert guard.seen >= 2
    assert same(found["0 steps"], bare["0 steps"])
    assert not same(found["1 steps"], bare["1 steps"])


def test_a_row_tells_what_is_known_after_each_step_and_what_was_seen(
    random_model: Path, small_data: Path, sets: Sets, tmp_path: Path
) -> None:
    config = RunConfig(
        methods=("finetune",), models=(str(random_model),), tasks=("fiubench",), attacks=("relearn",), forget=(3,),
        data=str(small_data), device="cpu",
        settings={
            "base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)},
            "relearn": {"steps": ((0, 1),), "batch_size": (8,), "utility": (3,)},
        },
    )  # fmt: skip
    store, rows = Store(tmp_path / "store"), RowStore(tmp_path / "rows")
    attacked = [each for each in plan(config, store) if each.aimed]
    (row,) = (each.row for each in run_grid(attacked, rows, store, Silent()))
    assert row.error is None
    assert row.attack is not None
    assert row.attack.variants == ["0 steps", "1 steps", CONTROL]
    expected = sides_of(sets, RelearnParams(steps=(0, 1), batch_size=8))
    assert row.attack.questions == len(expected.victims)
    assert row.cost.examples == {
        "forget": 8, "nonprivate": 0, "others": 0, "validation": 0, "held_out": 0, "strangers": 8,
    }  # fmt: skip
    records = [*rows.read_samples(row)]
    asked = {(each["variant"], each["set"]): set[str]() for each in records}
    for each in records:
        asked[each["variant"], each["set"]].add(each["id"])
    victims, control = {each.id for each in expected.victims}, {each.id for each in expected.control}
    assert asked.keys() - {("0 steps", "retain"), ("1 steps", "retain")} == {
        ("0 steps", "forget"), ("1 steps", "forget"), ("0 steps", "strangers"), (CONTROL, "strangers"),
    }  # fmt: skip
    assert asked["0 steps", "forget"] == asked["1 steps", "forget"] == victims
    assert asked["0 steps", "strangers"] == asked[CONTROL, "strangers"] == control
    found = measured_of(row, task_of(row), records).metrics
    assert {name: value.value for name, value in found.items()} == {
        name: value.value for name, value in row.metrics.items()
    }
    assert f"{CONTROL}.gain" in row.metrics


class Killed(BaseException):
    """Stands for SIGKILL."""


class Killing:
    """Progress that ends the process at one step of one training."""

    def __init__(self, what: str, after: int) -> None:
        self.what, self.after = what, after

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Any]:
        yield self if what == self.what else Killing("", 0)

    def advance(self, steps: int = 1, **figures: float) -> None:
        if self.what and steps:
            self.after -= 1
            if self.after < 0:
                raise Killed


@pytest.mark.parametrize("what", ["relearning", "learning strangers"])
def test_a_killed_attack_goes_on_to_the_same_models(random_model: Path, sets: Sets, tmp_path: Path, what: str) -> None:
    whole = relearned(random_model, sets, tmp_path / "whole")
    run = Run(3, Killing(what, 1), checkpoints=CheckpointFiles(tmp_path / "kept", 0.0))
    with pytest.raises(Killed):
        relearned(random_model, sets, tmp_path / "killed", run)
    run = Run(3, checkpoints=CheckpointFiles(tmp_path / "kept", 0.0))
    again = relearned(random_model, sets, tmp_path / "again", run)
    assert run.notes[what]["resumed_at"] == [1]
    assert all(same(again[name], whole[name]) for name in whole)
