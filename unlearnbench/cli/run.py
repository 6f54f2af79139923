"""``unlearnbench run``: compute every cell of a grid that has no row yet, and show the rows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..runtime.device import launched
from ..runtime.startup import command
from .parts import grid, launch
from .parts.following import Ended, displaying, first_word, follow
from .parts.look import Looking
from .parts.options import spread

if TYPE_CHECKING:
    from ..config import RunConfig
    from ..engine.artefacts import Store
    from ..engine.executors.job import Job
    from ..engine.planning import Plan
    from ..results.row import Row
    from ..results.store import RowStore


class Executor(StrEnum):
    """Who computes the cells."""

    LOCAL = "local"
    SLURM = "slurm"
    INLINE = "inline"


@dataclass(frozen=True)
class How:
    """Who computes the cells, and how, as it was typed."""

    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Read every prompt from its start: no shortcut in asking; the maths is the same. Rows say so; "
            "give another --results, as cells that are done are not computed again.",
            rich_help_panel=grid.GRID,
        ),
    ] = False
    gpus: Annotated[
        int,
        typer.Option(
            min=1,
            help="GPUs that work on every cell together; with --device cpu, processes.",
            rich_help_panel=grid.WHERE,
        ),
    ] = 1
    executor: Annotated[
        Executor,
        typer.Option(
            help="Who computes cells: local, processes of this machine; slurm, a job for each; inline, this very "
            "process (for a debugger).",
            rich_help_panel=grid.WHERE,
        ),
    ] = Executor.LOCAL
    jobs: Annotated[
        int, typer.Option(min=1, help="Cells that are computed at the same time.", rich_help_panel=grid.WHERE)
    ] = 1
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Minutes that a cell may take [default: any].", rich_help_panel=grid.WHERE),
    ] = None
    checkpoint_minutes: Annotated[
        float,
        typer.Option(min=0, help="Minutes between two checkpoints of a training.", rich_help_panel=grid.WHERE),
    ] = 5.0
    join_minutes: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Minutes that processes which share a cell wait for each other to start.",
            rich_help_panel=grid.WHERE,
        ),
    ] = 10.0
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="With --executor slurm: partition, time (minutes), array (jobs at once), account, qos, cpus, mem, "
            "constraint, or any option of sbatch.",
            rich_help_panel=grid.WHERE,
        ),
    ] = None

    @property
    def seconds(self) -> float | None:
        """How long a cell may take."""
        return self.timeout * 60 if self.timeout else None


@spread
def run(
    asked: grid.GridOptions,
    how: How,
    dry_run: Annotated[bool, typer.Option(help="Show the cells and what is cached; compute nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list, progress on stderr.")] = False,
) -> None:
    """Run methods on models and evaluate them. The same command again resumes."""
    asked = heeded(asked, how)
    first_word(quiet=quiet or dry_run or launched())
    carry_out(asked, how, asked.config(exact=how.exact), dry_run=dry_run, quiet=quiet, as_json=as_json)


def heeded(asked: grid.GridOptions, how: How) -> grid.GridOptions:
    """The options, as a launch and the machine that computes would have them."""
    launch.heed(how.gpus, how.executor)
    if how.executor == Executor.SLURM and not asked.device:
        return replace(asked, device="cuda")  # not what the submitting machine has
    return asked


def carry_out(
    asked: grid.GridOptions, how: How, config: "RunConfig", *, dry_run: bool, quiet: bool, as_json: bool
) -> None:
    """Compute the cells of a grid and show their rows; the exit code is 1 where one failed."""
    from ..engine.artefacts import Store, default_store
    from ..engine.planning import plan
    from ..results.store import RowStore

    store, rows = Store(default_store(asked.store)), RowStore(asked.results)
    here = not dry_run and how.executor != Executor.SLURM
    look = Looking(asked.base, how.gpus, asked.gpu_memory, store, here=here, dry=dry_run)
    looked = look.at(config)
    if dry_run:
        from .plan import show

        planned = plan(looked.config, store, dry=True)
        _warn_of_namesakes(planned, rows)
        show(planned, rows, store, as_json=as_json)
        return
    rows.check_writable()
    store.check_writable()
    plans = plan(looked.config, store)
    if looked.again and (now := look.at(config, looked)).config != looked.config:
        looked, plans = now, plan(now.config, store)
    config = looked.config
    _warn_of_namesakes(plans, rows)
    if how.executor == Executor.INLINE and how.gpus > 1:
        launch.check(how.gpus, plans[0].device)
        launch.relaunch(how.gpus)
        return
    ended = _compute(_job(asked, how, config, store), how, plans, quiet=quiet)
    if ended is None:  # this process only helped another
        return
    finished, failed = ended
    order = {each.row_id: place for place, each in enumerate(plans)}
    _show(sorted(finished, key=lambda row: order[row.row_id]), rows, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _job(asked: grid.GridOptions, how: How, config: "RunConfig", store: "Store") -> "Job":
    """The run as another process can take it up."""
    from ..engine.executors.job import Job

    return Job(
        config=config,
        plugins=tuple(file.resolve() for file in asked.plugin or ()),
        results=asked.results.resolve(),
        store=store.root.resolve(),
        command=tuple(command()),
        checkpoint_seconds=how.checkpoint_minutes * 60,
        join_seconds=how.join_minutes * 60,
        path=tuple(str(Path(place).resolve()) for place in sys.path if Path(place).exists()),
    )


def _compute(job: "Job", how: How, plans: "list[Plan]", *, quiet: bool) -> Ended | None:
    """Have every cell computed by whoever is to do it; None in a process that only helped another."""
    if how.executor == Executor.SLURM:
        return _on_slurm(job, plans, how, quiet=quiet)
    if how.executor == Executor.INLINE or launched():
        return _inline(job, plans, quiet=quiet)
    from ..engine.executors.local import Local
    from ..engine.executors.process import Limits
    from ..engine.grid import announce
    from ..results.store import RowStore

    limits = Limits(how.jobs, how.gpus, how.seconds, launch.check(how.gpus, plans[0].device, how.jobs))
    announce(plans, RowStore(job.results))
    with displaying(plans, how.jobs, quiet=quiet) as display:
        return follow(Local(job, plans, limits, display).run(), display, job.results)


def _show(finished: "list[Row]", rows: "RowStore", *, as_json: bool) -> None:
    """Print the cells' rows."""
    from rich.console import Console

    from ..analysis.attacks.columns import attack_tables
    from ..analysis.attacks.of_lines import attacks_on
    from ..analysis.comparison import compare
    from ..analysis.facts import Facts
    from ..report.attacks.matrix import matrices, together
    from ..report.terminal import plain_json, table
    from ..results.recent import remembering

    _warn_of_thin(finished)
    if as_json:
        typer.echo(plain_json(finished))
    else:
        records = remembering(rows.read_samples)
        whole = compare(finished, records=records)
        attacked = attacks_on(finished, records, known := Facts())
        under_attack = [*matrices(attacked, known), *together(attacked, known), *attack_tables(attacked)]
        Console().print(table(finished, comparisons=[*whole, *under_attack]))
        typer.echo(f"rows: {rows.rows}")


def _warn_of_namesakes(plans: "list[Plan]", rows: "RowStore") -> None:
    """Say whose name another model from elsewhere has already."""
    from ..engine.planning.brought import namesakes

    if any(each.methods[-1].elsewhere for each in plans) and not launched():
        for said in namesakes(plans, rows.scan().rows):
            typer.echo(f"warning: {said}", err=True)


def _warn_of_thin(rows: "list[Row]") -> None:
    """Say which numbers rest on few of their questions; of cells that were done before, too."""
    from ..metrics.statistics import thin

    for task, what in dict.fromkeys((row.task.name, thin(row.metrics)) for row in rows):
        if what:
            typer.echo(f"warning: {task}: {what}", err=True)


def _inline(job: "Job", plans: "list[Plan]", *, quiet: bool) -> Ended | None:
    """Compute in this process, together with those that a launcher has started beside it; None in the latter."""
    from ..engine.artefacts import Store
    from ..engine.executors.display import InThisProcess
    from ..engine.grid import announce
    from ..engine.grid import run as run_grid
    from ..results.store import RowStore

    rows = RowStore(job.results)
    with launch.joined(plans[0].device, job.join_seconds) as first, results_of(rows, first) as kept:
        if first:
            announce(plans, rows)
        with displaying(plans, 1, quiet=quiet or not first) as display:
            progress, begins = InThisProcess(display), partial(display.begins, 0)
            work = run_grid(plans, kept, Store(job.store), progress, job.checkpoint_seconds, begins)
            ended = follow(work, display, rows.folder, told=first)
        if first:
            return ended
    if ended[1]:
        raise typer.Exit(1)
    return None


def _on_slurm(job: "Job", plans: "list[Plan]", how: How, *, quiet: bool) -> Ended:
    """Submit and wait; an interruption asks what becomes of the jobs."""
    from ..engine.executors.process import Limits
    from ..engine.executors.slurm import Cluster, Slurm
    from ..errors import UsageError

    options = how.slurm or ()
    pairs = [option.partition("=") for option in options]
    if wrong := next((option for option, (name, _, value) in zip(options, pairs, strict=True) if not value), None):
        raise UsageError(f"--slurm {wrong}: write KEY=VALUE, for instance --slurm partition=gpu --slurm time=720")
    gpus = how.gpus if plans[0].device == "cuda" else 0
    cluster = Cluster(gpus, {name: value for name, _, value in pairs})
    slurm = Slurm(job, plans, Limits(1, how.gpus, how.seconds), cluster)
    try:
        with displaying(plans, len(plans), quiet=quiet) as display:
            return follow(slurm.run(), display, job.results)
    except KeyboardInterrupt:
        if slurm.jobs and typer.confirm(f"cancel the {len(slurm.jobs)} jobs that are not done?", err=True):
            slurm.cancel()
        else:
            typer.echo(f"they go on; see: unlearnbench status {job.results}", err=True)
        raise


@contextmanager
def results_of(rows: "RowStore", first: bool) -> "Iterator[RowStore]":
    """The results folder; a scratch one for processes that only help the first."""
    if first:
        yield rows
        return
    with TemporaryDirectory() as scratch:
        yield type(rows)(Path(scratch))
