"""A process that computes the cells that another one hands to it, so that its end is not the end of the grid.

``python -m unlearnbench.engine.executors.worker JOB EVENTS PARENT``: JOB is a `Job`'s file, EVENTS the number of an
open file to which it reports, a line of JSON each: that it is ready, what a cell's work is at, warnings, that a cell's
row is written. A line on its standard input names the next cell, ``end`` ends it; so does the end of PARENT, a process'
number. What it prints goes to the cell's log.
"""

import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from ...results.cells import Cells
from ...results.store import RowStore
from ...runtime import startup
from ...runtime.device import choose, launch
from ..artefacts import Store
from ..grid import Computing
from .job import Job, chosen

EVERY = 0.1
"""Seconds between two reports of a bar."""


class Reporter:
    """Progress, and whatever else the parent should know, as lines of JSON."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def say(self, event: str, **facts: Any) -> None:
        """One event."""
        if self._file:
            self._file.write(json.dumps({"event": event, **facts}) + "\n")
            self._file.flush()

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator["ReportedBar"]:
        """A bar that the parent shows."""
        self.say("bar", what=what, total=total)
        bar, done = ReportedBar(self), False
        try:
            yield bar
            done = True
        finally:
            bar.flush()
            self.say("bar over", done=done)


class ReportedBar:
    """Reports what has come together, ten times a second."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._steps, self._figures, self._last = reporter, 0, dict[str, float](), 0.0

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on."""
        self._steps, self._figures = self._steps + steps, figures
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self.flush()

    def flush(self) -> None:
        """Report what has not been yet."""
        if self._steps:
            figures = {name: round(float(value), 4) for name, value in self._figures.items()}
            self._reporter.say("advance", steps=self._steps, figures=figures)
            self._steps = 0


class WarningHandler(logging.Handler):
    """Hands warnings of ours to the parent."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        self._reporter.say("warning", line=" ".join(record.getMessage().split()))


def main() -> None:
    """Work until there is nothing more to do."""
    startup.worker(int(sys.argv[3]), _hurry)
    job = Job.from_json(Path(sys.argv[1]).read_bytes())
    us = launch()
    first = us is None or us.rank == 0
    reporter = Reporter(os.fdopen(int(sys.argv[2]), "w") if first else None)
    cells = incoming()
    plans = job.plans()  # what there is to say of them the run itself has said
    _tell_warnings(reporter)
    reporter.say("ready")
    with _together(job), TemporaryDirectory() as scratch:
        results = RowStore(job.results)
        kept = results if first else RowStore(Path(scratch))
        grid = Computing(kept, Store(job.store), reporter, job.checkpoint_seconds)
        for row_id in iter(cells.get, None):
            log = Cells(results).log(row_id)
            with logged(log), _last_words():
                row = grid.compute(chosen(plans, row_id), log).row
            reporter.say("row", row_id=row_id, status=row.status)


@contextmanager
def _together(job: Job) -> Iterator[None]:
    """Join the other processes of this worker, if it has several."""
    if launch() is None:
        yield
        return
    from ...runtime import distributed

    distributed.start(choose(job.config.device), job.join_seconds)
    try:
        yield
    finally:
        distributed.stop()


def incoming() -> "queue.SimpleQueue[str | None]":
    """The names of cells as they come; where the parent is gone, this process ends at once."""
    names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    over = False

    def read() -> None:
        nonlocal over
        for line in sys.stdin:
            if line.strip() == "end":
                over = True
                names.put(None)
            else:
                names.put(line.strip())
        if not over:
            os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return names


def _hurry() -> None:
    """Let a training save its state as soon as it can."""
    from ...training.checkpoint import urgent

    urgent.set()


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Send what this process prints, and what libraries below Python print, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        for number in (1, 2):
            os.dup2(file, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(file)


@contextmanager
def _last_words() -> Iterator[None]:
    """What ends this process in the middle of a cell stands in the cell's log, which is over with the block."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
        raise


def _tell_warnings(reporter: Reporter) -> None:
    """Our own warnings go to the parent; everything, tracebacks of failed cells too, goes to the log."""
    logger = logging.getLogger("unlearnbench")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(WarningHandler(reporter))
    written = logging.StreamHandler()
    written.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logger.addHandler(written)
    shown = warnings.showwarning

    def show(message: Any, category: Any, filename: str, *rest: Any) -> None:
        if "unlearnbench" in Path(filename).parts:
            reporter.say("warning", line=" ".join(str(message).split()))
        shown(message, category, filename, *rest)

    warnings.showwarning = show  # type: ignore[assignment]


if __name__ == "__main__":
    main()
