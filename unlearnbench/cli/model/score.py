"""``unlearnbench score``: score predictions that were made anywhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ...errors import DataError, RecordError, UsageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from ...contracts import Task
    from ...metrics.statistics import MetricValue

Records = list[tuple[str, Any]]
"""Records, each with the file and line that it stands on."""


def score(
    task: Annotated[str, typer.Argument(help="What the predictions answer; see 'list tasks'.")],
    file: Annotated[Path, typer.Argument(help="The predictions: a JSON object a line, or one array.")],
    scorer: Annotated[str | None, typer.Option(help="How answers are read; see 'show TASK' for names.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, metric name to number.")] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A single file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Score predictions made anywhere.

    What a line of FILE must hold is what 'show TASK' lists as predictions. Other fields are ignored, so the samples of
    a row can be scored again.
    """
    from ...metrics.statistics import thin
    from ...registry import load_plugin, tasks

    for each in plugin or ():
        load_plugin(each)
    chosen = _with_scorer(task, tasks.get(task), scorer)
    records = _read(file, chosen)
    predictions = [record for _, record in records]
    try:
        scores = chosen.score(predictions)
    except RecordError as error:
        raise DataError(f"{records[error.place][0]}: {error}") from None
    baselines = chosen.baselines(predictions)
    few = thin(scores)
    for remark in (*((few,) if few else ()), *chosen.remarks(predictions)):
        typer.echo(f"warning: {remark}", err=True)
    if as_json:
        about = {name: value for name, value in chosen.protocol.items() if name == "scorer"}
        shown = {"baselines": {name: _whole(chosen, of) for name, of in baselines.items()}} if baselines else {}
        typer.echo(json.dumps(chosen.nested(scores) | about | shown))
    else:
        _print_table(chosen, scores, {name: _whole(chosen, of) for name, of in baselines.items()})


def _with_scorer(name: str, kind: "type[Task]", scorer: str | None) -> "Task":
    """The task with that scorer, or its default one."""
    from pydantic import ValidationError

    if kind.Prediction is None:
        raise UsageError(f"task {name} does not score files of predictions: it says no Prediction")
    if scorer is None:
        return kind(kind.Options())
    if "scorer" not in kind.Options.model_fields:
        raise UsageError(f"{name} has one scorer, its own: leave out --scorer {scorer}")
    try:
        return kind(kind.Options.model_validate({"scorer": scorer}))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise UsageError(f"unknown scorer {scorer!r} of {name}: {fault['msg'].removeprefix('Value error, ')}") from None


def _whole(task: "Task", scores: "dict[str, MetricValue]") -> dict[str, float | None]:
    """Scores by their names without the task's, those of its parts (subtasks, splits) left out."""
    names = {name: name.removeprefix(f"{task.name}.") for name in scores}
    return {short: scores[name].value for name, short in names.items() if short == name or "." not in short}


def _read(file: Path, task: "Task") -> Records:
    """The records of a file of JSON Lines, blank ones passed over, or of a JSON array, each checked."""
    from pydantic import TypeAdapter

    needed = (name for name in get_type_hints(task.Prediction) if name in task.Prediction.__required_keys__)
    fix = f"give a JSON Lines file of predictions, each with {', '.join(needed)}"
    adapter = TypeAdapter(task.Prediction)
    records = [(where, _parse(text, adapter, where, fix)) for where, text in _texts(file, fix)]
    if not records:
        raise DataError(f"{file} holds no predictions: {fix}")
    return records


def _texts(file: Path, fix: str) -> Iterator[tuple[str, str]]:
    """The JSON of each record, a line or an element of one array, with its place."""
    from ...data.folder import content, json_value, lines, refuse_table

    data = content(file, fix)
    if data.lstrip().startswith(b"["):
        for number, value in enumerate(json_value(file, data), start=1):
            yield f"{file}, record {number}", json.dumps(value)
    else:
        refuse_table(file, data)
        for number, line in lines(file, data):
            yield f"{file}:{number}", line


def _parse(line: str, adapter: "TypeAdapter[Any]", where: str, fix: str) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(line, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"]))
        said = problem["msg"].removeprefix("Value error, ")
        raise DataError(f"{where}: {f'field {field}: ' if field else ''}{said}; {fix}") from None


def _print_table(task: "Task", scores: "dict[str, MetricValue]", baselines: dict[str, dict[str, float | None]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    scorer = getattr(task.options, "scorer", None)
    title = f"{task.name}, scorer {scorer}" if scorer else task.name
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("metric", overflow="fold")
    for column in ("value", "95% interval", "n", *(name.replace(" ", "\n") for name in baselines)):
        table.add_column(column, justify="right")
    for name, metric in scores.items():
        interval = "" if metric.ci_low is None else f"{_number(metric.ci_low)}–{_number(metric.ci_high)}"
        beside = [_number(of[name]) if name in of else "" for of in baselines.values()]
        table.add_row(name, _number(metric.value), interval, str(metric.n), *beside)
    console = Console()
    console.print(table)
    for name, metric in scores.items():
        if metric.reason:
            console.print(f"{name}: {metric.reason}", highlight=False, markup=False)


def _number(value: float | None) -> str:
    """A score in about five characters."""
    from ...analysis.numbers import score as shown

    return "-" if value is None else shown(value)
