"""The local executor: worker processes compute the cells, so that the end of one is not the end of the grid."""

import selectors
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ...results.cells import Cells
from ...results.store import RowStore
from ..artefacts import Store
from ..grid import Finished, Grid
from ..planning import Plan
from .display import Display, NoDisplay
from .job import Job
from .process import Limits, Worker, threads_each

LOOK = 0.5
"""Seconds after which claims of other runs, artefacts and time limits are looked at again."""

STARTS = 2
"""How often in a row a worker may end before it has begun."""


class Local:
    """Hands out cells until every one has a row.

    Cells of one model go to one worker, which keeps it in memory. Of cells that lack the same stage, one goes ahead
    while it is made. What another run is computing is left to it and looked at again.
    """

    def __init__(self, job: Job, plans: Sequence[Plan], limits: Limits, display: Display | None = None) -> None:
        self.job, self.limits, self.display = job, limits, display or NoDisplay()
        self.results, self.store = RowStore(job.results), Store(job.store)
        self.cells, self.grid = Cells(self.results), Grid(self.results)
        self._pending = list(plans)
        self._workers: dict[int, Worker] = {}
        self._claims: dict[str, FileLock] = {}
        self._failed_starts = 0

    def run(self) -> Iterator[Finished]:
        """Every cell as its row is written or found."""
        yield from self._found()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "job.json").write_bytes(self.job.to_json())
            stack.callback(self._end_all)
            while self._pending or any(worker.plan for worker in self._workers.values()):
                yield from self._found()
                self._hand_out(folder)
                for worker in self._listen():
                    yield from self._hear(worker)

    def _found(self) -> Iterator[Finished]:
        """Pending cells that have an ok row by now."""
        for plan in list(self._pending):
            if found := self.grid.done(plan):
                self._pending.remove(plan)
                yield found

    # -------------------------------------------------------------------------------------------------- handing out
    def _hand_out(self, folder: Path) -> None:
        for place in range(self.limits.jobs):
            worker = self._workers.get(place)
            if worker and worker.plan:
                continue
            plan = self._next(worker.last if worker else None)
            if plan is None:
                continue
            if worker is None:
                worker = self._workers[place] = Worker(
                    folder / "job.json", place, self._environment(place), self.limits
                )
            worker.take(plan, self.cells.log(plan.row_id))
            self.display.begins(place, plan)

    def _next(self, last: Plan | None) -> Plan | None:
        """The next cell that can be computed now, claimed; the rest of the model that is in memory goes first."""
        busy = [worker.plan for worker in self._workers.values() if worker.plan]
        for plan in sorted(self._pending, key=lambda each: not (last and same_model(each, last))):
            if any(self._waits_for(plan, other) for other in busy):
                continue
            claim = self.cells.claim(plan.row_id)
            with suppress(TimeoutError):
                claim.acquire(timeout=0)
                self._pending.remove(plan)
                if not self.grid.done(plan):
                    self._claims[plan.row_id] = claim
                    return plan
                self._pending.insert(0, plan)  # another run was faster: `_found` will tell
                claim.release()
                return None
        return None

    def _waits_for(self, plan: Plan, other: Plan) -> bool:
        """Whether another cell is making a stage that this one needs."""
        making = {stage.digest for stage in other.needed}
        return any(stage.digest in making and not stage.is_in(self.store) for stage in plan.needed)

    def _environment(self, place: int) -> dict[str, str]:
        """What a worker's processes get of the machine."""
        each, gpus = self.limits.processes, self.limits.gpus
        environment = threads_each(self.limits.jobs * each)
        if gpus and self.limits.jobs * each > 1:
            own = [gpus[(place * each + rank) % len(gpus)] for rank in range(each)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        return environment

    # ----------------------------------------------------------------------------------------------------- listening
    def _listen(self) -> list[Worker]:
        """Workers that have said something, ended, or taken too long."""
        if not self._workers:
            time.sleep(LOOK)
        with selectors.DefaultSelector() as selector:
            for worker in self._workers.values():
                selector.register(worker.events, selectors.EVENT_READ, worker)
            heard = {key.data.place for key, _ in selector.select(LOOK)} if self._workers else set()
        return [each for each in self._workers.values() if each.place in heard or each.late() or each.ended()]

    def _hear(self, worker: Worker) -> Iterator[Finished]:
        for event in worker.said():
            match event.pop("event"):
                case "ready":
                    self._failed_starts = 0
                case "row":
                    yield self._finished(worker)
                case what:
                    self._show(worker.place, what, event)
        if worker.late():
            yield from self._lost(worker, "TimeoutError", f"it took more than {self.limits.seconds:g} seconds")
        elif worker.ended():
            yield from self._lost(worker, "ProcessError", worker.why())

    def _show(self, place: int, what: str, facts: dict[str, Any]) -> None:
        match what:
            case "bar":
                self.display.bar(place, **facts)
            case "advance":
                self.display.advance(place, **facts)
            case "bar over":
                self.display.over(place, **facts)
            case "warning":
                self.display.say(facts["line"])

    def _finished(self, worker: Worker) -> Finished:
        plan = worker.leave()
        row = next(row for row in reversed(self.results.scan().rows) if row.row_id == plan.row_id)
        self._release(plan)
        return Finished(plan, row, cached=False)

    def _lost(self, worker: Worker, kind: str, why: str) -> Iterator[Finished]:
        """A worker is gone: its cell gets an error row, and so do those that would end it in the same way."""
        started, began, plan = worker.started, worker.ready, worker.plan
        self._failed_starts += not began
        again = not began and self._failed_starts < STARTS
        why = why if began else f"a worker could not start: {why}"
        if plan is not None and not again:
            worker.leave_word(why)
        worker.kill()
        del self._workers[worker.place]
        self.display.over(worker.place, done=False)
        if plan is None:
            return
        if again:
            self._release(plan)
            self._pending.insert(0, plan)
            return
        if found := self.grid.done(plan):  # it ended after its row was written
            self._release(plan)
            yield found
            return
        yield self.grid.give_up(plan, kind, why, started, self.cells.log(plan.row_id))
        self._release(plan)
        if kind == "ProcessError":
            yield from self._given_up_with(plan, why, started, began)

    def _given_up_with(self, plan: Plan, why: str, started: datetime, began: bool) -> Iterator[Finished]:
        """The rows of cells that need what could not be made; of all, where no worker starts."""
        for other in [other for other in self._pending if not began or self._waits_for(other, plan)]:
            self._pending.remove(other)
            reason = f"what it needs could not be made: {why}" if began else why
            yield self.grid.give_up(other, "ProcessError", reason, started, self.cells.log(plan.row_id))

    def _release(self, plan: Plan) -> None:
        self._claims.pop(plan.row_id).release()

    def _end_all(self) -> None:
        self.display.close()  # first, so that an interrupted terminal is left as it was
        for worker in self._workers.values():
            worker.end() if worker.plan is None else worker.kill()
        for claim in self._claims.values():
            claim.release()


def same_model(one: Plan, other: Plan) -> bool:
    """Whether two cells evaluate the same model."""
    return one.last.digest == other.last.digest
