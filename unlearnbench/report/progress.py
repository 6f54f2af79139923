"""Progress bars on the terminal: what is going on, how far it is, how long it will take, and its losses."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining


class TerminalProgress:
    """Shows one bar at a time on ``console``; a finished one leaves a line behind."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator["TerminalBar"]:
        """A bar of ``total`` steps that calls itself ``what``."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            TextColumn("[dim]{task.fields[figures]}"),
        )
        with Progress(*columns, console=self.console, refresh_per_second=4) as progress:
            yield TerminalBar(progress, progress.add_task(escape(what), total=total, figures=""))


class TerminalBar:
    """One running bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on by ``steps``, showing ``figures``."""
        shown = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self._progress.update(self._task, advance=steps, figures=escape(shown))
