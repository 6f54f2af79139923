"""``unlearnbench list``: the plug-ins and leaderboards there are; none is imported or read without ``--check``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnlearnbenchError, UsageError
from ..registry import REGISTRIES, did_you_mean, load_plugin

LEADERBOARDS = "leaderboards"


def list_plugins(
    kind: Annotated[
        str | None, typer.Argument(help="methods, tasks, models, families, metrics or leaderboards; all if left out.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Import each one and say what is broken and why.")] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.py", help="A file with plug-ins; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, kind to names.")] = False,
) -> None:
    """List the plug-ins and leaderboards there are and where each comes from."""
    known = [*REGISTRIES, LEADERBOARDS]
    kinds = [kind] if kind else known
    if kind and kind not in known:
        raise UsageError(f"no kind {kind!r}; {did_you_mean(kind, known)}there are {', '.join(known)}")
    for file in plugin or ():
        load_plugin(file)
    found = {kind: _rows(kind, check=check) for kind in kinds}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if any(row.get("error") for rows in found.values() for row in rows):
        raise typer.Exit(1)


def _rows(kind: str, *, check: bool) -> list[dict[str, str | None]]:
    if kind == LEADERBOARDS:
        return [*_leaderboards(check)]
    registry = REGISTRIES[kind]
    rows: list[dict[str, str | None]] = [{"name": name, "origin": registry.origin(name)} for name in registry.names()]
    errors = registry.check() if check else {}
    return [{**row, "error": errors[str(row["name"])]} for row in rows] if check else rows


def _leaderboards(check: bool) -> Iterator[dict[str, str | None]]:
    """Names and folders; with ``check`` what is wrong with the definition."""
    from ..leaderboard.definition import known, read_board

    for name, folder in known().items():
        row: dict[str, str | None] = {"name": name, "origin": str(folder)}
        if check:
            try:
                read_board(folder)
                row["error"] = None
            except UnlearnbenchError as error:
                row["error"] = str(error)
        yield row


def _print(found: dict[str, list[dict[str, str | None]]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for kind, rows in found.items():
        table = Table(title=kind, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("name", no_wrap=True)
        table.add_column("origin", overflow="fold")
        checked = any("error" in row for row in rows)
        if checked:
            table.add_column("state", overflow="fold")
        for row in rows:
            cells = (row["name"], row["origin"], row.get("error") or "ok")
            table.add_row(*(Text(str(cell)) for cell in cells[: len(table.columns)]))
        console.print(table)
        console.print()
