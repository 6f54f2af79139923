"""``unlearnbench list``: the plug-ins and leaderboards there are; none is imported without ``--check``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnlearnbenchError, UsageError
from ..registry import REGISTRIES, did_you_mean, load_plugin
from .parts import summaries
from .parts.completing import LEADERBOARDS, kind_names, kinds

Row = dict[str, str | None]


def list_plugins(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="methods, attacks, tasks, models, families, metrics or leaderboards; all if left out.",
            autocompletion=kind_names,
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Import each one and say what is broken and why.")] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.py", help="A file with plug-ins; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, kind to names.")] = False,
) -> None:
    """List the plug-ins and leaderboards there are, what each is and where it comes from."""
    wanted = [kind] if kind else kinds()
    if kind and kind not in kinds():
        raise UsageError(f"no kind {kind!r}; {did_you_mean(kind, kinds())}there are {', '.join(kinds())}")
    for file in plugin or ():
        load_plugin(file)
    found = {kind: _rows(kind, check=check) for kind in wanted}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if any(row.get("error") for rows in found.values() for row in rows):
        raise typer.Exit(1)


def _rows(kind: str, *, check: bool) -> list[Row]:
    if kind == LEADERBOARDS:
        return [*_leaderboards(check)]
    registry = REGISTRIES[kind]
    rows: list[Row] = []
    for name in registry.names():
        row: Row = {"name": name, "origin": registry.origin(name), "description": summaries.description(registry, name)}
        rows.append(row | ({"needs": summaries.needs(registry, name)} if kind == "models" else {}))
    errors = registry.check() if check else {}
    return [{**row, "error": errors[str(row["name"])]} for row in rows] if check else rows


def _leaderboards(check: bool) -> Iterator[Row]:
    """Names, folders and titles; with ``check`` what is wrong with the definition."""
    from ..leaderboard.definition import known, read_board

    for name, folder in known().items():
        row: Row = {"name": name, "origin": str(folder), "description": ""}
        try:
            row["description"], fault = read_board(folder).definition.title, None
        except UnlearnbenchError as error:
            fault = str(error)
        yield row | ({"error": fault} if check else {})


def _print(found: dict[str, list[Row]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for kind, rows in found.items():
        table = Table(title=kind, title_justify="left", title_style="bold", box=None, pad_edge=False)
        shown = [
            each for each in ("name", "origin", "error", "description", "needs") if any(each in row for row in rows)
        ]
        for each in shown:
            whole = each == "name"
            table.add_column("state" if each == "error" else each, no_wrap=whole, overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[each] or ("ok" if each == "error" else "")) for each in shown))
        console.print(table)
        console.print()
