"""What the models of the pool are trained on, and by which keys they are kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from unlearnbench.config import RunConfig, references
from unlearnbench.contracts.sample import Asked, Sample, Sets
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.metrics_check.kinds import KINDS, Altered
from unlearnbench.metrics_check.pool import pool

BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module")
def plans(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Plan]:
    """Doing nothing, and the ideal, on six people."""
    store = Store(tmp_path_factory.mktemp("store"))
    config = RunConfig(
        methods=references(), models=("tiny-qwen2.5-vl",), tasks=("fiubench",), data=str(small_data), forget=(2,)
    )
    nothing, ideal = plan(config, store)
    return nothing, ideal


def altered(name: str, sets: Sets) -> Altered:
    found = BY_NAME[name].alter(sets)
    assert found is not None
    return found


def pairs(samples: tuple[Sample, ...]) -> set[tuple[str, str, str]]:
    return {(each.cluster, each.text, each.answer) for each in samples}


def test_who_knows_learns_the_same_facts_in_other_words(plans: tuple[Plan, Plan]) -> None:
    sets = plans[0].sets
    answers, questions = altered("base-answers", sets), altered("base-questions", sets)
    for made in (answers, questions):
        assert len(made.changed) == made.of == len(sets.forget)
        assert [each.id for each in made.sets.in_order] == [each.id for each in sets.in_order]
        assert pairs(made.sets.retain) == pairs(sets.retain)
    for before, after in zip(sets.forget, answers.sets.forget, strict=True):
        assert after.text == before.text
        assert after.answer == before.choices[0] != before.answer
    for before, after in zip(sets.forget, questions.sets.forget, strict=True):
        assert after.text == before.rewordings[0] != before.text
        assert (after.answer, after.images) == (before.answer, before.images)


def test_who_does_not_know_learns_false_answers_or_strangers_and_no_fact_to_be_forgotten(
    plans: tuple[Plan, Plan],
) -> None:
    sets = plans[1].sets
    false, strangers = altered("retrained-false", sets), altered("retrained-strangers", sets)
    facts = pairs(sets.forget)
    for made in (false, strangers):
        learned = {each.id for each in made.sets.forget}
        known = tuple(each for each in made.sets.in_order if each.id not in learned)  # what retraining learns
        assert facts.isdisjoint(pairs(known))
        assert pairs(known) == pairs(made.changed) | pairs(sets.retain + sets.validation + sets.held_out)
    assert {(each.cluster, each.text) for each in false.changed} == {(each.cluster, each.text) for each in sets.forget}
    people = {each.cluster for each in strangers.changed}
    assert len(people) == len(sets.forgotten)
    assert people <= {each.cluster for each in sets.strangers}


def test_only_altered_samples_are_in_a_key(plans: tuple[Plan, Plan]) -> None:
    members, left_out = pool(*plans, seeds=(0, 1))
    assert left_out == []
    assert [each.label for each in members[:2]] == ["base, seed 0", "base, seed 1"]
    for each in members:
        assert ("altered" in each.plan.unlearned.key) is not each.kind.clean
    assert len({each.plan.unlearned.digest for each in members}) == 2 * len(KINDS)
    clean = [each.plan for each in members if each.kind.clean and each.seed == 0]
    assert [each.unlearned.digest for each in clean] == [each.unlearned.digest for each in plans]
    bases = {each.plan.base_stage.digest for each in members if each.kind.knows}
    assert len(bases) == 6


def test_another_word_in_an_altered_sample_is_another_model(plans: tuple[Plan, Plan]) -> None:
    nothing, ideal = plans

    def key(sets: Sets) -> str:
        members, _ = pool(replace(nothing, sets=sets), ideal, seeds=(0, 1))
        return next(each.plan.base_stage.digest for each in members if each.kind.name == "base-questions")

    first, *others = nothing.sets.forget
    other = replace(first, question=replace(first.question, paraphrased_questions=("Quite otherwise?",)))
    assert key(nothing.sets) != key(replace(nothing.sets, forget=(other, *others)))


def test_kinds_that_the_samples_have_nothing_for_are_left_out(plans: tuple[Plan, Plan]) -> None:
    """Bare samples: a question and an answer, and no strangers."""
    nothing, ideal = plans
    bare = tuple(Sample(f"{n}", f"p{n}", Asked(f"What is {n}?"), f"{n}") for n in range(4))
    sets = Sets(forget=bare[:2], others=bare[2:])
    members, left_out = pool(replace(nothing, sets=sets), replace(ideal, sets=sets), seeds=(0, 1))
    assert {each.kind.name for each in members} == {"base", "retrained"}
    assert [kind.lacks for kind in left_out] == [
        "answers in other words",
        "questions in other words",
        "false answers",
        "strangers",
    ]


def test_a_kind_of_which_half_of_the_samples_have_nothing_is_left_out(plans: tuple[Plan, Plan]) -> None:
    sets = plans[0].sets
    few = len(sets.forget) // 2 + 1
    poor = tuple(replace(each, question=replace(each.question, paraphrased_questions=())) for each in sets.forget[:few])
    assert BY_NAME["base-questions"].alter(replace(sets, forget=(*poor, *sets.forget[few:]))) is None
    some = replace(sets, forget=(*poor[:1], *sets.forget[1:]))
    made = altered("base-questions", some)
    assert (len(made.changed), made.of) == (len(sets.forget) - 1, len(sets.forget))
