"""Comparisons as GitHub's Markdown."""

import re
from collections.abc import Iterator, Sequence

from ..analysis.comparison import Comparison
from ..analysis.facts import printable
from ..analysis.legend import legend

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")


def markdown(comparisons: Sequence[Comparison]) -> str:
    """One table a model, the best in bold, and what a reader must know of the numbers."""
    parts = [
        part
        for comparison in comparisons
        for part in (f"**{escaped(printable(comparison.title))}**", _table(comparison), _sentences(comparison))
        if part
    ]
    return "\n\n".join([*parts, *(escaped(line) for line in legend(comparisons))]) + "\n"


def escaped(text: str) -> str:
    """Text without any meaning to Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", text)


def _table(comparison: Comparison) -> str:
    heads = [f"{escaped(column.head)}{_arrow(column.arrow)}" for column in comparison.columns]
    body = [
        [escaped(comparison.label(line)), *_cells(comparison, place)] for place, line in enumerate(comparison.lines)
    ]
    rows = [["Method", *heads], ["---", *("---:" for _ in heads)], *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _sentences(comparison: Comparison) -> str:
    return "\n".join(f"- {escaped(printable(sentence))}" for sentence in comparison.sentences)


def _arrow(arrow: str) -> str:
    return f" {arrow}".rstrip()


def _cells(comparison: Comparison, place: int) -> Iterator[str]:
    for column in comparison.columns:
        text = column.text(place, interval=True)
        yield f"**{text}**" if place in column.best else text
