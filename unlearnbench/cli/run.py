"""``unlearnbench run``: compute every cell of a grid that has no row yet, and show the rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from .. import errors
from . import grid, launch

if TYPE_CHECKING:
    from ..results.row import Row
    from ..results.store import RowStore
    from ..training.run import Progress


def run(
    method: grid.Methods,
    model: grid.Models,
    task: grid.Tasks = None,
    seed: grid.Seeds = None,
    base_seed: grid.BaseSeed = None,
    settings: grid.Set = None,
    forget: grid.Forget = None,
    data: grid.Data = None,
    limit: grid.Limit = None,
    results: grid.Results = Path("results"),
    store: grid.StoreFolder = None,
    plugin: grid.Plugins = None,
    device: grid.Device = None,
    gpus: grid.Gpus = 1,
    base: grid.Base = None,
    dry_run: Annotated[bool, typer.Option(help="Show the cells and what is cached; compute nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list, progress on stderr.")] = False,
) -> None:
    """Run methods on models and evaluate them. The same command again resumes."""
    config = grid.configure(
        methods=method,
        models=model,
        tasks=task,
        seeds=seed,
        base_seed=base_seed,
        settings=settings,
        forget=forget,
        data=data,
        limit=limit,
        device=device,
        plugins=plugin,
        base=base,
    )
    from rich.console import Console

    from ..engine.artefacts import Store, default_store
    from ..engine.grid import run as run_grid
    from ..engine.planning import plan
    from ..report.terminal import plain_json, table
    from ..results.store import RowStore

    artefacts, rows = Store(default_store(store)), RowStore(results)
    if dry_run:
        from .plan import show

        show(plan(config, artefacts, dry=True), rows, artefacts, as_json=as_json)
        return
    rows.check_writable()
    artefacts.check_writable()
    plans = plan(config, artefacts)
    if gpus > 1:
        launch.check(gpus, plans[0].device)
        launch.relaunch(gpus)
        return
    with launch.joined(plans[0].device) as first, results_of(rows, first) as kept:
        finished, troubles = [], set[str]()
        for cell in run_grid(plans, kept, artefacts, _progress(quiet or not first)):
            finished.append(cell.row)
            if cell.row.error and cell.row.error.message not in troubles:  # cells often fail of one cause
                troubles.add(cell.row.error.message)
                if first:
                    typer.echo(f"error: {_told(cell.row)}", err=True)
    if not first:
        pass
    elif as_json:
        typer.echo(plain_json(finished))
    else:
        Console().print(table(finished))
        typer.echo(f"rows: {rows.rows}")
    if troubles:
        raise typer.Exit(1)


@contextmanager
def results_of(rows: "RowStore", first: bool) -> "Iterator[RowStore]":
    """The results folder; a scratch one for processes that only help the first."""
    if first:
        yield rows
        return
    with TemporaryDirectory() as scratch:
        yield type(rows)(Path(scratch))


def _told(row: "Row") -> str:
    """What failed, and why; errors of ours say all that there is to say."""
    assert row.error is not None
    ours = hasattr(errors, row.error.type)
    why = row.error.message if ours else f"{row.error.type}: {row.error.message}"
    return f"{row.method.name} on {row.task.name}: {why}"


def _progress(quiet: bool) -> "Progress":
    if quiet:
        from ..training.run import Silent

        return Silent()
    from rich.console import Console

    from ..report.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True))
