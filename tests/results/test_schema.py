"""Rows of every schema are read, and written as they were read."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench import Split
from unlearnbench.results.row import Row

IDS = st.sets(st.text("0123456789abc", min_size=1, max_size=6), max_size=8)
SPLITS = st.builds(
    lambda name, forget, aside, private, of, drawn: Split.made(
        name, of, forget, held_out=aside, private=private, drawn=drawn
    ),
    st.text(max_size=20),
    IDS,
    IDS,
    st.sets(st.sampled_from(["health", "criminal", "family"])),
    st.integers(0, 400),
    st.none() | st.text(max_size=20),
)


def lost(old, new, where=""):
    """What ``new`` does not have of ``old``; that it has more is no loss."""
    if not isinstance(old, dict):
        return [] if old == new else [where]
    return [what for name, value in old.items() for what in lost(value, new.get(name, "nothing"), f"{where}.{name}")]


def line(fields, **changes):
    return json.dumps(fields | changes).encode()


@given(st.text() | st.none())
def test_a_row_of_schema_1_keeps_its_sentence(fields, sentence):
    old = fields | {"schema_version": 1, "task": fields["task"] | {"split": sentence}}
    read = Row.model_validate_json(line(old))
    assert read.task.split == (None if sentence is None else Split(name=sentence))
    written = json.loads(read.to_line())
    assert written["schema_version"] == 1
    assert written["task"]["split"] == sentence
    assert Row.model_validate_json(read.to_line()) == read
    assert lost(old, written) == []


@given(SPLITS, st.none() | st.integers(0, 500))
def test_a_row_of_schema_2_reads_back_whole(row, fields, split, questions):
    metric = fields["metrics"]["forget.rouge_l"] | {"questions": questions, "of_questions": 504}
    task = fields["task"] | {"split": split.model_dump()}
    made = row(schema_version=2, task=task, metrics={"forget.ape": metric})
    again = Row.model_validate_json(made.to_line())
    assert again == made
    assert again.task.split == split
    assert json.loads(made.to_line())["task"]["split"] == {
        "name": split.name, "identities": split.identities, "of": split.of, "digest": split.digest,
        "drawn": split.drawn,
    }  # fmt: skip
    assert (again.metrics["forget.ape"].questions, again.metrics["forget.ape"].of_questions) == (questions, 504)


def test_rows_are_made_in_the_newest_schema(row, fields):
    made = row(task=fields["task"] | {"split": {"name": "forget4", "later": 1}}, schema_version=2)
    assert json.loads(made.to_line())["task"]["split"] == {
        "name": "forget4", "identities": None, "of": None, "digest": None, "drawn": None, "later": 1,
    }  # fmt: skip
    assert Row.model_validate({name: v for name, v in fields.items() if name != "schema_version"}).schema_version == 2


def test_the_digest_is_that_of_the_ids_in_canonical_json():
    made = Split.made("ours", 6, ["b", "a", "b"], held_out=["d", "c"], private=["health", "criminal"])
    text = '{"forget":["a","b"],"held_out":["c","d"],"private":["criminal","health"]}'
    assert made.digest == hashlib.sha256(text.encode()).hexdigest()
    assert (made.identities, made.of, made.key) == (2, 6, made.digest)


@given(IDS, IDS, IDS, IDS)
def test_two_splits_are_the_same_exactly_where_their_people_are(forget, aside, forget2, aside2):
    one = Split.made("same name", 20, forget, held_out=aside)
    two = Split.made("same name", 20, forget2, held_out=aside2)
    assert (one.key == two.key) == ((forget, aside) == (forget2, aside2))
    assert Split.made("another name", 20, sorted(forget), held_out=[*aside, *aside]).key == one.key


@pytest.mark.parametrize("changed", [{"private": ["health"]}, {"held_out": ["x"]}, {"forget": ["a"]}])
def test_all_of_a_division_counts(changed):
    parts = {"forget": ["a", "b"], "held_out": ["c"], "private": ["health", "criminal"]}
    assert Split.made("n", 6, **parts).key != Split.made("n", 6, **parts | changed).key


@given(IDS, IDS, st.permutations(range(6)))
def test_other_people_drawn_in_the_same_way_are_one_setting(aside, others, order):
    """What is shared: how many are drawn for each set, of how many, and what of them is private."""
    people = [[f"p{place}" for place in each] for each in (range(6), order)]
    one, other = (Split.made("2 people", 6, of[:2], held_out=of[2:4], drawn="2 people") for of in people)
    assert one.setting == other.setting
    assert one.setting not in (one.key, other.key)
    assert one.key == Split.made("2 people", 6, people[0][:2], held_out=people[0][2:4]).setting
    more = (Split.made("2 people", 6, people[0][:2], held_out=of, drawn="2 people") for of in (aside, others))
    assert len({each.setting for each in more}) == len({len(aside), len(others)})
    private = Split.made("2", 6, people[0][:2], held_out=people[0][2:4], private=["health"], drawn="2 people")
    assert private.setting != one.setting


def test_a_sentence_of_an_old_row_is_nobodys_digest():
    made = Split.made("n", 6, ["a"])
    assert Split(name=made.name).key != made.key
