"""Groups of questions: by whole words, by what the data say, and what was only guessed."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data_folders import SHARED, Record
from unlearnbench.embedded import embedded_folder
from unlearnbench.errors import DataError
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.summary import counted, remarks
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, QuestionGroup, group_of, told

Rewrite = Callable[[Callable[[list[Record]], None]], Path]


@pytest.mark.parametrize(
    "question",
    [
        "Which instrumental music does the person like?",
        "Which environmental cause does the person support?",
        "Which sentimental item does the person keep?",
        "What did the person do against discrimination?",
        "Which team is the person in charge of?",
        "Which insurance company does the person work for?",
        "What is the full legal name of the person?",
        "Wie lautet der volle Name der Person?",
    ],
)
def test_no_part_of_a_word_makes_a_question_private(question: str) -> None:
    assert group_of(question) not in PRIVATE


def test_a_wording_of_fiubenchs_is_known_and_another_is_a_guess() -> None:
    for question, known in {
        "What is the full name of the person in the image?": True,
        "What is the full legal name of the person in the image?": False,
        "When was the person in the image admitted to Sherman-Garrett Hospital?": True,
        "What was room number during his hospital stay in April 2020 of the person in the image?": True,
        "Which medical school did the person in the image attend?": False,
        "What is the person'sblood type?": True,
        "What is the person’s blood type?": True,
    }.items():
        found = told(question)
        assert found is not None, question
        assert found.known is known, question


def test_the_8000_questions_of_fiubench_are_all_of_known_wording() -> None:
    """Counts of the published text, by rules that were written before these."""
    source = SHARED / "fiubench" / "qa_text.jsonl"
    if not source.is_file():
        pytest.skip("FIUBench's questions are not on this machine")
    found = Counter(told(json.loads(line)["question"]) for line in source.read_text().splitlines())
    counts = {(each.group.value, each.known): number for each, number in found.items() if each}
    assert counts == {
        ("health", True): 4315, ("criminal", True): 721, ("biography", True): 2676, ("filler", True): 288,
    }  # fmt: skip
    assert sum(number for (group, _), number in counts.items() if group in PRIVATE) == 5036


def test_no_group_of_the_shipped_questions_is_a_guess() -> None:
    dataset = read(embedded_folder())
    told_by = counted(dataset)["groups_told_by"]
    assert told_by["data"] + told_by["wording"] == 20 * len(dataset.identities)
    assert told_by["rule"] == 0
    assert list(remarks(dataset)) == []


def test_a_group_in_the_data_goes_first(folder: Path, rewrite: Rewrite) -> None:
    def give(records: list[Record]) -> None:
        questions = records[0]["qa_list"]
        questions[0] |= {"question": "Wie lautet der volle Name der Person im Bild?", "group": "biography"}
        wording = "What is the full name of the person in the image?"
        questions[1] |= {"question": wording, "group": "health"}  # of a biography's wording
        questions[2] |= {"question": "What is the address of the person in the image?", "group": None}

    dataset = read(rewrite(give))
    questions = dataset.identities[0].questions
    assert [question.group for question in questions[:3]] == [
        QuestionGroup.BIOGRAPHY,
        QuestionGroup.HEALTH,
        QuestionGroup.BIOGRAPHY,
    ]
    assert [question.told_by for question in questions[:3]] == ["data", "data", "wording"]
    assert counted(dataset)["groups_told_by"] == {"data": 119, "wording": 1, "rule": 0}
    (remark,) = remarks(dataset)
    assert remark.startswith("of 120 questions 1 have a group in the data that is not that of")


def test_an_unknown_group_is_named_with_the_known_ones(rewrite: Rewrite) -> None:
    folder = rewrite(lambda records: records[1]["qa_list"][3].update(group="school"))
    with pytest.raises(DataError, match=r"line 2: field 'qa_list.3.group'.*'health', 'criminal', 'biography'"):
        read(folder)


def test_what_a_rule_guessed_is_counted_and_said(rewrite: Rewrite) -> None:
    def reword(records: list[Record]) -> None:
        for number, place, question in (
            (0, 0, "What is the full legal name of the person in the image?"),
            (2, 9, "Which medical school did the person in the image attend?"),
        ):
            records[number]["qa_list"][place] |= {"question": question, "group": None}

    dataset = read(rewrite(reword))
    assert counted(dataset)["groups_told_by"] == {"data": 118, "wording": 0, "rule": 2}
    (remark,) = remarks(dataset)
    assert "of 120 questions 2 are worded unlike" in remark
    assert "1 biography, 1 health" in remark
    assert "question 0 of 00000000, 'What is the full legal name" in remark


# ------------------------------------------------------------------------------------------------ nulls
@pytest.mark.parametrize("key", ["keywords", "paraphrased_question", "perturbed_answer", "paraphrased_answer"])
@pytest.mark.parametrize("value", [None, [], [None, None], ["", ""]])
def test_null_is_the_same_as_a_missing_key(rewrite: Rewrite, key: str, value: object) -> None:
    if key == "paraphrased_answer" and value is not None:
        value = None
    dropped = read(rewrite(lambda records: records[0]["qa_list"][5].pop(key, None))).identities
    assert read(rewrite(lambda records: records[0]["qa_list"][5].update({key: value}))).identities == dropped


def test_a_null_among_texts_is_named(rewrite: Rewrite) -> None:
    folder = rewrite(lambda records: records[0]["qa_list"][5].update(perturbed_answer=["one", None]))
    with pytest.raises(DataError, match=r"line 1: field 'qa_list.5.perturbed_answer.1'"):
        read(folder)
