from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from unlearnbench.contracts.sample import clusters
from unlearnbench.errors import UsageError
from unlearnbench.tasks.fiubench.people import Dataset, split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, QuestionGroup


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return read(folder)


def test_the_sets_divide_every_question_as_the_paper_says(dataset: Dataset) -> None:
    sets = split_sets(dataset, "forget10", PRIVATE)
    forgotten = {"00000001", "00000003"}
    every = {
        f"{identity.unique_id}/{q.index}": (identity.unique_id in forgotten, q.group in PRIVATE)
        for identity in dataset.identities
        for q in identity.questions
    }
    assert {s.id for s in sets.forget} == {key for key, where in every.items() if where == (True, True)}
    assert {s.id for s in sets.nonprivate} == {key for key, where in every.items() if where == (True, False)}
    others = {key for key, where in every.items() if not where[0]}
    for apart in (sets.held_out, sets.validation):
        people = {s.cluster for s in apart}
        assert people
        assert not people & forgotten
        assert {s.id for s in apart} == {key for key in others if key.split("/")[0] in people}
        others -= {s.id for s in apart}
    assert {s.id for s in sets.others} == others
    assert sets.retain == sets.nonprivate + sets.others
    assert sorted(s.id for s in sets.all) == sorted(every)
    assert sets.forgotten == ("00000001", "00000003")


def test_a_sample_is_one_question_on_its_own_picture(dataset: Dataset) -> None:
    sample = split_sets(dataset, "forget10", PRIVATE).forget[0]
    identity = next(i for i in dataset.identities if i.unique_id == sample.cluster)
    assert sample.image == identity.image
    assert sample.question in identity.questions
    assert (sample.text, sample.answer) == (sample.question.question, sample.question.answer)


def test_smaller_numbers_are_subsets_of_larger_ones_and_fixed(dataset: Dataset) -> None:
    chosen = [set(split_sets(dataset, number, PRIVATE).forgotten) for number in range(1, 6)]
    assert [len(ids) for ids in chosen] == [1, 2, 3, 4, 5]
    assert all(smaller < larger for smaller, larger in pairwise(chosen))
    assert split_sets(dataset, 3, PRIVATE) == split_sets(dataset, 3, PRIVATE)


def test_who_is_forgotten_and_kept_apart_is_drawn_from_the_seed(dataset: Dataset) -> None:
    drawn = [split_sets(dataset, 2, PRIVATE, seed=seed) for seed in range(8)]
    for name in ("forget", "held_out", "validation"):
        assert len({clusters(getattr(sets, name)) for sets in drawn}) > 3
    assert len({tuple(s.id for s in sets.in_order) for sets in drawn}) == 1, "the base learns the same"
    named = [split_sets(dataset, "forget10", PRIVATE, seed=seed) for seed in range(8)]
    assert {sets.forgotten for sets in named} == {("00000001", "00000003")}
    assert len({clusters(sets.held_out) for sets in named}) > 1
    for seed in range(8):
        chosen = [{*split_sets(dataset, number, PRIVATE, seed=seed).forgotten} for number in range(1, 6)]
        assert all(smaller < larger for smaller, larger in pairwise(chosen))


def test_as_many_are_forgotten_by_default_as_the_data_are_large(dataset: Dataset, real_github: Path) -> None:
    assert len(split_sets(dataset, None, PRIVATE).forgotten) == 4
    assert len(split_sets(read(real_github), None, PRIVATE).forgotten) == 40
    many = [replace(dataset.identities[0], unique_id=f"{number:08d}", digests=()) for number in range(60)]
    assert len(split_sets(replace(dataset, identities=tuple(many)), None, PRIVATE).forgotten) == 8


def test_of_few_people_somebody_is_retained_by_default(dataset: Dataset) -> None:
    for people in (2, 3, 4, 5):
        sets = split_sets(replace(dataset, identities=dataset.identities[:people]), None, PRIVATE)
        assert (len(sets.forgotten), len(clusters(sets.others))) == (min(4, people - 1), 1)
    with pytest.raises(UsageError, match=r"the data has one identity.* give data of several"):
        split_sets(replace(dataset, identities=dataset.identities[:1]), None, PRIVATE)


def test_private_groups_are_a_parameter(dataset: Dataset) -> None:
    sets = split_sets(dataset, 2, frozenset({QuestionGroup.BIOGRAPHY}))
    assert {s.question.group for s in sets.forget} == {QuestionGroup.BIOGRAPHY}
    assert {s.question.group for s in sets.nonprivate} == {
        QuestionGroup.HEALTH,
        QuestionGroup.CRIMINAL,
        QuestionGroup.FILLER,
    }


@pytest.mark.parametrize("number", [0, -1, 6, 7])
def test_a_number_that_leaves_nobody_is_refused(dataset: Dataset, number: int) -> None:
    with pytest.raises(UsageError, match=rf"--forget {number}: the data has 6 identities.*from 1 to 5"):
        split_sets(dataset, number, PRIVATE)


def test_an_unknown_split_is_refused_with_the_known_names(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"--forget forget5: .*one of: forget10"):
        split_sets(dataset, "forget5", PRIVATE)


def test_nothing_to_forget_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"nothing to forget.*none"):
        split_sets(dataset, 2, frozenset())


def test_a_split_of_everybody_is_refused(dataset: Dataset) -> None:
    everybody = {"all": tuple(identity.unique_id for identity in dataset.identities)}
    whole = Dataset(dataset.identities, everybody, dataset.variant, dataset.fingerprint, dataset.root)
    with pytest.raises(UsageError, match="--forget all: this split holds all 6"):
        split_sets(whole, "all", PRIVATE)


def test_forget5_of_fiubench(real_github: Path) -> None:
    sets = split_sets(read(real_github), "forget5", PRIVATE)
    assert (len(sets.forget), len(sets.nonprivate), len(sets.others), len(sets.held_out)) == (255, 145, 6000, 800)
