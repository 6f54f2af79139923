"""The table of all attacks: each method's share and word under each, narrow enough for a page."""

import csv
import io

import pytest

from tests.analysis.attacks.test_relearned import found  # noqa: F401 - a fixture
from unlearnbench.analysis.attacks.of_lines import AttackedLine, AttackOn
from unlearnbench.analysis.comparison import Comparison
from unlearnbench.analysis.facts import Facts
from unlearnbench.analysis.tidy import tidy
from unlearnbench.report.attacks.matrix import LETTERS, matrices, together
from unlearnbench.report.latex import latex
from unlearnbench.report.markdown import markdown

TEN = ("relearn", "quantise", "gate", "pgd", "depth", "mia", "likelihood", "leak", "picture", "prompt")
ACCESSES = ("weights-write",) * 3 + ("weights-read",) * 2 + ("logits",) * 2 + ("prompt", "picture", "prompt")


@pytest.fixture
def attacks(found: dict[tuple[str, str], AttackedLine]) -> list[AttackOn]:  # noqa: F811
    """Ten attacks on two models; what came back is the same under all."""
    lines = tuple(line for (aux, _), line in found.items() if aux == "facts")
    told = lines[0].line.rows[0].attack
    assert told is not None
    return [
        AttackOn(model, told.model_copy(update={"name": name, "access": access}), "", lines)
        for model in ("one", "two")
        for name, access in zip(TEN, ACCESSES, strict=True)
    ]


def table(attacks: list[AttackOn], *, intervals: bool = False) -> Comparison:
    first, second = matrices(attacks, Facts(), intervals=intervals)
    assert (first.model, second.model) == ("one", "two")
    return first


def test_every_cell_is_the_share_and_a_letter_for_the_word(attacks: list[AttackOn]) -> None:
    made = table(attacks)
    assert [line.method for line in made.lines] == [each.line.method for each in attacks[0].lines]
    for column in made.columns:
        for place, line in enumerate(attacks[0].lines):
            assert line.verdict is not None
            assert line.left is not None
            assert line.left.mean is not None
            share, letter = column.text(place, interval=True).split()
            assert float(share) == pytest.approx(line.left.mean, abs=0.00501)
            assert (letter, column.word(place)) == (LETTERS[line.verdict], line.verdict)
    within = table(attacks, intervals=True).columns[0]
    assert [within.text(place).split()[1] for place, _ in enumerate(attacks[0].lines)] == ["±"] * len(made.lines)


def test_the_least_access_comes_first_and_is_said(attacks: list[AttackOn]) -> None:
    made = table(attacks)
    assert [name for name, _ in made.groups] == ["prompt", "picture", "logits", "weights-read", "weights-write"]
    assert any("logits (mia, likelihood)" in note for note in made.notes)


def test_markdown_fits_a_page_and_says_of_every_method_what_was_tried(attacks: list[AttackOn]) -> None:
    text = markdown(matrices(attacks, Facts()))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * (2 + len(attacks[0].lines))
    assert max(map(len, rows)) <= 120
    sentences = [line for line in text.splitlines() if line.startswith("- ")]
    methods = [f"{each.line.method} {each.line.count}" for each in attacks[0].lines if each.line.is_method]
    assert [line.removeprefix("- ").split(":")[0] for line in sentences] == methods * 2
    assert latex(matrices(attacks, Facts())).count(r"\item") == len(sentences)


def test_attacks_that_find_the_same_find_no_more_together(attacks: list[AttackOn]) -> None:
    """Who may try several is told no more by that, as the retrained model is asked as often."""
    made, _ = together(attacks, Facts())
    assert {name for name, _ in made.groups} == {each for each in ACCESSES if ACCESSES.count(each) > 1}
    for column in made.columns:
        for place, line in enumerate(attacks[0].lines):
            assert column.word(place) == line.verdict
            assert column.cells[place] == line.left


def test_a_program_is_told_the_words(attacks: list[AttackOn]) -> None:
    rows = [*csv.DictReader(io.StringIO(tidy(matrices(attacks, Facts()))))]
    words = {(row["method"], row["group"], row["metric"]): row["word"] for row in rows}
    assert words["returning", "weights-write", "relearn"] == "comes back"
    assert all(row["ci_low"] for row in rows)


def test_what_could_not_be_compared_has_no_number(attacks: list[AttackOn]) -> None:
    line = attacks[0].lines[-1]
    lone = AttackOn("one", attacks[0].attack, "", (AttackedLine(line.line, {}),))
    ((made,)) = matrices([lone], Facts())
    assert [column.text(0) for column in made.columns] == ["–"]
