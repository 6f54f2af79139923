"""The order in which samples come where several questions about a picture are to stand side by side."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace
from itertools import groupby

import pytest
import torch

from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.training.loop import Shuffled
from unlearnbench.training.loop.terms import in_parts
from unlearnbench.training.params import BaseParams, FinetuneParams, UnlearnParams
from unlearnbench.training.unlearning import Paired

ITEMS = [(picture, question) for picture in "abcd" for question in range(20)] + [("", place) for place in range(3)]


def runs(values: Iterable[Hashable]) -> list[int]:
    """How often in a row each value comes."""
    return [len([*same]) for _, same in groupby(values)]


def order(at_a_time: int, epoch: int = 1) -> list[tuple[str, int]]:
    batches = Shuffled(ITEMS, 8, 5, lambda item: item[0], at_a_time)
    return [item for batch in batches.epoch(epoch) for item in batch]


def test_by_default_any_order_is_drawn_as_it_always_was() -> None:
    drawn = torch.randperm(len(ITEMS), generator=torch.Generator().manual_seed(5 * 1_000_003 + 1)).tolist()
    assert order(1) == [item for batch in Shuffled(ITEMS, 8, 5).epoch(1) for item in batch]
    assert order(1) == [ITEMS[place] for place in drawn]
    for kind in (FinetuneParams, BaseParams, UnlearnParams):
        assert "questions_per_picture" not in kind().model_dump()  # keys of what came before stay what they were


@pytest.mark.parametrize("at_a_time", [2, 8, 20, 50])
def test_questions_about_a_picture_come_in_parts_that_are_drawn(at_a_time: int) -> None:
    one, two = order(at_a_time), order(at_a_time, epoch=2)
    assert sorted(one) == sorted(two) == sorted(ITEMS)
    assert one != two
    parts = -(-20 // at_a_time)
    least = 20 // parts
    of_pictures = [run for picture in "abcd" for run in runs_of(one, picture)]
    assert all(run >= least for run in of_pictures)
    assert sum(of_pictures) == 80
    assert len(of_pictures) <= 4 * parts  # parts of one picture may come to stand side by side
    assert [question for picture, question in one if picture == "a"] != list(range(20))
    assert sum(runs_of(one, "")) == 3  # of no picture: nothing holds them together
    if at_a_time == 20:
        assert of_pictures == [20] * 4


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        ("aaabbbcc", 8, ["aaabbbcc"]),
        ("aaabbbcc", 4, ["aaa", "bbb", "cc"]),
        ("aaabbbcc", 5, ["aaa", "bbbcc"]),
        ("aaaaabbbbb", 4, ["aaaa", "abbb", "bb"]),
        ("aaaaaabb", 4, ["aaaa", "aabb"]),
        ("ab", 1, ["a", "b"]),
        ("", 4, []),
    ],
)
def test_parts_end_where_a_picture_does_if_they_hold_it(rows: str, size: int, expected: list[str]) -> None:
    assert ["".join(part) for part in in_parts(rows, size, lambda letter: letter)] == expected
    assert [len(part) for part in in_parts(rows, size)] == [
        len(rows[at : at + size]) for at in range(0, len(rows), size)
    ]


def test_what_has_no_picture_may_be_parted_anywhere() -> None:
    assert in_parts([0] * 5, 2, lambda _: ()) == [[0, 0], [0, 0], [0]]


def runs_of(items: list[tuple[str, int]], picture: str) -> list[int]:
    return [len([*same]) for key, same in groupby(picture for picture, _ in items) if key == picture]


def pairs(sets: Sets, at_a_time: int, epoch: int = 1) -> list[tuple[Sample, str, Sample]]:
    batches = Paired(sets, ("no", "never"), 6, 4, "mixed", at_a_time)
    return [row for batch in batches.epoch(epoch) for row in batch]  # type: ignore[misc]


def test_pairs_are_of_a_few_pictures_on_both_sides(people: Sets) -> None:
    """Each forget sample once, partners of two kinds by turns, those of a kind about one picture in each row."""
    rows = pairs(people, 4)
    assert sorted(row[0].id for row in rows) == sorted(sample.id for sample in people.forget)
    assert {row[:2] for row in rows} == {row[:2] for row in pairs(people, 1)}  # the same refusals
    assert max(runs(row[0].images for row in rows)) >= 4
    start = 0
    for length in runs(row[0].images for row in rows):
        for turn, pool in enumerate((people.nonprivate, people.others)):
            partners = [
                row[2] for place, row in enumerate(rows) if start <= place < start + length and place % 2 == turn
            ]
            assert {*partners} <= {*pool}
            assert len({partner.images for partner in partners}) == 1
            assert len({*partners}) == min(len(partners), sum(s.images == partners[0].images for s in pool))
        start += length


def test_any_partner_is_as_likely_as_before(people: Sets) -> None:
    """Also where pictures have unequally many questions."""
    sets = replace(people, nonprivate=people.nonprivate[:3], others=people.others[:25:5])
    pool = [*sets.nonprivate, *sets.others]
    counts = Counter(row[2].id for epoch in range(400) for row in pairs(sets, 4, epoch))
    drawn = 400 * len(sets.forget)
    for sample in pool:
        own = sets.nonprivate if sample in sets.nonprivate else sets.others
        assert counts[sample.id] / drawn == pytest.approx(1 / 2 / len(own), rel=0.1)
