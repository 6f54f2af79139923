"""``unlearnbench status``: where every cell of a results folder stands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..runtime.garbage import no_garbage_collection
from .parts.grid import RESULTS

if TYPE_CHECKING:
    from ..results.cells import Status


@no_garbage_collection()  # there may be thousands of rows, which live until the end
def status(
    results: Annotated[Path, typer.Argument(help="The results folder of a run.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object a cell.")] = False,
) -> None:
    """Show which cells are queued, running, done or failed, and their bases where these differ.

    Exits with 1 where one has failed.
    """
    from collections import Counter

    from ..engine.executors.queue import states
    from ..errors import UsageError
    from ..results.cells import Cells
    from ..results.store import RowStore

    if not results.is_dir():
        raise UsageError(f"{results} is no folder; give the folder of --results")
    cells = Cells(RowStore(results))
    found = cells.states(states(cells.jobs()))
    if as_json:
        typer.echo(json.dumps([{**each.cell.model_dump(), "state": each.state, "said": each.said} for each in found]))
    else:
        typer.echo("\n".join(_lines(found)))
        counts = Counter(each.state for each in found)
        summary = ", ".join(f"{counts[state]} {state}" for state in ("done", "running", "queued", "failed"))
        typer.echo(summary, err=True)
    if any(each.state == "failed" for each in found):
        raise typer.Exit(1)


def _lines(found: "list[Status]") -> Iterator[str]:
    """The table, a line a cell; rich would take seconds for thousands of them."""
    from ..analysis.facts import printable

    several = len({each.cell.base for each in found if each.cell.base}) > 1
    bases = ("base",) if several else ()
    rows: list[tuple[str, ...]] = [("state", "method", "model", "task", "seed", *bases, "settings", "last said")]
    for each in found:
        cell = each.cell
        base = (cell.base,) if several else ()
        texts = (each.state, cell.method, cell.model, cell.task, str(cell.seed), *base, cell.settings, each.said)
        rows.append(tuple(map(printable, texts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
