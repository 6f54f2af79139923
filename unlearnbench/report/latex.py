"""Comparisons as LaTeX tables in the manner of papers (booktabs)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..analysis.columns import Column
from ..analysis.comparison import Comparison
from ..analysis.legend import legend

PREAMBLE = "% needs \\usepackage{booktabs} and, for tables wider than the page, \\usepackage{graphicx}"

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "×": r"$\times$", "–": "--", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "[": "{[}", "]": "{]}", "*": "{*}",  # at the start of a row they would be arguments of the \\ before
}  # fmt: skip


def latex(comparisons: Sequence[Comparison]) -> str:
    """One table environment a model, scores above costs, as wide as the text at most, the best in bold."""
    tables = [_table(comparison, [*legend([comparison])]) for comparison in comparisons]
    return "\n\n".join([PREAMBLE, *tables]) + "\n"


def escaped(text: str) -> str:
    """Text without any meaning to LaTeX; what its usual fonts lack becomes a question mark."""
    return "".join(_SPECIAL.get(each) or (each if each.isascii() and each.isprintable() else "?") for each in text)


def _table(comparison: Comparison, remarks: Sequence[str]) -> str:
    caption = " ".join([f"{escaped(comparison.title)}.", *(f"{escaped(remark)}." for remark in remarks)])
    parts = [tuple(c for c in comparison.columns if c.is_cost is cost) for cost in (False, True)]
    tabulars = [_tabular(replace(comparison, columns=columns)) for columns in parts if columns]
    body = "\n\\par\\medskip\n".join(tabulars)
    table = f"\\begin{{table}}[t]\n\\centering\n\\caption{{{caption}}}\n{body}\n\\end{{table}}"
    return "\n\n".join([table, *_sentences(comparison)])


def _sentences(comparison: Comparison) -> Iterator[str]:
    """What is said in words, as a list below the table."""
    if comparison.sentences:
        items = (rf"\item {escaped(sentence)}" for sentence in comparison.sentences)
        yield "\n".join([r"\begin{itemize}", *items, r"\end{itemize}"])


def _tabular(comparison: Comparison) -> str:
    return "\n".join([
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(comparison.columns)}}}",
        r"\toprule",
        *_heads(comparison),
        r"\midrule",
        *_rows(comparison),
        r"\bottomrule",
        r"\end{tabular}}",
    ])  # fmt: skip


def _heads(comparison: Comparison) -> Iterator[str]:
    """Group headings, rules under them, labels."""
    groups, rules, at = [], [], 2
    for name, span in comparison.groups:
        groups.append(rf"\multicolumn{{{span}}}{{c}}{{{escaped(name)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
        at += span
    yield f" & {' & '.join(groups)} \\\\"
    yield " ".join(rules)
    yield f"Method & {' & '.join(_head(column) for column in comparison.columns)} \\\\"


def _head(column: Column) -> str:
    return escaped(column.label) + (f"~{escaped(column.arrow)}" if column.arrow else "")


def _rows(comparison: Comparison) -> Iterator[str]:
    for place, line in enumerate(comparison.lines):
        cells = (_cell(column, place) for column in comparison.columns)
        yield f"{' & '.join([escaped(comparison.label(line)), *cells])} \\\\"


def _cell(column: Column, place: int) -> str:
    mean, _, interval = column.text(place, interval=True).partition(" ± ")
    text = rf"\textbf{{{escaped(mean)}}}" if place in column.best else escaped(mean)
    return rf"{text} {{\scriptsize$\pm$ {escaped(interval)}}}" if interval else text
