"""Following a run: what its cells are at, on the terminal, and what became of them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ... import errors

if TYPE_CHECKING:
    from ...engine.executors.display import Display
    from ...engine.grid import Finished
    from ...engine.planning import Plan
    from ...results.row import Row

Ended = tuple[list["Row"], bool]
"""The rows of the cells in the order in which they were finished, and whether one failed."""


def first_word(*, quiet: bool) -> None:
    """Say on a terminal that something goes on: it takes seconds until there are cells to speak of."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        console.print("reading data and the files of models ...", style="dim", highlight=False)


def displaying(plans: "Sequence[Plan]", workers: int, *, quiet: bool) -> "AbstractContextManager[Display]":
    """Somewhere to show the cells while they are computed; ``quiet`` shows nothing but what has to be said."""
    if quiet:
        from ...engine.executors.display import NoDisplay

        return nullcontext(NoDisplay())
    from rich.console import Console

    from ...report.progress import TerminalDisplay

    return TerminalDisplay(Console(stderr=True), plans, workers)


def follow(work: "Iterator[Finished]", display: "Display", folder: Path, *, told: bool = True) -> Ended:
    """Go through the cells, each trouble ``told`` once."""
    finished, troubles = [], set[str]()
    for cell in work:
        finished.append(cell.row)
        display.ended(cell)
        if cell.row.error and cell.row.error.message not in troubles:  # cells often fail of one cause
            troubles.add(cell.row.error.message)
            if told:
                display.say(f"error: {_why(cell.row)}")
                _show_log(display, folder, cell.row)
    return finished, bool(troubles)


def _show_log(display: "Display", folder: Path, row: "Row") -> None:
    """With ``--debug``, the end of a failed cell's log: its traceback."""
    if row.error and row.error.log and logging.getLogger("unlearnbench").isEnabledFor(logging.DEBUG):
        text = (folder / row.error.log).read_text("utf-8", "replace")
        display.say("\n".join(text.splitlines()[-100:]))


def _why(row: "Row") -> str:
    """What failed, and why; errors of ours say all that there is to say."""
    assert row.error is not None
    ours = hasattr(errors, row.error.type)
    why = row.error.message if ours else f"{row.error.type}: {row.error.message}"
    log = f" (log: {row.error.log})" if row.error.log and not ours else ""
    return f"{row.method.name} on {row.task.name}: {why}{log}"
