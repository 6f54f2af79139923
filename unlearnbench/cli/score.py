"""``unlearnbench score``: score predictions that were made anywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from ..errors import DataError, UsageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from ..metrics.metric import Record
    from ..metrics.statistics import MetricValue

SEED = 0
"""Of the bootstrap: the same file always gives the same intervals."""


def score(
    task: Annotated[str, typer.Argument(help="What the predictions answer: fiubench, mme or pope.")],
    file: Annotated[Path, typer.Argument(help="The predictions, one JSON object a line.")],
    scorer: Annotated[
        str | None, typer.Option(help="How fiubench is scored: strict (default) or fiubench, as published.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, metric name to number.")] = False,
) -> None:
    """Score predictions made anywhere.

    A line of FILE holds, for fiubench, unique_id, question, answer, keywords and prediction; for mme and pope, id,
    kind (category or split), image, answer (true or false) and prediction. Other fields are ignored.
    """
    if task == "fiubench":
        title, metrics = _fiubench(file, scorer)
    elif task in ("mme", "pope"):
        if scorer is not None:
            raise UsageError(f"{task} has one scorer, its own: leave out --scorer {scorer}")
        title, metrics = _yes_no(task, file)
    else:
        raise UsageError(f"cannot score {task!r}: choose from fiubench, mme, pope")
    if as_json:
        typer.echo(json.dumps({name: metric.value for name, metric in metrics.items()}))
    else:
        _print_table(title, metrics)


def _fiubench(file: Path, scorer_name: str | None) -> "tuple[str, dict[str, MetricValue]]":
    from ..metrics.metric import Prediction
    from ..metrics.scorers import DEFAULT, get_scorer
    from ..metrics.statistics import summarise
    from ..metrics.text import ExactMatch, RougeL

    scorer = get_scorer(scorer_name or DEFAULT)
    records = [cast("Record", record) for record in _read(file, Prediction)]
    identities = [record["unique_id"] for record in records]
    metrics = {
        metric.name: summarise(
            [value for record in records for value in metric.values(record, scorer)],
            clusters=identities,
            seed=SEED,
            higher_is_better=None,  # which set the questions are of is not known here
        )
        for metric in (RougeL(), ExactMatch())
    }
    return f"fiubench, scorer {scorer.name}", metrics


def _yes_no(task: str, file: Path) -> "tuple[str, dict[str, MetricValue]]":
    from ..metrics import yes_no

    records = _read(file, yes_no.YesNoRecord)
    return task, (yes_no.mme if task == "mme" else yes_no.pope)(records, seed=SEED)


def _read(file: Path, kind: type[Any]) -> list[Any]:
    """The records of a JSON Lines file, each checked to be a ``kind`` (a TypedDict); blank lines are passed over."""
    from pydantic import TypeAdapter

    from ..data.folder import content, lines

    fix = f"give a JSON Lines file of predictions, each with {', '.join(get_type_hints(kind))}"
    adapter = TypeAdapter(kind)
    records = [_parse(line, adapter, f"{file}:{number}", fix) for number, line in lines(file, content(file, fix))]
    if not records:
        raise DataError(f"{file} holds no predictions: {fix}")
    return records


def _parse(line: str, adapter: "TypeAdapter[Any]", where: str, fix: str) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(line, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"]))
        what = f"field {field}: {problem['msg']}" if field else problem["msg"]
        raise DataError(f"{where}: {what}; {fix}") from None


def _print_table(title: str, metrics: "dict[str, MetricValue]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    table.add_column("metric")
    for column in ("value", "95% interval", "n"):
        table.add_column(column, justify="right")
    for name, metric in metrics.items():
        value = "-" if metric.value is None else f"{metric.value:.4f}"
        interval = metric.reason if metric.ci_low is None else f"{metric.ci_low:.4f} to {metric.ci_high:.4f}"
        table.add_row(name, value, interval, str(metric.n))
    Console().print(table)
