"""The SLURM executor: one job a cell through submitit; jobs that make what others need go first.

A job hands its cell to a worker as the local executor does. When SLURM takes a node back or time is over, submitit
queues the job again, and it goes on from its checkpoint and its answers.
"""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...results.cells import Cells
from ...results.row import Row, utc_now
from ...results.store import RowStore
from ...runtime.device import leave_launch
from ..artefacts import Store
from ..grid import Finished, Grid, announce
from ..planning import Plan
from .job import Job, chosen
from .local import Local
from .process import Limits
from .queue import states

LOOK = 3.0
"""Seconds between two looks at the queue and the rows."""

SAVING = 10.0
"""Seconds that a worker gets to save its training once SLURM has warned of the end, of the 90 that there are."""

GONE = 3
"""Looks in a row at which a job without a row is not in the queue: then it is taken for lost."""

NUMBERS = {"time": 1440, "cpus": 0, "array": 256}
"""Whole numbers that ``--slurm`` knows by name, with their defaults; no CPUs leaves them to the cluster."""

OURS = {"partition", "account", "qos", "mem", "constraint", "exclude", "nodelist"}
"""What it knows besides; other keys go to ``sbatch`` as they are."""


@dataclass(frozen=True)
class Cluster:
    """What is asked of SLURM for each job: GPUs, and the options of ``--slurm``."""

    gpus: int
    options: Mapping[str, str]

    def parameters(self) -> dict[str, Any]:
        """In submitit's words; raises `UsageError` for a value that is none."""
        given = dict(self.options)
        minutes, cpus, most = (_whole(given, name, usual) for name, usual in NUMBERS.items())
        own = {name: given.pop(name) for name in OURS & given.keys()}
        found: dict[str, Any] = {"timeout_min": minutes, "slurm_array_parallelism": most}
        found |= {f"slurm_{name}": value for name, value in own.items()}
        found |= {"slurm_additional_parameters": given} if given else {}
        found |= {"cpus_per_task": cpus} if cpus else {}
        found |= {"slurm_gpus_per_node": self.gpus} if self.gpus else {}
        return found


def _whole(given: dict[str, str], name: str, usual: int) -> int:
    text = given.pop(name, str(usual))
    if not text.isdecimal():
        raise UsageError(f"--slurm {name}={text}: give a whole number{' of minutes' if name == 'time' else ''}")
    return int(text)


class CellJob:
    """What a job does: its cell. Called again after it was interrupted, it goes on."""

    def __init__(self, job: Job, row_id: str, limits: Limits) -> None:
        self.job, self.row_id, self.limits = job, row_id, limits

    def __call__(self) -> str:
        """Compute the cell; its row's status. What the submitting shell had of a launch is none of the job's."""
        leave_launch()
        plan = chosen(self.job.plans(), self.row_id)
        [finished] = Local(self.job, [plan], self.limits).run()
        return finished.row.status

    def checkpoint(self, *_: Any, **__: Any) -> Any:
        """What submitit queues again when SLURM wants the node back or time is over."""
        from submitit.helpers import DelayedSubmission

        time.sleep(SAVING)
        return DelayedSubmission(self)


class Slurm:
    """Submits cells and waits for their rows."""

    def __init__(self, job: Job, plans: Sequence[Plan], limits: Limits, cluster: Cluster) -> None:
        self.job, self.plans, self.limits, self.cluster = job, list(plans), limits, cluster
        self.results, self.store = RowStore(job.results), Store(job.store)
        self.grid = Grid(self.results)
        self.jobs: dict[str, str] = {}
        """The job of each cell that is under way, by the cell's name."""

    def run(self) -> Iterator[Finished]:
        """Every cell as its row appears."""
        pending = []
        for plan in self.plans:
            if found := self.grid.done(plan):
                yield found
            else:
                pending.append(plan)
        rows = self._rows()
        self._submit(pending)
        missing: dict[str, int] = {}
        while pending:
            time.sleep(LOOK)
            queue = states(self.jobs.values())
            now = self._rows()
            for plan in list(pending):
                new = now.get(plan.row_id, [])[len(rows.get(plan.row_id, [])) :]
                gone = self.jobs[plan.row_id] not in queue
                missing[plan.row_id] = missing.get(plan.row_id, 0) + 1 if gone and not new else 0
                if new and (new[-1].status == "ok" or gone):
                    yield self._over(plan, pending, Finished(plan, new[-1], cached=False))
                elif missing[plan.row_id] >= GONE:
                    yield self._over(plan, pending, self._give_up(plan))

    def cancel(self) -> None:
        """Cancel the jobs that are under way."""
        if self.jobs and (scancel := shutil.which("scancel")):
            subprocess.run([scancel, *self.jobs.values()], check=False)  # noqa: S603

    def _over(self, plan: Plan, pending: list[Plan], finished: Finished) -> Finished:
        pending.remove(plan)
        del self.jobs[plan.row_id]
        return finished

    def _rows(self) -> dict[str, list[Row]]:
        """Every row of each cell, in the order of writing."""
        found: dict[str, list[Row]] = {}
        for row in self.results.scan().rows:
            found.setdefault(row.row_id, []).append(row)
        return found

    def _give_up(self, plan: Plan) -> Finished:
        """The row of a cell whose job has left none; what the job has said goes to the cell's log."""
        cells, name = Cells(self.results), self.jobs[plan.row_id]
        files = [self._folder / f"{name}_0_log.{kind}" for kind in ("out", "err")]
        said = "".join(file.read_text(errors="replace") for file in files if file.is_file())
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        why = f"job {name} ended without a row: {(lines or [cells.last_line(plan.row_id) or 'no word of it'])[-1]}"
        log = cells.log(plan.row_id)
        with log.open("a") as file:
            file.write(f"{said}{why}\n")
        return self.grid.give_up(plan, "JobError", why, utc_now(), log)

    @property
    def _folder(self) -> Path:
        return self.job.results / "slurm"

    # ---------------------------------------------------------------------------------------------------- submitting
    def _submit(self, pending: Sequence[Plan]) -> None:
        """Submit every cell that is in no queue yet, those first that make what others need."""
        known = {cell.row_id: cell.job for cell in Cells(self.results).announced() if cell.job}
        queued = states(known.values())
        self.jobs = {plan.row_id: known[plan.row_id] for plan in pending if known.get(plan.row_id) in queued}
        after: list[str] = []
        for wave in waves([plan for plan in pending if plan.row_id not in self.jobs], self.store):
            made = self._array(wave, after)
            after = [*after, *dict.fromkeys(name.split("_")[0] for name in made.values())]
            self.jobs |= made
            announce(wave, self.results, made)

    def _array(self, plans: Sequence[Plan], after: Sequence[str]) -> dict[str, str]:
        """Submit a job array that starts when the arrays ``after`` have ended, well or not; each cell's job."""
        executor = _executor(self._folder, self.cluster.parameters(), after)
        with executor.batch():
            jobs = [executor.submit(CellJob(self.job, plan.row_id, self.limits)) for plan in plans]
        return {plan.row_id: job.job_id for plan, job in zip(plans, jobs, strict=True)}


def waves(plans: Sequence[Plan], store: Store) -> list[list[Plan]]:
    """Cells in waves: each stage that is missing is made by the first cell that needs it, and others come after."""
    found: list[list[Plan]] = []
    made: dict[str, int] = {}
    for plan in plans:
        missing = [stage.digest for stage in plan.missing(store)]
        wave = max((made[name] + 1 for name in missing if name in made), default=0)
        made = dict.fromkeys(missing, wave) | made
        found += [[] for _ in range(wave + 1 - len(found))]
        found[wave].append(plan)
    return found


def _executor(folder: Path, parameters: dict[str, Any], after: Sequence[str]) -> Any:
    try:
        from submitit import AutoExecutor
    except ImportError:
        raise UsageError("--executor slurm needs submitit: pip install 'unlearnbench[slurm]'") from None
    if not shutil.which("sbatch"):
        raise UsageError("--executor slurm: there is no sbatch here; run it where jobs are submitted")
    python = f"{shlex.quote(sys.executable)} -P"  # no file of the working folder is taken for a module
    executor = AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=1000, slurm_python=python)
    if after:
        extra = parameters.get("slurm_additional_parameters", {}) | {"dependency": f"afterany:{':'.join(after)}"}
        parameters = parameters | {"slurm_additional_parameters": extra}
    executor.update_parameters(name="unlearnbench", stderr_to_stdout=False, **parameters)
    return executor
