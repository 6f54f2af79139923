"""Who is forgotten of the people in tables, and what of them: by marks, groups, names or numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tasks.qa.tables import Cells, pictures, rows, write_csv
from unlearnbench import DataError, UsageError
from unlearnbench.tasks.qa.task import QAData, QATask


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., QAData]:
    """Loads rows of a table that is written anew."""
    pictures(tmp_path)

    def loaded(cells: list[Cells], forget: Any = None, seed: int = 0, **options: Any) -> QAData:
        task = QATask(QATask.Options(**{"held_out": 0, "validation": 0, **options}))
        return task.load(str(write_csv(tmp_path / "t.csv", cells)), forget, seed)

    return loaded


def marked(column: str, which: Callable[[Cells], bool]) -> list[Cells]:
    return [{**each, column: "yes" if which(each) else "no"} for each in rows()]


def ids(facts: Any) -> set[str]:
    return {fact.id for fact in facts}


def test_without_a_mark_all_of_the_first_of_a_shuffle_is_forgotten(load: Callable[..., QAData]) -> None:
    sets = load(rows(), 2, seed=1).sets
    assert len(sets.forgotten) == 2
    assert {fact.cluster for fact in sets.forget} == {*sets.forgotten}
    assert not sets.nonprivate
    assert len(sets.all) == len(rows())
    smaller = load(rows(), 1, seed=1).sets.forgotten
    assert {*smaller} < {*sets.forgotten}
    drawn = {load(rows(), 2, seed=seed).sets.forgotten for seed in range(8)}
    assert len(drawn) > 1
    assert [fact.id for fact in load(rows(), 2, seed=5).sets.in_order] == [fact.id for fact in sets.in_order]


def test_private_rows_are_what_is_forgotten_of_a_person_and_people_without_any_are_not_drawn(
    load: Callable[..., QAData],
) -> None:
    cells = marked("private", lambda each: each["person"] in ("cyd", "dee") and not each["picture"])
    for seed in range(4):
        sets = load(cells, 1, seed).sets
        assert sets.forgotten in (("cyd",), ("dee",))
        assert ids(sets.nonprivate) == {f"{sets.forgotten[0]}/0"}  # who it is
        assert all(fact.cluster == sets.forgotten[0] for fact in sets.forget)


def test_marked_rows_say_exactly_what_is_forgotten(load: Callable[..., QAData]) -> None:
    cells = marked("forget", lambda each: each["question"] in ("What is number 0 of bob?", "What is number 2 of dee?"))
    for forget in (None, "marked"):
        data = load(cells, forget, seed=3)
        assert ids(data.sets.forget) == {"bob/1", "dee/3"}
        assert ids(data.sets.nonprivate) == {"bob/0", "dee/0", "dee/1", "dee/2"}
        assert data.split.name == "marked"


def test_groups_by_name_come_before_marks(load: Callable[..., QAData]) -> None:
    cells = marked("private", lambda each: True)
    for each in cells:
        each["group"] = "looks" if each["picture"] else "numbers"
    sets = load(cells, 2, private=("looks",)).sets
    assert {fact.question.group for fact in sets.forget} == {"looks"}
    assert {fact.question.group for fact in sets.nonprivate} <= {"numbers"}
    with pytest.raises(UsageError, match="no question is of the group 'health', but of looks, numbers"):
        load(cells, 2, private=("health",))


def test_who_is_kept_apart_is_never_forgotten(load: Callable[..., QAData]) -> None:
    sets = load(rows(), 1, held_out=0.25, validation=0.25).sets
    clusters = [
        {fact.cluster for fact in getattr(sets, name)} for name in ("forget", "others", "validation", "held_out")
    ]
    assert sorted(map(len, clusters)) == [1, 1, 1, 1]
    assert set.union(*clusters) == {"ann", "bob", "cyd", "dee"}


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        (0, "choose a number from 1 to 3"),
        (4, "--forget 4: the data has 4 identities"),
        ("marked", "no column marks whom to forget"),
        ("some", "--forget some: no split of that name; choose a number or one of: there is none"),
    ],
)
def test_what_cannot_be_forgotten_is_refused(load: Callable[..., QAData], forget: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(rows(), forget)


def test_people_whom_a_column_marks_are_called_so(load: Callable[..., QAData]) -> None:
    everybody = marked("forget", lambda each: True)
    with pytest.raises(UsageError, match=r"^everybody is marked to be forgotten, and somebody must be left to retain"):
        load(everybody)
    with pytest.raises(UsageError, match=r"^--forget marked: that is everybody, and"):
        load(everybody, "marked")
    cells = [each | {"private": "yes" if each["person"] == "ann" else "no"} for each in marked("forget", bobs)]
    with pytest.raises(UsageError, match=r"^nothing to forget: nothing of the people who are marked .* is private; "):
        load(cells)
    with pytest.raises(UsageError, match=r"^nothing to forget: nothing of --forget marked is private"):
        load(cells, "marked")
    with pytest.raises(UsageError, match=r"^nothing to forget: no question is private; mark some, or name groups"):
        load(marked("private", lambda each: False))


def bobs(each: Cells) -> bool:
    return each["person"] == "bob"


def test_the_same_question_on_the_same_picture_cannot_be_forgotten_and_kept(
    load: Callable[..., QAData], tmp_path: Path
) -> None:
    cells = marked("forget", lambda each: each["person"] == "ann")
    Image.open(tmp_path / "ann.png").save(tmp_path / "bob.png")
    with pytest.raises(DataError, match=r"t\.csv, row 2: the very question, .* is asked of bob too \(.*row 3\)"):
        load(cells)
    cells[1]["question"] = "Who is it, by the way?"
    [notice] = load(cells).notices
    assert "a picture of ann, who is forgotten, is one of bob too" in notice


def test_a_name_in_two_spellings_of_which_one_is_forgotten_is_told(load: Callable[..., QAData]) -> None:
    cells = marked("forget", bobs)
    cells[2]["person"], cells[2]["forget"] = " BOB", "no"
    [notice] = load(cells).notices
    assert notice.startswith("'bob', who is forgotten, and 'BOB', who is not, count as two people: write the name in")
    cells[2]["person"] = "rob"
    assert not load(cells).notices


def test_splits_of_other_people_and_other_rules_differ(load: Callable[..., QAData]) -> None:
    one, other, seeded = (load(rows(), number, seed).split for number, seed in ((1, 0), (2, 0), (2, 1)))
    assert one.key != other.key != seeded.key
    assert other.setting == seeded.setting != one.setting
    private = marked("private", lambda each: True)
    assert load(private, 2).split.key != other.key


def test_questions_that_stand_twice_are_told_with_their_rows(load: Callable[..., QAData]) -> None:
    cells = rows()
    found = load([*cells, cells[0], {**cells[1], "answer": "Nobody."}], 1).notices
    again, other = (each for each in found if "once more" in each or "two answers" in each)
    assert f"t.csv, row {len(cells) + 2}" in again
    assert "has two answers" in other
    assert f"t.csv, row {len(cells) + 3} and " in other
    assert other.endswith("t.csv, row 3")
    assert not any("once more" in each or "two answers" in each for each in load(cells, 1).notices)
