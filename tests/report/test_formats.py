"""Markdown, LaTeX and CSV say what the comparison says, and nothing in a row is obeyed."""

import csv
import io
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlearnbench.analysis import tidy
from unlearnbench.analysis.comparison import compare
from unlearnbench.analysis.facts import printable
from unlearnbench.report import latex, markdown

METHODS = (
    ("finetune", 0.9, "reference"), ("a_b", 0.1, "method"), ("c&d", 0.3, "method"), ("retrain", 0.15, "reference"),
)  # fmt: skip


@pytest.fixture
def comparisons(row):
    """Two methods and two references, three seeds."""
    rows = []
    for seed in range(3):
        for method, forget, role in METHODS:
            metrics = {"forget.rouge_l": (forget + seed / 100, False), "retain.rouge_l": (0.5 + seed / 100, True)}
            rows.append(row(method, metrics=metrics, seed=seed, role=role, cost={"trainable_parameters": 1_500_000}))
    return compare(rows)


def test_markdown_is_a_table_with_the_best_in_bold(comparisons):
    lines = markdown.markdown(comparisons).splitlines()
    table = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    assert len({len(cells) for cells in table}) == 1
    assert [cell.strip() for cell in table[0]][:3] == ["Method", "Forget: ROUGE\\-L ↓", "Retain: ROUGE\\-L ↑"]
    body = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in table[2:]}
    assert body["a\\_b ×3"][0] == "**0.110 ± 0.025**"
    assert body["finetune ×3"][0] == "0.910 ± 0.025"
    assert body["c\\&d ×3"][2] == "**1.5M**"


def test_latex_has_booktabs_groups_and_as_many_cells_in_every_line(comparisons):
    text = latex.latex(comparisons)
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\multicolumn{1}{c}{Forget}", r"\cmidrule(lr){2-2}"):
        assert word in text
    assert r"ROUGE-L~$\downarrow$" in text
    assert r"a\_b $\times$3 & \textbf{0.110} {\scriptsize$\pm$ 0.025}" in text
    assert r"c\&d" in text
    tables = re.findall(r"\\begin\{tabular\}\{(lr+)\}.*?\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL)
    assert [layout for layout, _ in tables] == ["lrr", "lr"]  # scores, costs
    for layout, body in tables:
        assert len(body.splitlines()) == 4
        for line in body.splitlines():
            assert len(re.findall(r"(?<!\\)&", line)) == len(layout) - 1
            assert line.endswith("\\\\")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@pytest.mark.parametrize("name", ["[1cm] x", "*x", "& \\end{tabular}", "$x_1^2$ %~#", '"{}"'])
def test_latex_takes_no_name_for_a_command(row, name):
    text = latex.latex(compare([row("m", metrics={"a.b": (1, True)}), row(name, metrics={"a.b": (2, True)})]))
    (line,) = [line for line in text.splitlines() if line.endswith(r"& \textbf{2.000} \\")]
    assert line[0] not in "[*"  # either would be an argument of the \\ before
    assert r"\end" not in line
    assert not re.search(r"(?<!\\)[$%#~^]", line.replace(r"$\times$", ""))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(comparisons, tmp_path):
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "x.tex").write_text(f"{head}{latex.latex(comparisons)}\\end{{document}}\n")
    subprocess.run(["pdflatex", "-halt-on-error", "x.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_csv_holds_every_number_in_full(comparisons):
    rows = [*csv.DictReader(io.StringIO(tidy.tidy(comparisons)))]
    (comparison,) = comparisons
    assert len(rows) == len(comparison.lines) * len(comparison.columns)
    (found,) = [row for row in rows if (row["method"], row["metric"]) == ("a_b", "forget.rouge_l")]
    cell = comparison.columns[0].cells[1]
    assert float(found["mean"]) == cell.mean
    assert float(found["ci_low"]) == cell.mean - cell.half_width
    assert (found["seeds"], found["bases"], found["best"], found["role"]) == ("3", "", "True", "method")
    assert {row["metric"]: row["unit"] for row in rows} == {
        "forget.rouge_l": "", "retain.rouge_l": "", "trainable_parameters": "",
    }  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_no_name_breaks_a_table(row, name):
    comparisons = compare([row(name, metrics={"retain.rouge_l": (0.5, True)}, model=name)])
    table = [line for line in markdown.markdown(comparisons).splitlines() if line.startswith("| ")]
    assert len(table) == 3
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}) == 1
    made = latex.latex(comparisons)
    assert made.isascii()
    assert re.sub(r"\\[{}]", "", made).count("{") == re.sub(r"\\[{}]", "", made).count("}")
    read = [*csv.DictReader(io.StringIO(tidy.tidy(comparisons), newline=""))]
    assert {each["metric"] for each in read} == {"retain.rouge_l"}
    assert {each["method"].removeprefix("'") for each in read} == {printable(name)} or name.startswith("'")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\n@x"])
def test_no_spreadsheet_takes_a_name_for_a_formula(text):
    assert tidy.inert(text) == f"'{printable(text)}"
    assert tidy.inert("plain") == "plain"
