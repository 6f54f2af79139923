"""Running a grid: every planned cell that has no row yet gets one, whether it succeeds or fails."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, TypeVar

from ..errors import UnlearnbenchError
from ..results.cells import Announced, Cells, base_in_words
from ..results.row import Cost, Failure, Row, utc_now
from ..results.store import RowStore
from ..runtime.device import launched
from ..runtime.memory import PeakMemory
from ..runtime.plain import utf8
from ..runtime.plugin_files import plugin_line
from .artefacts import Store
from .handed import checked_evaluation, plain_notes
from .planning import Plan
from .rows import base_of, row_of, row_without
from .stages import BASE

if TYPE_CHECKING:
    from ..runtime.run import Progress
    from .runner import Runner

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A cell's row; ``cached`` if it stood in the results folder already."""

    plan: Plan
    row: Row
    cached: bool


def run(
    plans: list[Plan],
    results: RowStore,
    store: Store,
    progress: "Progress",
    checkpoint_seconds: float | None = None,
    begins: Callable[[Plan], None] = lambda plan: None,
) -> Iterator[Finished]:
    """Evaluate the cells one after the other in this process, yielding each as its row is written.

    ``begins`` is told of each that has to be computed.
    A cell that fails gets an error row and the grid goes on; running again retries it. Cells that another run is
    computing are left to it and looked at last.
    """
    cells, grid = Cells(results), Computing(results, store, progress, checkpoint_seconds)
    left: list[Plan] = []
    for wait in (False, True):
        for plan in left if wait else plans:
            if found := grid.done(plan):
                yield found
                continue
            with _claimed(cells, plan, wait=wait) as mine:
                if not mine:
                    left.append(plan)
                elif found := grid.done(plan):
                    yield found
                else:
                    begins(plan)
                    yield grid.compute(plan)


def announce(plans: list[Plan], results: RowStore, jobs: Mapping[str, str] | None = None) -> None:
    """Tell the results folder which cells are about to be computed, and the names of their jobs in a queue."""
    named = jobs or {}
    Cells(results).announce(
        Announced(
            row_id=plan.row_id,
            method=plan.cell.method,
            model=utf8(plan.cell.model),
            task=plan.cell.task,
            seed=plan.cell.seed,
            attack=plan.cell.attack,
            settings=utf8(plan.cell.typed),
            base=utf8(base_in_words(base_of(plan) if any(stage.name == BASE for stage in plan.stages) else None)),
            job=named.get(plan.row_id),
        )
        for plan in plans
    )


class Grid:
    """Cells' rows in a results folder: those that are there, and those of cells that have come to nothing."""

    def __init__(self, results: RowStore) -> None:
        self.results = results
        self._seen, self._done = -1, dict[str, Row]()

    def done(self, plan: Plan) -> Finished | None:
        """The cell's row that is ok, if there is one, another run's too."""
        size = _agreed(self.results.size())
        if size != self._seen:
            self._done = _agreed({row.row_id: row for row in self.results.scan().rows if row.status == "ok"})
            self._seen = size
        row = self._done.get(plan.row_id)
        return Finished(plan, row, cached=True) if row else None

    def give_up(self, plan: Plan, kind: str, why: str, started: datetime, log: Path | None = None) -> Finished:
        """Write the row of a cell that could not be computed; ``log`` is where what was said of it is."""
        return self.write(plan, row_without(plan, started, Failure(type=kind, message=why, log=_named(log))))

    def write(self, plan: Plan, row: Row) -> Finished:
        """Write a cell's row."""
        self.results.append(row)
        return Finished(plan, row, cached=False)


class Computing(Grid):
    """The same where cells are computed in this process; it imports torch only when there is work to do."""

    def __init__(
        self, results: RowStore, store: Store, progress: "Progress", checkpoint_seconds: float | None = None
    ) -> None:
        super().__init__(results)
        self.store, self.progress, self._checkpoint_seconds = store, progress, checkpoint_seconds

    def compute(self, plan: Plan, log: Path | None = None) -> Finished:
        """Compute a cell and write its row, whatever comes of it; ``log`` is where what it says goes."""
        started = utc_now()
        try:
            row = self._evaluated(plan, started)
        except (Exception, SystemExit) as error:  # whatever it is belongs in the row: the other cells must not suffer
            _log.debug("%s on %s failed", plan.cell.method, plan.cell.task, exc_info=True)
            failure = Failure(type=type(error).__name__, message=_said(error), log=_named(log))
            _settle(f"{failure.type}: {failure.message}")
            # The runner remembers the error, and the frames of its traceback would keep the model in memory.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            row = row_without(plan, started, failure)
        return self.write(plan, row)

    @cached_property
    def _runner(self) -> "Runner":
        from .runner import CHECKPOINT_SECONDS, Runner

        seconds = CHECKPOINT_SECONDS if self._checkpoint_seconds is None else self._checkpoint_seconds
        return Runner(self.store, self.progress, seconds)

    def _evaluated(self, plan: Plan, started: datetime) -> Row:
        """The row of a cell that goes well. Getting at the runner imports torch and what is built on it."""
        from ..runtime.run import Run
        from .memory.advice import in_a_sentence

        if plan.aimed:
            return self._attacked(plan, started)
        ready = self._runner.ready(plan)
        run = Run(0, self.progress, journal=ready.journal)
        with PeakMemory(plan.device) as memory:
            start = time.perf_counter()
            with in_a_sentence(f"asking {plan.cell.task}", device=plan.device):
                found = plan.task.evaluate(ready.model, plan.data, run)
            seconds = time.perf_counter() - start
        evaluation = checked_evaluation(plan.task, found)
        samples = self.results.write_samples(plan.row_id, evaluation.records)
        notes = plain_notes(f"task {plan.cell.task!r}", run.notes) | ready.remarks
        cost = Cost(eval_seconds=seconds + ready.journal.reused_seconds, peak_memory_bytes=memory.peak)
        return row_of(plan, started, ready.made, evaluation, samples, notes, cost)

    def _attacked(self, plan: Plan, started: datetime) -> Row:
        """The same of a cell that is attacked."""
        from .attacking import attacked
        from .memory.advice import in_a_sentence

        for stages in (plan.beside, plan.stages):  # so that nothing is trained beside a model that is asked, or timed
            self._runner.made(plan, stages)
        with PeakMemory(plan.device) as memory:
            start = time.perf_counter()
            with in_a_sentence(f"attacking by {plan.cell.attack}"):
                found = attacked(plan, self._runner)
            seconds = time.perf_counter() - start
        samples = self.results.write_samples(plan.row_id, found.evaluation.records)
        cost = Cost(eval_seconds=seconds + found.reused, peak_memory_bytes=memory.peak)
        notes = plain_notes(f"attack {plan.cell.attack!r}", found.notes)
        return row_of(plan, started, found.made, found.evaluation, samples, notes, cost)


@contextmanager
def _claimed(cells: Cells, plan: Plan, *, wait: bool) -> Iterator[bool]:
    """Hold the claim of a cell, if it can be had; of several processes that work together the first one does."""
    if not _is_first():
        yield _agreed(False)
        return
    with cells.claimed(plan.row_id, wait=wait) as mine:
        yield _agreed(mine)


def _named(log: Path | None) -> str | None:
    """A log's path in the results folder."""
    return f"{log.parent.name}/{log.name}" if log else None


def _said(error: BaseException) -> str:
    """An error's message in one line; of one that says too little by itself, what it means or where it arose."""
    if isinstance(error, SystemExit):
        return f"the code called sys.exit({error.code!r})"
    said = " ".join(str(error).split()) or "no message"
    if not isinstance(error, ImportError):
        return said if isinstance(error, UnlearnbenchError) else f"{said}{plugin_line(error)}"
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    names = [(str(each.f_globals.get("__name__", "")), each.f_code.co_filename) for each in frames]
    place, file = next((each for each in reversed(names) if not each[0].startswith("importlib")), ("", ""))
    if place.startswith("unlearnbench_plugin_"):
        return f"{said} (imported in {file})"
    return f"{said} (on importing {place}; unlearnbench doctor checks all)" if place else said


def _agreed(found: T) -> T:
    """What the first process found, if several work together: it alone looks into the results folder."""
    if not launched():  # without torch where nothing is to be computed
        return found
    from ..runtime import distributed

    return distributed.agreed(found)


def _is_first() -> bool:
    if not launched():
        return True
    from ..runtime import distributed

    return distributed.is_first()


def _settle(why: str) -> None:
    """Make sure that all processes failed, if there are several: one alone would leave the others waiting."""
    if not launched():  # without torch, which may be what could not be imported
        return
    from ..runtime import distributed

    distributed.settle(why)
