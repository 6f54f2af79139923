"""``unlearnbench data``: describe, write and fetch data folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..contracts import SummaryTable, Task

app = typer.Typer(help="Describe, write and fetch data folders.", no_args_is_help=True)


@app.command()
def summary(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder in the task's layout, or what else the task reads.")
    ],
    task: Annotated[
        str | None, typer.Option(help="Whose data they are [default: the task with a forget set that runs by default].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="TASK.PARAM=VALUE as of 'run', where the task must be told how to read the data."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A single file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Check a folder of a task's data and count what is in it; nothing is downloaded."""
    import json

    from ..config import forgetting_task
    from ..data.hub import cache_only
    from ..registry import load_plugin

    for file in plugin or ():
        load_plugin(file)
    with cache_only():
        found = _set_up(task or forgetting_task(), settings or ()).summary(folder)
    if as_json:
        typer.echo(json.dumps(found.counts))
        return
    _print_tables(found.tables)
    for line in (*found.lines, *(f"warning: {each}" for each in found.warnings)):
        typer.echo(line)


def _set_up(name: str, settings: Iterable[str]) -> "Task":
    """The task with the options that ``--set`` gives it; raises `UsageError` for any other."""
    from ..config import parse_settings, resolve
    from ..errors import UsageError
    from ..registry import tasks

    kind, values = tasks.get(name), parse_settings(settings, (name,))
    if others := [owner for owner in values if owner != name]:
        raise UsageError(f"--set {others[0]}: these are data of the task {name}: write --set {name}.PARAM=VALUE")
    given = values.get(name, {})
    if several := [param for param, each in given.items() if len(each) > 1]:
        raise UsageError(f'--set {name}.{several[0]}: one value, please; a list is written as JSON, ["A", "B"]')
    return kind(resolve(kind.Options, name, "", {param: each[0] for param, each in given.items()}))


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; it must be new or empty.")],
    identities: Annotated[int, typer.Option(help="Number of fictitious people, 5 to 400.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed writes the same data.")] = 0,
) -> None:
    """Write fictitious people with drawn faces, and yes/no questions on drawn scenes."""
    from ..embedded.data.make import make as write

    write(folder, identities, seed)
    typer.echo(f"Wrote {identities} identities to {folder}; use them with: unlearnbench run --data {folder}")


@app.command()
def fetch(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task whose data to download.")],
    source: Annotated[
        str, typer.Argument(metavar="ID", help="A dataset on the hub, for tasks that read any: OWNER/NAME[@REVISION].")
    ] = "hub",
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A single file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Download a task's data into the Hugging Face cache and check them; later runs need no network.

    With HF_HUB_OFFLINE=1 runs never ask for it.
    """
    from ..data.source import of_hub
    from ..registry import load_plugin, tasks

    for file in plugin or ():
        load_plugin(file)
    kind = tasks.get(task)
    # What any other dataset holds is checked once a run says how to read it.
    location = kind(kind.Options()).load("hub", None, 0).location if source == "hub" else of_hub(source, task)
    typer.echo(f"{location.id} at revision {location.revision} is in {location.folder}")


def _print_tables(tables: "Iterable[SummaryTable]") -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for each in tables:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for place, heading in enumerate(each.columns):
            is_text = place < each.left
            table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
        for row in each.rows:
            table.add_row(*map(escape, row))
        if each.title:
            console.print(each.title, highlight=False, markup=False, soft_wrap=True)
        console.print(table)
