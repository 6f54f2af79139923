"""Progress bars on the terminal: what is going on, how far it is, how long it will take, and its losses."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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


class OneWorker:
    """The bars of a single worker process, one after the other."""

    def __init__(self, console: Console) -> None:
        self._console, self._progress = console, TerminalProgress(console)
        self._open = ExitStack()
        self._bar: TerminalBar | None = None

    def bar(self, place: int, what: str, total: int) -> None:
        """Begin one; one that was cut off is left as it is."""
        self.over(place)
        self._bar = self._open.enter_context(self._progress.bar(what, total))

    def advance(self, place: int, steps: int, figures: dict[str, float]) -> None:
        """Move on."""
        if self._bar:
            self._bar.advance(steps, **figures)

    def over(self, place: int) -> None:
        """End it."""
        self._open.close()
        self._bar = None

    def warning(self, line: str) -> None:
        """A line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class SeveralWorkers:
    """The bars of worker processes side by side; what is finished leaves no line."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("[dim]{task.fields[figures]}"), console=console, transient=True)
        self._tasks: dict[int, TaskID] = {}

    def bar(self, place: int, what: str, total: int) -> None:
        """Begin one."""
        self.over(place)
        self._progress.start()
        self._tasks[place] = self._progress.add_task(escape(f"{place + 1}: {what}"), total=total, figures="")

    def advance(self, place: int, steps: int, figures: dict[str, float]) -> None:
        """Move on."""
        if place in self._tasks:
            shown = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
            self._progress.update(self._tasks[place], advance=steps, figures=escape(shown))

    def over(self, place: int) -> None:
        """End it."""
        if place in self._tasks:
            self._progress.remove_task(self._tasks.pop(place))
        if not self._tasks:
            self._progress.stop()

    def warning(self, line: str) -> None:
        """A line above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
