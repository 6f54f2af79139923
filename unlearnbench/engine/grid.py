"""Running a grid: every planned cell that has no row yet gets one, whether it succeeds or fails."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ..results.cells import Announced, Cells
from ..results.row import Cost, DataInfo, Environment, Failure, MethodInfo, ModelInfo, Row, Score, TaskInfo, utc_now
from ..results.store import RowStore
from ..runtime.device import launch, launched
from ..runtime.memory import PeakMemory
from ..runtime.plain import Plain, utf8
from ..runtime.startup import command
from .artefacts import Store
from .handed import checked_evaluation, plain_notes
from .planning import Plan
from .provenance import environment

if TYPE_CHECKING:
    from ..contracts import Evaluation, TaskData
    from ..runtime.run import Progress
    from .stages import Stages

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
) -> Iterator[Finished]:
    """Evaluate the cells one after the other in this process, yielding each as its row is written.

    A cell that fails gets an error row and the grid goes on; running again retries it. Cells that another run is
    computing are left to it and looked at last.
    """
    cells, grid = Cells(results), Grid(results, store, progress, checkpoint_seconds)
    left: list[Plan] = []
    for wait in (False, True):
        for plan in left if wait else plans:
            if found := grid.done(plan):
                yield found
                continue
            with _claimed(cells, plan, wait=wait) as mine:
                if mine:
                    yield grid.done(plan) or grid.compute(plan)
                else:
                    left.append(plan)


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
            settings=utf8(plan.cell.typed),
            job=named.get(plan.row_id),
        )
        for plan in plans
    )


class Grid:
    """Cells' rows: those that are there, and those that are computed here."""

    def __init__(
        self, results: RowStore, store: Store, progress: "Progress", checkpoint_seconds: float | None = None
    ) -> None:
        self.results, self.store, self.progress = results, store, progress
        self._checkpoint_seconds = checkpoint_seconds
        self._seen, self._done = -1, dict[str, Row]()

    def done(self, plan: Plan) -> Finished | None:
        """The cell's row that is ok, if there is one, another run's too."""
        size = _agreed(self.results.size())
        if size != self._seen:
            self._done = _agreed({row.row_id: row for row in self.results.scan().rows if row.status == "ok"})
            self._seen = size
        row = self._done.get(plan.row_id)
        return Finished(plan, row, cached=True) if row else None

    def compute(self, plan: Plan, log: Path | None = None) -> Finished:
        """Compute a cell and write its row, whatever comes of it; ``log`` is where what it says goes."""
        row = _attempt(plan, lambda: self._stages, self.results, self._named(log))
        self.results.append(row)
        return Finished(plan, row, cached=False)

    def give_up(self, plan: Plan, kind: str, why: str, started: datetime, log: Path | None = None) -> Finished:
        """Write the row of a cell whose process has ended without one."""
        failure = Failure(type=kind, message=why, log=self._named(log))
        row = Row(status="error", error=failure, metrics={}, cost=Cost(), **_header(plan, started))
        self.results.append(row)
        return Finished(plan, row, cached=False)

    def _named(self, log: Path | None) -> str | None:
        return f"{log.parent.name}/{log.name}" if log else None

    @cached_property
    def _stages(self) -> "Stages":
        """Torch is imported only when there is work to do."""
        from .stages import CHECKPOINT_SECONDS, Stages

        seconds = CHECKPOINT_SECONDS if self._checkpoint_seconds is None else self._checkpoint_seconds
        return Stages(self.store, self.progress, seconds)


@contextmanager
def _claimed(cells: Cells, plan: Plan, *, wait: bool) -> Iterator[bool]:
    """Hold the claim of a cell, if it can be had; of several processes that work together the first one does."""
    if not _is_first():
        yield _agreed(False)
        return
    with cells.claimed(plan.row_id, wait=wait) as mine:
        yield _agreed(mine)


def _attempt(plan: Plan, stages: "Callable[[], Stages]", results: RowStore, log: str | None) -> Row:
    """The cell's row. Getting at the ``stages`` imports torch and what is built on it, which may fail too."""
    started = utc_now()
    try:
        return _evaluate(plan, stages(), results, started)
    except (Exception, SystemExit) as error:  # whatever it is belongs in the row: the other cells must not suffer
        _log.debug("%s on %s failed", plan.cell.method, plan.cell.task, exc_info=True)
        failure = Failure(type=type(error).__name__, message=_said(error), log=log)
        _settle(f"{failure.type}: {failure.message}")
        # The stages remember the error, and the frames of its traceback would keep the model in memory.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        return Row(status="error", error=failure, metrics={}, cost=Cost(), **_header(plan, started))


def _said(error: BaseException) -> str:
    """An error's message in one line; of one that says too little by itself, what it means or where it arose."""
    if isinstance(error, SystemExit):
        return f"the code called sys.exit({error.code!r})"
    said = " ".join(str(error).split()) or "no message"
    if not isinstance(error, ImportError):
        return said
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


def _evaluate(plan: Plan, stages: "Stages", results: RowStore, started: datetime) -> Row:
    from ..runtime.run import Run
    from .stages import timed

    model = stages.model(plan)
    journal = stages.journal(plan)
    with PeakMemory(plan.device) as memory:
        run = Run(0, stages.progress, journal=journal)
        found, seconds = timed(lambda: plan.task.evaluate(model, plan.data, run))
    evaluation = checked_evaluation(plan.task, found)
    made = stages.unlearned(plan).manifest.metadata
    base = stages.base_of(plan)
    return Row(
        status="ok",
        metrics={name: Score(**asdict(value)) for name, value in evaluation.metrics.items()},
        cost=_cost(made, seconds + journal.reused_seconds, memory.peak),
        samples=results.write_samples(plan.row_id, evaluation.records),
        notes=made["notes"] | plain_notes(f"task {plan.cell.task!r}", run.notes) | stages.remarks,
        baselines=_baselines(plan, evaluation),
        base={"params": _plain(plan.base), **base.manifest.metadata} if base else None,
        **_header(plan, started, evaluation.facts),
    )


def _baselines(plan: Plan, evaluation: "Evaluation") -> dict[str, dict[str, float | None]]:
    """Of what needs no model, the metrics that tables show."""
    shown = {column.metric for column in (*plan.task.headlines, *plan.task.details)}
    return {
        name: {metric: value.value for metric, value in scores.items() if metric in shown}
        for name, scores in evaluation.baselines.items()
    }


def _cost(made: dict[str, Any], eval_seconds: float, eval_peak: int) -> Cost:
    """What unlearning took, as it was when it was computed, and what evaluating did.

    The peak of evaluating, which takes what memory is free, counts only where nothing was trained.
    """
    cost = made["cost"]
    return Cost(
        trainable_parameters=made["trainable_parameters"],
        train_seconds=cost.get("train_seconds", 0.0),
        seconds_per_epoch=cost.get("seconds_per_epoch"),
        samples_per_second=cost.get("samples_per_second"),
        eval_seconds=eval_seconds,
        peak_memory_bytes=cost.get("peak_memory_bytes", eval_peak) if made["edit"] else eval_peak,
        examples=cost.get("examples") if made["edit"] else {},
        epoch=cost.get("epoch"),
    )


def _header(plan: Plan, started: datetime, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a row says of its cell, whatever came of it."""
    from ..registry import methods, tasks

    cell, source = plan.cell, plan.source
    return {
        "row_id": plan.row_id,
        "method": MethodInfo(
            name=cell.method,
            version=plan.method.version,
            origin=utf8(methods.origin(cell.method)),
            code=methods.code(cell.method),
            params=_plain(plan.params),
            role=plan.method.role,
            frozen_weights=plan.method.frozen_weights,
            n_trials_tuned=None if cell.settings.get(cell.method) else plan.params.trials.get(source.card.scale),
        ),
        "model": ModelInfo(
            name=utf8(cell.model),
            family=source.card.family,
            source=utf8(source.card.source),
            revision=source.revision,
            weights_digest=source.digest,
            dtype=source.dtype,
            template_digest=source.template_digest,
        ),
        "task": TaskInfo(
            name=cell.task,
            version=plan.task.version,
            code=tasks.code(cell.task),
            data=_data(plan.data_source, plan.data),
            split=plan.unlearning.split,
            options=_plain(plan.task.options),
            protocol=plan.task.protocol | (facts or {}),
        ),
        "seed": cell.seed,
        "base_seed": cell.base_seed,
        "trained_on": _data(plan.unlearning_source, plan.unlearning),
        "environment": Environment(**environment(_device_name(plan.device)), processes=_processes(), exact=cell.exact),
        "command": command(),
        "started_at": started,
        "finished_at": utc_now(),
    }


def _data(source: str, data: "TaskData") -> DataInfo:
    return DataInfo(
        source=source if source in ("embedded", "hub") else "folder",
        id=utf8(data.location.id),
        revision=data.location.revision,
        fingerprint=data.fingerprint,
    )


def _plain(params: BaseModel) -> dict[str, Any]:
    """Parameters as a row has them: what the command line gave may hold bytes that are no UTF-8."""
    found: dict[str, Any] = Plain()(params.model_dump(mode="json"), "params")
    return found


def _device_name(device: str) -> str:
    """The device as torch calls it; its kind alone where no torch has come to compute, or none can be imported."""
    if (torch := sys.modules.get("torch")) is None:
        return device
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _processes() -> int:
    return us.processes if (us := launch()) else 1
