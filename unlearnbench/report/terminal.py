"""Comparisons on a terminal: one line a method, columns grouped by what they say of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from pydantic_core import to_json
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ..analysis.columns import COST, Column, headlines
from ..analysis.comparison import Comparison, compare, details
from ..analysis.facts import printable
from ..analysis.legend import coverage, legend, noted
from ..analysis.lines import Constant, Line
from ..results.row import Row, latest

_BRIEF_COSTS = ("trainable_parameters", "seconds_per_epoch")
_LABEL = 14
"""Width from which a line's label is wrapped between words, in characters."""
_SETTING = 32
"""Longest setting shown in a label, in characters."""


class ResultsTable:
    """Rows as rich renders them: one table a model where the terminal is wide enough, else its groups in several.

    ``full`` adds intervals, marks the best of each column and shows every cost.
    """

    def __init__(
        self, rows: Sequence[Row], *, full: bool = False, comparisons: Sequence[Comparison] | None = None
    ) -> None:
        self.rows, self.full, self._comparisons = latest(rows), full, comparisons

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich with the width to fill."""
        comparisons = self._comparisons
        if comparisons is None:
            comparisons = [*compare(self.rows), *(details(self.rows) if self.full else ())]
        for comparison in comparisons:
            columns = [c for c in comparison.columns if self.full or c.group != COST or c.name in _BRIEF_COSTS]

            def fits(columns: Sequence[Column], comparison: Comparison = comparison) -> bool:
                unlimited = options.update(max_width=10_000)
                width = console.measure(_table(comparison, columns, self.full), options=unlimited).maximum
                return width <= options.max_width

            yield Text(printable(comparison.title), style="bold")
            for block in _blocks(columns, fits):
                yield _table(comparison, block, self.full)
                yield Text()
            if self.full and comparison.sentences:
                yield from (Text(printable(sentence)) for sentence in comparison.sentences)
                yield Text()
        if any(column.arrow for comparison in comparisons for column in comparison.columns):
            seeds = "" if self.full else "  ×N mean over N seeds"
            yield Text(f"{_key(comparisons)}{seeds}", style="dim")
        said = legend(comparisons) if self.full else (*noted(comparisons), *coverage(comparisons))
        yield from (Text(line, style="dim") for line in said)
        yield from notes(self.rows)


def table(
    rows: Sequence[Row], *, full: bool = False, comparisons: Sequence[Comparison] | None = None
) -> RenderableType:
    """What to print of rows: tables, then a line for every cell without a result and every null metric.

    ``comparisons`` are those of the rows with their details, where they have been made already.
    """
    return ResultsTable(rows, full=full, comparisons=comparisons)


def plain_json(rows: Sequence[Row]) -> str:
    """The rows as one JSON array, for programs."""
    return to_json([row.model_dump(mode="json") for row in rows], inf_nan_mode="null", indent=2).decode()


def _key(comparisons: Sequence[Comparison]) -> str:
    """What the arrows mean."""
    near = any(column.direction == "retrained" for comparison in comparisons for column in comparison.columns)
    return f"↓ lower is better  ↑ higher is better{'  ≈ best near the retrained model' if near else ''}"


def _label(line: Line, comparison: Comparison, full: bool) -> Text:
    """The method's name, what tells the line from others of that name, and the number of seeds if there are several."""
    label = Text(printable(line.method), style="bold")
    for setting in comparison.settings(line):
        label.append(f" {setting[:_SETTING]}", style="not bold dim")
    if line.replicates > 1:
        label.append(f" {line.count if full else f'×{line.replicates}'}", style="not bold dim")
    return label


def _table(comparison: Comparison, columns: Sequence[Column], full: bool) -> Table:
    labels = [_label(line, comparison, full) for line in comparison.lines]
    unbroken = [word for label in labels for word in label.plain.split()]
    if full:  # a name stays beside its numbers of seeds and bases
        unbroken += [f"{printable(line.method)} {line.count}".strip() for line in comparison.lines]
    longest = max(map(cell_len, unbroken))
    made = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, header_style="")
    made.add_column("\nMethod", max_width=max(longest, _LABEL), overflow="fold")
    before = ""
    starts = []
    for column in columns:
        starts.append(column.group != before)
        heading = Text(f"{column.group if starts[-1] else ''}\n", style="bold cyan")
        heading.append(f"{column.label}{column.arrow}", "not bold")
        made.add_column(_gap(heading, starts[-1] or full), justify="right", no_wrap=True)
        before = column.group
    for index, label in enumerate(labels):
        if isinstance(comparison.lines[index], Constant) and not any(column.cells[index] for column in columns):
            continue  # this part of the table says nothing of it
        cells = (_cell(column, index, full) for column in columns)
        made.add_row(label, *(_gap(cell, start or full) for cell, start in zip(cells, starts, strict=True)))
    return made


def _cell(column: Column, line: int, full: bool) -> Text:
    return Text(column.text(line, interval=full), style="bold" if full and line in column.best else "")


def _gap(text: Text, start: bool) -> Text:
    """The text of a column, set off from the one before where a group starts."""
    return Text("\n").join(Text.assemble(" " if start else "", part) for part in text.split("\n", allow_blank=True))


def _blocks(columns: Sequence[Column], fits: Callable[[Sequence[Column]], bool]) -> list[list[Column]]:
    """The columns cut between groups into as few tables as fit; a group that is too wide alone is cut too."""
    blocks: list[list[Column]] = []
    for _, members in groupby(columns, key=lambda column: column.group):
        group = list(members)
        if blocks and fits([*blocks[-1], *group]):
            blocks[-1] += group
        elif fits(group):
            blocks.append(group)
        else:
            blocks += _cut(group, fits)
    return blocks


def _cut(group: Sequence[Column], fits: Callable[[Sequence[Column]], bool]) -> list[list[Column]]:
    pieces: list[list[Column]] = []
    for column in group:
        if pieces and fits([*pieces[-1], column]):
            pieces[-1].append(column)
        else:
            pieces.append([column])
    return pieces


def notes(rows: Sequence[Row]) -> Iterator[Text]:
    """A line for every cell without a result, for every task asked in part, and for every reason of a null metric."""
    for row in rows:
        if row.error is not None:
            style = "red" if row.status == "error" else "yellow"
            cell = f"{row.method.name} {row.model.name} {row.task.name} seed {row.seed}{_attacked(row)}"
            said = f"{row.error.type}: {row.error.message}" if row.status == "error" else row.error.message
            yield Text.assemble((f"{row.status}  ", f"bold {style}"), (printable(f"{cell}  {said}"), style))
    limited: dict[str, None] = {}
    for row in rows:
        if row.task.protocol.get("limited"):
            asked, whole = (row.task.protocol.get(key) for key in ("questions", "of"))
            limited[f"limited  {row.task.name}: {asked} of {whole} questions; not comparable with runs on all"] = None
    yield from (Text(printable(line), style="yellow") for line in limited)
    shown = {each.metric for each in headlines(rows)}
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for name, metric in row.metrics.items():
            if metric.value is None and name in shown:
                reasons[f"{name}: {metric.reason}"][f"{row.method.name}{_attacked(row)}"] = None
    for reason, methods in reasons.items():
        yield Text(printable(f"n/a  {reason} ({', '.join(methods)})"), style="dim")


def _attacked(row: Row) -> str:
    """By what, if it was."""
    return f" attacked by {row.attack.name}" if row.attack else ""
