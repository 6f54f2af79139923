"""Rows that forget different people never meet: in no mean, no line, no curve, no contest."""

import csv
import io
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.runs import orderings
from unlearnbench import Split
from unlearnbench.analysis.comparison import compare
from unlearnbench.analysis.legend import legend
from unlearnbench.analysis.tidy import tidy
from unlearnbench.report.curves import curves
from unlearnbench.report.latex import latex
from unlearnbench.report.markdown import markdown

SCORE = "retain.rouge_l"


def people(name, *ids, held_out=(), private=("health",), of=20, drawn=None):
    return Split.made(name, of, map(str, ids), held_out=held_out, private=private, drawn=drawn).model_dump()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.randoms())
def test_rows_that_differ_in_the_digest_alone_are_never_averaged(row, values, random):
    rows = [
        row("m", metrics={SCORE: (value, True)}, split=people("same name", number), seed=seed)
        for number, value in enumerate(values)
        for seed in (0, 1)
    ]
    random.shuffle(rows)
    (comparison,) = compare(rows)
    assert len(comparison.lines) == len(values)
    for line in comparison.lines:
        assert len({each.task.split.key for each in line.rows}) == 1
        number = next(
            place for place in range(len(values)) if people("", place)["digest"] == line.facts["split"].digest
        )
        assert line.metric(SCORE).mean == pytest.approx(values[number])
    assert len({comparison.label(line) for line in comparison.lines}) == len(values)


@pytest.mark.parametrize(
    "other", [{"held_out": ["9"]}, {"private": ["health", "criminal"]}, {}], ids=["held out", "groups", "people"]
)
def test_whoever_is_held_out_and_what_is_private_tells_rows_of_any_task_apart(row, other):
    """MME's rows say nothing of FIUBench's options: the digest alone tells whom their model forgot."""
    ids = (1, 2) if other else (1, 3)
    rows = [
        row("m", task, {name: (value, True)}, split=split)
        for split, value in ((people("2 of 20", 1, 2), 0.2), (people("2 of 20", *ids, **other), 0.8))
        for task, name in (("fiubench", SCORE), ("mme", "mme.accuracy"))
    ]
    (comparison,) = compare(rows)
    assert [(line.metric(SCORE).mean, line.metric("mme.accuracy").mean) for line in comparison.lines] == [
        (0.2, 0.2), (0.8, 0.8),
    ]  # fmt: skip


def test_the_name_of_the_same_people_makes_no_line(row):
    rows = [row("m", metrics={SCORE: (0.2, True)}, split=people("forget20", 1, 2, 3, 4), seed=0)]
    rows += [row("m", metrics={SCORE: (0.4, True)}, split=people("4 of 20", 4, 3, 2, 1), seed=1)]
    (comparison,) = compare(rows)
    assert [line.metric(SCORE).mean for line in comparison.lines] == [pytest.approx(0.3)]


def test_lines_say_who_by_name_and_where_names_agree_by_the_digest(row):
    splits = [people("forget20", 1, 2, 3, 4), people("4 of 20", 5, 6, 7, 8)]
    (comparison,) = compare([row("m", metrics={SCORE: (0.5, True)}, split=split) for split in splits])
    assert [comparison.label(line) for line in comparison.lines] == ["m split=forget20", "m split=4 of 20"]
    splits[1]["name"] = "forget20"
    comparisons = compare([row("m", metrics={SCORE: (0.5, True)}, split=split) for split in splits])
    wanted = [f"m split=forget20#{split['digest'][:8]}" for split in splits]
    assert [comparisons[0].label(line) for line in comparisons[0].lines] == wanted
    read = [each["settings"] for each in csv.DictReader(io.StringIO(tidy(comparisons)))]
    assert read == [label.removeprefix("m ") for label in wanted]
    for text in (markdown(comparisons), latex(comparisons)):
        assert all(split["digest"][:8] in text for split in splits)


def test_a_sentence_of_an_old_row_is_a_name_and_not_read(row):
    rows = [row("m", metrics={SCORE: (n / 10, True)}, split=f"forget {n} of 20 (custom split)") for n in (2, 4, 6)]
    (comparison,) = compare(rows)
    assert len(comparison.lines) == 3
    assert [*curves(comparison)] == []


def test_rows_that_do_not_tell_what_differs_are_not_dropped_without_a_word(row):
    """`--forget 4` and `--forget forget20` were one sentence in schema 1."""
    sentence = "forget 4 of 20 (custom split)"
    rows = [
        row("m", metrics={SCORE: (value, True)}, split=sentence, seed=seed, row_id=f"{value}-{seed}")
        for value in (0.2, 0.8)
        for seed in (0, 1)
    ]
    said = " ".join(legend(compare([*rows, rows[0]])))
    assert "the rows do not tell what differs: m fiubench (2)" in said
    assert "go by a name alone" in said
    said = " ".join(legend(compare([row("m", metrics={SCORE: (0.2, True)}, split=people("4 people", 1))])))
    assert "Not counted" not in said
    assert "name alone" not in said


def curve(row, splits, **changes):
    rows = [row("m", metrics={SCORE: (value, True)}, split=split, **changes) for split, value in splits]
    return [figure for _, figure in curves(*compare(rows))]


def test_people_are_swept_by_their_number(row):
    (figure,) = curve(row, [(people(f"set{n}", *range(n)), n / 10) for n in (6, 2, 4)])
    assert figure.axes[0].get_xlabel() == "people to forget"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[2, 0.2], [4, 0.4], [6, 0.6]]


@pytest.mark.parametrize("order", [*permutations(range(2))], ids=str)
def test_two_sets_of_as_many_people_are_no_point_of_a_curve(row, order):
    doubled = [(people("set4", 0, 1, 2, 3), 0.4), (people("set4", 6, 7, 8, 9), 0.9)]
    others = [(people(f"set{n}", *range(n)), n / 10) for n in (2, 6, 8)]
    (figure,) = curve(row, [*others, *(doubled[place] for place in order)])
    assert figure.axes[0].lines[0].get_xdata().tolist() == [2, 6, 8]
    assert "4 left out" in figure.axes[0].get_xlabel()


def test_a_sweep_of_another_number_stays_with_its_people(row):
    rows = [
        row("m", metrics={SCORE: (k / 20 + shift, True)}, split=people("same", first), params={"k": k})
        for first, shift, ks in ((1, 0.0, (4, 8, 16)), (2, 0.1, (2, 12)))
        for k in ks
    ]
    ((_, figure),) = curves(*compare(rows))
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[k, pytest.approx(k / 20)] for k in (4, 8, 16)]


def test_the_orderings_take_the_usual_people_and_tell_sets_of_equal_size(row):
    usual, other = people("a", 1, 2), people("a", 3, 4)
    rows = [row("ga", metrics={SCORE: (value, True)}, split=split, seed=seed) for seed, split, value in (
        (0, usual, 0.2), (1, usual, 0.4), (2, other, 1.0),
    )]  # fmt: skip
    assert orderings.Figures(rows).mean("ga", SCORE) == pytest.approx(0.3)
    other_rate = row("ga", metrics={SCORE: (0.9, True)}, split=usual, seed=3, params={"rate": 2})
    other_scorer = row("ga", metrics={SCORE: (0.9, True)}, split=usual, seed=3, options={"scorer": "fiubench"})
    for stray in (other_rate, other_scorer):
        with pytest.raises(LookupError, match="several settings"):
            orderings.Figures([*rows, stray]).mean("ga", SCORE)
    with pytest.raises(LookupError, match="two sets of 2 people"):
        orderings._by_number(each.task.split for each in rows)


def test_the_orderings_take_people_together_whom_each_seed_draws(row):
    rows = [
        row("ga", metrics={SCORE: (value, True)}, split=people("2 people", *ids, drawn="2 people"), seed=seed)
        for seed, ids, value in ((0, (1, 2), 0.2), (1, (3, 4), 0.4), (2, (2, 5), 0.9))
    ]
    assert orderings.Figures(rows).mean("ga", SCORE) == pytest.approx(0.5)
    assert len(orderings._by_number(each.task.split for each in rows)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda fields: fields["task"]["protocol"].update(limited=True, questions=60),
        lambda fields: fields["task"].update(code="c" * 64),
        lambda fields: fields["method"].update(code="c" * 64),
        lambda fields: fields["model"].update(template_digest="c" * 64),
        lambda fields: fields.update(trained_on={"source": "folder", "id": "x", "revision": None, "fingerprint": "c"}),
    ],
    ids=["protocol", "task's file", "method's file", "template", "trained on"],
)
def test_whatever_else_determines_a_result_makes_a_line(row, changed):
    one = row("m", "mme", {"mme.accuracy": (0.2, True)})
    fields = one.model_dump(mode="json")
    changed(fields)
    other = type(one).model_validate(fields | {"row_id": "other", "seed": 1})
    (comparison,) = compare([one, other])
    assert len(comparison.lines) == 2
    assert len({comparison.label(line) for line in comparison.lines}) == 2
