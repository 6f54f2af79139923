"""The table at the end of a run: one line a method, columns grouped by what they say of it."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from statistics import fmean
from typing import Any

from pydantic_core import to_json
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ..results.row import Row, latest

HEADLINES = (
    ("Forget", "forget.rouge_l", "ROUGE-L"),
    ("Forget", "forget.exact_match", "EM"),
    ("Forget", "forget.ape", "APE"),
    ("Forget", "forget.min_k", "Min-K"),
    ("Forget", "forget.refusal_rate", "Refused"),
    ("Non-private", "nonprivate.rouge_l", "ROUGE-L"),
    ("Retain", "retain.rouge_l", "ROUGE-L"),
    ("Retain", "retain.exact_match", "EM"),
    ("Retain", "retain.truth_ratio", "Truth"),
    ("Utility", "mme.accuracy", "MME"),
    ("Utility", "pope.accuracy", "POPE"),
)
"""Group, metric and label of the columns that are shown of the tasks known here; of others, all metrics are."""

_COSTS = (("trainable_parameters", "Params"), ("seconds_per_epoch", "s/epoch"))
_ARROWS = {True: "↑", False: "↓", None: ""}
_ABSENT, _NULL = "–", "n/a"
_Seeds = dict[tuple[int, int], Row]
_LABEL = 14
"""Width from which a line's label is wrapped between words, in characters."""


@dataclass(frozen=True)
class Column:
    """A column: its group, its label, and the text of each line in order."""

    group: str
    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One method on one model: its ok rows, over tasks and seeds. ``facts`` is all that tells it from other lines."""

    model: str
    method: str
    facts: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def replicates(self) -> int:
        """How many pairs of seed and base seed the line is a mean over."""
        return len({_replicate(row) for row in self.rows})

    def metric(self, name: str) -> str:
        """The mean over the seeds; ``n/a`` if any of them has no value, as a mean of the others would flatter."""
        values = [row.metrics[name].value for row in self.rows if name in row.metrics]
        known = [value for value in values if value is not None]
        if not values:
            return _ABSENT
        return _score(fmean(known)) if len(known) == len(values) else _NULL

    def cost(self, name: str) -> float | None:
        """The mean over the seeds of what each one's first row that knows says."""
        first: dict[tuple[int, int], float] = {}
        for row in self.rows:
            if (value := getattr(row.cost, name)) is not None:
                first.setdefault(_replicate(row), value)
        return fmean(first.values()) if first else None


class ResultsTable:
    """Rows as rich renders them: one table a model where the terminal is wide enough, else its groups in several."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = latest(rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich with the width to fill."""
        by_model: dict[str, list[Line]] = defaultdict(list)
        for line in _lines(row for row in self.rows if row.status == "ok"):
            by_model[line.model].append(line)
        for model, lines in by_model.items():
            columns = [*_score_columns(lines), *_cost_columns(lines)]

            def fits(columns: Sequence[Column], lines: Sequence[Line] = lines) -> bool:
                unlimited = options.update(max_width=10_000)
                return console.measure(_table(lines, columns), options=unlimited).maximum <= options.max_width

            yield Text(_printable(model), style="bold")
            for block in _blocks(columns, fits):
                yield _table(lines, block)
                yield Text()
        if by_model:
            yield Text("↓ lower is better  ↑ higher is better  ×N mean over N seeds", style="dim")
        yield from _notes(self.rows)


def table(rows: Sequence[Row]) -> RenderableType:
    """What to print at the end of a run: tables, then a line for every cell without a result and every null metric."""
    return ResultsTable(rows)


def plain_json(rows: Sequence[Row]) -> str:
    """The rows as one JSON array, for programs."""
    return to_json([row.model_dump(mode="json") for row in rows], inf_nan_mode="null", indent=2).decode()


def _lines(rows: Iterable[Row]) -> Iterator[Line]:
    """The lines of the table, in the order in which their methods first appear.

    Rows of several tasks merge into one line. A task that was run in several settings (two scorers, say) gives its
    method a line for each.
    """
    settings: dict[str, dict[str, dict[str, _Seeds]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in rows:
        settings[_text(_method_facts(row))][row.task.name][_text(_task_facts(row))][_replicate(row)] = row
    for by_task in settings.values():
        for chosen in product(*(each.values() for each in by_task.values())):
            members = tuple(row for seeds in chosen for row in seeds.values())
            facts = _method_facts(members[0])
            for seeds in chosen:
                facts |= _task_facts(next(iter(seeds.values())))
            yield Line(members[0].model.name, members[0].method.name, facts, members)


def _method_facts(row: Row) -> dict[str, Any]:
    model = {"revision": row.model.revision, "weights": row.model.weights_digest, "dtype": row.model.dtype}
    return {"model": row.model.name, "method": row.method.name, **model, **row.method.params}


def _task_facts(row: Row) -> dict[str, Any]:
    task = row.task
    facts = {"version": task.version, "data": task.data.id, "fingerprint": task.data.fingerprint, "split": task.split}
    return {f"{task.name}.{name}": value for name, value in {**facts, **task.options}.items()}


def _label(line: Line, lines: Sequence[Line]) -> Text:
    """The method's name, what tells the line from others of that name, and the number of seeds if there are several."""
    same = [each.facts for each in lines if each.method == line.method]
    differing = {name for facts in same for name in facts if len({_text(each.get(name)) for each in same}) > 1}
    label = Text(_printable(line.method), style="bold")
    for name in line.facts:
        if name in differing:
            value = line.facts[name]
            text = value if isinstance(value, str) else _text(value)
            label.append(_printable(f" {name}={text[:24]}"), style="not bold dim")
    if line.replicates > 1:
        label.append(f" ×{line.replicates}", style="not bold dim")
    return label


def _score_columns(lines: Sequence[Line]) -> Iterator[Column]:
    present = dict.fromkeys(name for line in lines for row in line.rows for name in row.metrics)
    known = {name.split(".")[0] for _, name, _ in HEADLINES}
    others = [name for name in present if name.split(".")[0] not in known]
    for group, name, label in (*HEADLINES, *((each.split(".")[0], each, each.partition(".")[2]) for each in others)):
        if name in present:
            better = next(r.metrics[name].higher_is_better for each in lines for r in each.rows if name in r.metrics)
            heading = f"{_printable(label or name)}{_ARROWS[better]}"
            yield Column(_printable(group), heading, tuple(line.metric(name) for line in lines))


def _cost_columns(lines: Sequence[Line]) -> Iterator[Column]:
    for name, label in _COSTS:
        costs = [line.cost(name) for line in lines]
        if any(cost is not None for cost in costs):
            yield Column("Cost", label, tuple(_ABSENT if cost is None else _amount(cost) for cost in costs))


def _table(lines: Sequence[Line], columns: Sequence[Column]) -> Table:
    labels = [_label(line, lines) for line in lines]
    longest = max(cell_len(word) for label in labels for word in label.plain.split())
    made = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, header_style="")
    made.add_column("\nMethod", max_width=max(longest, _LABEL), overflow="fold")
    before = ""
    starts = []
    for column in columns:
        starts.append(column.group != before)
        heading = Text(f"{column.group if starts[-1] else ''}\n", style="bold cyan").append(column.label, "not bold")
        made.add_column(_gap(heading, starts[-1]), justify="right", no_wrap=True)
        before = column.group
    for index, label in enumerate(labels):
        made.add_row(label, *(_gap(Text(c.cells[index]), start) for c, start in zip(columns, starts, strict=True)))
    return made


def _gap(text: Text, start: bool) -> Text:
    """The text of a column, set off from the one before where a group starts."""
    return Text("\n").join(Text.assemble(" " if start else "", part) for part in text.split("\n", allow_blank=True))


def _blocks(columns: Sequence[Column], fits: Callable[[Sequence[Column]], bool]) -> list[list[Column]]:
    """The columns cut between groups into as few tables as fit."""
    blocks: list[list[Column]] = []
    for _, members in groupby(columns, key=lambda column: column.group):
        group = list(members)
        if blocks and fits([*blocks[-1], *group]):
            blocks[-1] += group
        else:
            blocks.append(group)
    return blocks


def _notes(rows: Sequence[Row]) -> Iterator[Text]:
    """A line for every cell that has no result, and for every reason of a null metric."""
    for row in rows:
        if row.error is not None:
            style = "red" if row.status == "error" else "yellow"
            cell = f"{row.method.name} {row.model.name} {row.task.name} seed {row.seed}"
            said = f"{row.error.type}: {row.error.message}" if row.status == "error" else row.error.message
            yield Text.assemble((f"{row.status}  ", f"bold {style}"), (_printable(f"{cell}  {said}"), style))
    shown = {name for _, name, _ in HEADLINES}
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for name, metric in row.metrics.items():
            if metric.value is None and name in shown:
                reasons[f"{name}: {metric.reason}"][row.method.name] = None
    for reason, methods in reasons.items():
        yield Text(_printable(f"{_NULL}  {reason} ({', '.join(methods)})"), style="dim")


def _replicate(row: Row) -> tuple[int, int]:
    return row.seed, row.base_seed


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _printable(text: str) -> str:
    """Text from a row without line breaks and the codes that steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def _score(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}"


def _amount(value: float) -> str:
    """A count or a time in at most five characters or so: 0, 4.25, 12.6k, 7.1M, 8.3B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
