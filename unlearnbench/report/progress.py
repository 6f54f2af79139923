"""What a run is at, on the terminal: its cells, what is done for each, how far that is and what time is left."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress import Progress
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .time_left import TimeLeft, spelt

if TYPE_CHECKING:
    from ..engine.grid import Finished
    from ..engine.planning import Plan

WIDEST, NARROWEST = 24, 6
"""Columns of a bar; where there is less room it is left out, as what it says stands beside it in numbers."""

SECONDS = 600.0
"""How far back steps are looked at to tell how long the rest takes: those of large models take half a minute."""

Clock = Callable[[], float]


class TerminalBar:
    """Something of ``total`` steps, shown in a line, or in two where its texts do not fit into one."""

    def __init__(self, what: str, total: int, clock: Clock) -> None:
        self.what, self.total = what, total
        self.figures: dict[str, float] = {}
        self._counted = Progress(auto_refresh=False, speed_estimate_period=SECONDS, get_time=clock)
        self._counted.add_task("", total=total)
        self._ended: bool | None = None

    @property
    def steps(self) -> int:
        """How far it is; processes that share work may count more than there is."""
        return min(self.total, int(self._counted.tasks[0].completed))

    def advance(self, steps: int, figures: dict[str, float]) -> None:
        """Move on."""
        self._counted.advance(self._counted.task_ids[0], steps)
        self.figures = figures

    def end(self, *, done: bool) -> None:
        """It is over: ``done``, be it before the last step, or cut off."""
        self._counted.stop_task(self._counted.task_ids[0])
        self._ended = done

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich with the width to fill; what does not fit beside the bar goes below, and no text is cut."""
        name, numbers = Text(f"  {self.what}"), Text(self._numbers)
        figures = Text(" ".join(f"{name} {value:.3f}" for name, value in self.figures.items()), "dim")
        taken = cell_len(name.plain) + cell_len(numbers.plain) + 2
        beside = cell_len(figures.plain) + 1 if figures else 0
        fits = options.max_width - taken - beside >= NARROWEST
        parts: list[RenderableType] = [name, numbers, figures] if fits and figures else [name, numbers]
        room = options.max_width - taken - beside * fits
        if room >= NARROWEST and self.total > 1:
            parts.insert(1, self._bar(min(WIDEST, room)))
            line = Table.grid(padding=(0, 1, 0, 0))
            line.add_row(*parts)
            yield line
        else:
            yield Text(" ").join([name, numbers])
        if figures and not fits:
            yield Text("    ").append(figures)

    def _bar(self, width: int) -> ProgressBar:
        whole = self.steps if self._ended else self.total
        return ProgressBar(total=max(1, whole), completed=max(self.steps, whole == 0), width=width)

    @property
    def _numbers(self) -> str:
        """Steps and times."""
        task, count = self._counted.tasks[0], f"{self.steps}/{self.total}"
        took, left = spelt(task.elapsed or 0.0), task.time_remaining
        if self.total == 1:
            return took
        if self._ended is None:
            return f"{count} {took}" + (f", {spelt(left)} left" if left is not None else "")
        if self._ended and self.steps < self.total:
            return f"done after {self.steps} of {self.total}, {took}"
        return f"{count} {took}" if self._ended else f"{count} {took}, cut off"


@dataclass
class Work:
    """What a worker is at: a cell, the ``number`` that it is of all, and a running bar if there is one."""

    plan: "Plan"
    number: int
    since: float
    told: bool = False
    """Whether the cell's own line was left on the terminal."""
    bar: TerminalBar | None = None
    doing: str = "starting"
    """What there is to say where no bar runs."""


class TerminalDisplay:
    """Shows cells on ``console`` while they are computed (`unlearnbench.engine.executors.display`), each line in full.

    Of a single worker every finished bar leaves a line behind, under the cell's own; of several only the cells do. On
    what is no terminal these lines are all that is written.
    """

    def __init__(
        self, console: Console, plans: "Sequence[Plan]", workers: int = 1, clock: Clock = time.monotonic
    ) -> None:
        self.console, self._total, self._workers, self._clock = console, len(plans), workers, clock
        self._left = TimeLeft(plans)
        self._at: dict[int, Work] = {}
        self._ended, self._begun = 0, clock()
        self._spinner = Spinner("line")
        self._live = Live(self, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TerminalDisplay":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------- what is told
    def begins(self, place: int, plan: "Plan") -> None:
        """A worker has been given a cell."""
        others = sum(at != place for at in self._at)
        self._at[place] = Work(plan, self._ended + others + 1, self._clock())

    def bar(self, place: int, what: str, total: int) -> None:
        """It has begun something."""
        if work := self._at.get(place):
            work.bar, work.doing = TerminalBar(what, total, self._clock), "at work"

    def advance(self, place: int, steps: int, figures: dict[str, float]) -> None:
        """It has moved on."""
        if (work := self._at.get(place)) and work.bar:
            work.bar.advance(steps, figures)

    def over(self, place: int, *, done: bool) -> None:
        """That is over; what has a single step, as loading has, leaves no line."""
        work = self._at.get(place)
        if work is None or work.bar is None:
            return
        bar, work.bar = work.bar, None
        bar.end(done=done)
        if self._workers == 1 and bar.total > 1:
            self._tell(work)
            self.console.print(bar)

    def ended(self, finished: "Finished") -> None:
        """A cell has its row."""
        self._ended += 1
        self._left.ended(finished.plan)
        place = next((at for at, work in self._at.items() if work.plan.row_id == finished.plan.row_id), None)
        if place is None:
            return
        self.over(place, done=False)
        work = self._at.pop(place)
        if finished.row.status == "ok":
            took = self._clock() - work.since
            self._left.took(work.plan, took)
            self._tell(work, f" - {spelt(took)}" if self._workers > 1 else "")

    def say(self, line: str) -> None:
        """A line above the bars, which the terminal alone breaks."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def _tell(self, work: Work, more: str = "") -> None:
        """Leave a cell's own line behind, once."""
        if not work.told:
            work.told = True
            self.console.print(self._cell(work).append(more))

    # ------------------------------------------------------------------------------------------------ what is shown
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The cells that are being computed, and the grid's own line: first where many cells may fill the terminal."""
        now = self._clock()
        grid = [self._grid(now)] if self._total > 1 else []
        yield from grid if self._workers > 1 else ()
        for _, work in sorted([*self._at.items()]):
            yield from self._shown(work, now)
        yield from grid if self._workers == 1 else ()

    def _shown(self, work: Work, now: float) -> Iterator[RenderableType]:
        if not work.told:
            yield self._cell(work)
        if bar := work.bar:
            yield bar
        else:
            line = Table.grid(padding=(0, 1, 0, 0))
            line.add_row(" ", self._spinner, Text(f"{work.doing}, {spelt(now - work.since)}", "dim"))
            yield line

    def _cell(self, work: Work) -> Text:
        cell = work.plan.cell
        settings = f", {cell.typed}" if cell.typed else ""
        attack = f" attacked by {cell.attack}" if cell.attack else ""
        name = f"{cell.method}{attack} on {cell.task}, {cell.model}, seed {cell.seed}{settings}"
        return Text(f"cell {work.number} of {self._total}: {name}")

    def _grid(self, now: float) -> Text:
        working = {work.plan.row_id: now - work.since for work in [*self._at.values()]}
        left = self._left.seconds(working, self._workers)
        told = f", about {spelt(left)} left" if left is not None else ""
        return Text(f"{self._ended} of {self._total} cells done in {spelt(now - self._begun)}{told}", "dim")
