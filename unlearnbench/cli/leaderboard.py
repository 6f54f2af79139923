"""``unlearnbench leaderboard``: show a leaderboard, build its pages, add results to it, check it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError
from ..runtime.garbage import no_garbage_collection

if TYPE_CHECKING:
    from ..leaderboard.definition import Board
    from ..leaderboard.site.attacks import Drawing
    from ..leaderboard.standings import Table
    from ..leaderboard.submission import Problem, Submission

app = typer.Typer(
    help="Leaderboards: show one, build its web pages, add results to it, check it.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="BOARD", help="A leaderboard's name or folder.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE.py", help="A file with plug-ins; repeatable.")
]


@app.command()
@no_garbage_collection()
def show(
    board: Name,
    form: Annotated[
        Literal["terminal", "markdown", "csv", "latex"], typer.Option("--format", help="How to print the tables.")
    ] = "terminal",
    plugin: Plugins = None,
) -> None:
    """Print the standings, best first."""
    from rich.console import Console

    from ..leaderboard.table import comparison

    _load(plugin)
    found, submissions = _sound(board)
    tables = _tables(found, submissions)
    comparisons = [comparison(found, table) for table in tables]
    if form == "terminal":
        from ..report.terminal import table as rendered

        console = Console()
        console.print(found.definition.title, style="bold", markup=False)
        console.print(found.definition.about.strip(), style="dim", markup=False)
        console.print()
        if comparisons:
            console.print(rendered((), full=True, comparisons=comparisons))
    else:
        from ..analysis.tidy import tidy
        from ..report.latex import latex
        from ..report.markdown import markdown

        typer.echo({"markdown": markdown, "csv": tidy, "latex": latex}[form](comparisons), nl=False)
    if not comparisons:
        typer.echo(f"{found.name} has no rows yet: unlearnbench leaderboard add {found.name} RESULTS", err=True)


@app.command()
@no_garbage_collection()
def build(
    boards: Annotated[
        list[str] | None, typer.Argument(metavar="[BOARD]...", help="Names or folders [default: all].")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write the pages to.")] = Path("site"),
    data: Annotated[
        Path | None, typer.Option(help="Folder with the pictures, for data that may be published and do not ship here.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write web pages for any static host; they work from a folder too and ask no other host for anything."""
    from ..leaderboard.definition import known
    from ..leaderboard.site.build import build_site

    _load(plugin)
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: no such folder; give the one that the rows were made with")
    names = boards or [*known()]
    if not names:
        raise UsageError("no leaderboard here: give a folder with leaderboard.toml")
    sound = [_sound(name) for name in dict.fromkeys(names)]
    if len({found.name for found, _ in sound}) < len(sound):
        raise UsageError("two of the leaderboards have the same name: rename a folder")
    pages = build_site([(found, of, _tables(found, of)) for found, of in sound], out, data, drawing())
    typer.echo(f"wrote {pages} pages; open {out / 'index.html'}")


@app.command()
def add(
    board: Name,
    results: Annotated[list[Path], typer.Argument(help="Results folders, or their rows.jsonl.")],
    method: Annotated[list[str] | None, typer.Option("--method", help="Only these methods.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only methods with this parameter; repeatable.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The file's name; .jsonl.xz at its end packs it [default: methods and a digest, packed where the "
            "leaderboard's files are]."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write this file, not one among the leaderboard's rows.")] = None,
    by: Annotated[str | None, typer.Option(help="Who computed the rows, to be shown.")] = None,
    link: Annotated[str | None, typer.Option(help="A page about the method, to be shown: http or https.")] = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A file among the leaderboard's: its rows go into the new one, which takes its place; repeatable.",
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write one file with the rows that belong on a leaderboard and their samples, if all of it passes the check."""
    from ..leaderboard.add import LARGE, default_name, suffix_on
    from ..leaderboard.add import add as add_rows
    from ..leaderboard.definition import find
    from .parts.grid import listed
    from .report import store_of

    _load(plugin)
    found, stores = find(board), [store_of(each) for each in results]
    methods = listed(method)
    named = _file_name(name) or default_name(found, stores, methods)
    path = out or found.rows / (named if ".jsonl" in named else f"{named}{suffix_on(found)}")
    old = [found.rows / each for each in replace or ()]
    if unknown := next((each for each in old if each not in found.submissions), None):
        raise UsageError(f"--replace {unknown.name}: no file in {found.rows}")
    added = add_rows(found, stores, path, methods=methods, params=_named(param), by=by, link=link, replace=old)
    for why, count in added.left_out.items():
        typer.echo(f"left out  {count} rows {why}", err=True)
    if added.problems:
        typer.echo(f"nothing written: {path.name} does not belong on {found.name}", err=True)
        _refuse(added.problems)
    size = added.path.stat().st_size
    typer.echo(f"wrote {added.path}: {added.rows} rows ({size / 1e6:.1f} MB)")
    if size > LARGE:
        typer.echo(f"more than {LARGE >> 20} MiB, which GitHub may not take: send each --method in a file", err=True)


@app.command()
def check(
    board: Name,
    only: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Compute metrics again of these submissions alone.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Compute every metric again from the samples, and refuse whatever cannot be believed: exit code 1."""
    from ..leaderboard.check import check as problems_of
    from ..leaderboard.definition import find

    _load(plugin)
    found = find(board)
    for path in only or ():
        if path.absolute() not in {each.absolute() for each in found.submissions}:
            raise UsageError(f"--only {path}: not a submission in {found.rows}")
    if problems := problems_of(found, only or ()):
        _refuse(problems)
    count = len(found.submissions)
    typer.echo(f"{found.name}: {count} submission{'s' * (count != 1)}, nothing wrong")
    for model in found.definition.models:
        for line in found.doubts(model):
            typer.echo(f"{model}: {line}", err=True)


@app.command()
def split(
    task: Annotated[
        str | None, typer.Option(help="A task with a forget set [default: that of the tasks that run by default].")
    ] = None,
    data: Annotated[str, typer.Option(help="embedded, hub or a folder, as for 'run'.")] = "embedded",
    forget: Annotated[
        str | None, typer.Option(help="How many people, or a split's name, as for 'run' [default: the task's].")
    ] = None,
    seed: Annotated[list[str] | None, typer.Option("--seed", help="The leaderboard's seeds [default: 0,1,2].")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="OWNER.PARAM=VALUE", help="The task's options; repeatable.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Print who is forgotten as leaderboard.toml prescribes it: how many of how many, and the digest of the people.

    Where seeds draw the people, the digest of each.
    """
    from ..config import forgetting_task, parse_settings, resolve
    from ..registry import tasks
    from .parts.grid import integers, number_or_name

    _load(plugin)
    task = task or forgetting_task()
    kind = tasks.get(task)
    given = parse_settings(settings or (), [task]).get(task, {})
    if several := next((name for name, values in given.items() if len(values) > 1), None):
        raise UsageError(f"--set {task}.{several}: one value is wanted")
    options = resolve(kind.Options, task, "tiny", {name: values[0] for name, values in given.items()})
    who = number_or_name(forget) if forget else None
    splits = {each: kind(options).load(data, who, each).split for each in integers("--seed", seed or ["0,1,2"])}
    found = next(iter(splits.values()))
    if found is None:
        raise UsageError(f"task {task!r} has no forget set: nobody is forgotten")
    typer.echo(f"[tasks.{task}.split]")
    for name in ("name", "identities", "of"):
        if (value := getattr(found, name)) is not None:
            typer.echo(f"{name} = {json.dumps(value)}")
    digests = {each: of.digest for each, of in splits.items() if of is not None}
    if found.drawn is None:
        typer.echo(f"digest = {json.dumps(found.digest)}")
    else:
        typer.echo(f"digest = {{ {', '.join(f'{each} = {json.dumps(of)}' for each, of in digests.items())} }}")


def drawing() -> "Drawing":
    """Attacks on pages as in reports."""
    from ..analysis.facts import Facts
    from ..leaderboard.site.attacks import Drawing
    from ..report.attacks.matrix import matrices
    from ..report.attacks.recovery import recovery
    from ..report.attacks.roc import rocs

    known = Facts()
    return Drawing(lambda attacks: matrices(attacks, known, intervals=True), recovery, rocs)


def _sound(name: str) -> "tuple[Board, list[Submission]]":
    """A leaderboard whose rows keep its rules; metrics are not computed again, as `check` does."""
    from ..leaderboard.definition import find
    from ..leaderboard.rules import problems
    from ..leaderboard.submission import read

    board = find(name)
    submissions = [read(path) for path in board.submissions]
    if found := problems(board, submissions):
        typer.echo(f"{board.name} breaks its own rules:", err=True)
        _refuse(found)
    return board, submissions


def _tables(board: "Board", submissions: "Sequence[Submission]") -> "list[Table]":
    from ..leaderboard.standings import tables

    return tables(board, submissions)


_SHOWN = 50
"""Problems that are printed."""


def _refuse(problems: "Sequence[Problem]") -> None:
    """Print what is wrong, and exit."""
    from ..analysis.facts import printable

    for problem in problems[:_SHOWN]:
        typer.echo(f"refused  {printable(str(problem))}", err=True)
    if len(problems) > _SHOWN:
        typer.echo(f"... and {len(problems) - _SHOWN} more", err=True)
    raise typer.Exit(1)


def _file_name(name: str | None) -> str | None:
    if name is not None and (not name or Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name}: a file's name without folders is wanted")
    return name


def _named(params: Sequence[str] | None) -> list[tuple[str, str]]:
    for each in params or ():
        if "=" not in each:
            raise UsageError(f"--param {each}: NAME=VALUE is wanted, such as k=16")
    return [(name, text) for name, _, text in (each.partition("=") for each in params or ())]


def _load(plugins: Sequence[Path] | None) -> None:
    from ..registry import load_plugin

    for file in plugins or ():
        load_plugin(file)
