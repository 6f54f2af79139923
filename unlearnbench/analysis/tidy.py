"""Comparisons as CSV in long form, one number a line, for further computing."""

import csv
import io
from collections.abc import Iterator, Sequence

from .comparison import Comparison
from .facts import printable

FIELDS = (
    "model", "method", "settings", "role", "group", "metric", "label", "higher_is_better", "mean", "ci_low", "ci_high",
    "seeds", "bases", "best", "unit", "direction", "questions", "of_questions", "word",
)  # fmt: skip


def tidy(comparisons: Sequence[Comparison]) -> str:
    """One line for each method, setting and metric; intervals over seeds. Full precision, empty where unknown."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for comparison in comparisons:
        writer.writerows(_lines(comparison))
    return out.getvalue()


def _lines(comparison: Comparison) -> Iterator[list[object]]:
    for place, line in enumerate(comparison.lines):
        role = "method" if line.is_method else "reference"
        facts = [comparison.model, line.method, " ".join(comparison.settings(line)), role]
        for column in comparison.columns:
            cell = column.cells[place]
            if cell is None:
                continue
            width = cell.half_width
            bounds = ("", "") if width is None or cell.mean is None else (cell.mean - width, cell.mean + width)
            texts = [*facts, column.group, column.name, column.label]
            numbers = [column.higher_is_better, cell.mean, *bounds, cell.n, line.bases, place in column.best]
            counts = line.coverage(column.name) or ("", "")
            told = ("" if number is None else number for number in numbers)
            yield [*map(inert, texts), *told, column.unit, column.direction or "", *counts, column.word(place)]


def inert(text: str) -> str:
    """Text in one line that no spreadsheet takes for a formula."""
    line = printable(text)
    return f"'{line}" if line.lstrip()[:1] in ("=", "+", "-", "@") or text[:1] in ("\t", "\r") else line
