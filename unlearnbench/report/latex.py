"""Comparisons as LaTeX tables in the manner of papers (booktabs)."""

from collections.abc import Iterator, Sequence

from .comparison import Column, Comparison, Line
from .terminal import legend

PREAMBLE = "% needs \\usepackage{booktabs} and, for tables wider than the page, \\usepackage{graphicx}"

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "×": r"$\times$", "–": "--", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}  # fmt: skip
_ARROWS = {True: r"~$\uparrow$", False: r"~$\downarrow$", None: ""}


def latex(comparisons: Sequence[Comparison]) -> str:
    """One table environment a model, as wide as the text at most, the best in bold."""
    tables = [_table(comparison, [*legend([comparison])]) for comparison in comparisons]
    return "\n\n".join([PREAMBLE, *tables]) + "\n"


def escaped(text: str) -> str:
    """Text without any meaning to LaTeX; what its usual fonts lack becomes a question mark."""
    return "".join(_SPECIAL.get(each) or (each if each.isascii() and each.isprintable() else "?") for each in text)


def _table(comparison: Comparison, remarks: Sequence[str]) -> str:
    columns = comparison.columns
    caption = " ".join([f"{escaped(comparison.model)}.", *(f"{escaped(remark)}." for remark in remarks)])
    return "\n".join([
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{caption}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        *_heads(comparison),
        r"\midrule",
        *(_row(comparison, place, line) for place, line in enumerate(comparison.lines)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
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
    return escaped(column.label) + ("" if column.is_cost else _ARROWS[column.higher_is_better])


def _row(comparison: Comparison, place: int, line: Line) -> str:
    label = escaped(comparison.label(line))
    return f"{' & '.join([label, *(_cell(column, place) for column in comparison.columns)])} \\\\"


def _cell(column: Column, place: int) -> str:
    text = escaped(column.text(place, interval=True))
    return rf"\textbf{{{text}}}" if place in column.best else text
