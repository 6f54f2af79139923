"""``unlearnbench metrics-check``: which of a task's metrics tell models that know from models that do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import UsageError
from ...runtime.device import launched
from ..parts import grid
from ..parts.following import first_word
from ..parts.launch import heed
from ..parts.look import Looking
from ..parts.options import spread

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ...engine.artefacts import Store
    from ...engine.planning import Plan
    from ...metrics_check.kinds import Kind
    from ...metrics_check.pool import Member, Valuations
    from ...metrics_check.stored import FromRows
    from ...runtime.run import Progress

UNUSED = ("method", "attack", "base_seed", "limit", "results", "base_model")
SEEDS = ("0", "1")
"""With which models are trained unless the command says otherwise."""


@partial(spread, without=UNUSED)
def metrics_check(
    asked: grid.GridOptions,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="A results folder: how metrics behave under its attacks on weights, and how alike they rank methods."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the result there.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show the models and what is cached; compute nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, progress on stderr.")] = False,
) -> None:
    """Check which metrics tell models that know what is to be forgotten from models that do not.

    Trains models of both, one of each kind with each --seed (two at least; the first draws the people), and asks them
    about the forget set. The same command again resumes. Exit code 0 whatever passes.
    """
    from ...engine.artefacts import Store, default_store

    heed(1, "inline")
    if launched():
        raise UsageError("metrics-check works in one process: start it without torchrun")
    first_word(quiet=quiet or dry_run)
    store = Store(default_store(asked.store))
    seeds, (nothing, ideal) = _seeds(asked), _references(asked, store, dry=dry_run)
    from ...metrics_check.pool import pool, refuse

    refuse(nothing.task)
    members, left_out = pool(nothing, ideal, seeds)
    if dry_run:
        _show_plan(members, left_out, store)
        return
    _check_writable(store, out)
    from ...metrics_check.check import check
    from ...metrics_check.stored import FromRows

    stored = _stored(rows, nothing) if rows else FromRows()
    told = _ask(members, store, quiet=quiet)
    found = check(nothing, members, left_out, told, stored)
    text = found.model_dump_json(indent=1)
    if out:
        from ...runtime.atomic import atomic_write

        with atomic_write(out) as file:
            file.write_text(text + "\n", encoding="utf-8")
    if as_json:
        typer.echo(text)
        return
    from rich.console import Console

    from ...report.metrics_check import tables

    Console().print(tables(found))
    if out:
        typer.echo(f"wrote {out}")


def _seeds(asked: grid.GridOptions) -> tuple[int, ...]:
    """The seeds of training; raises `UsageError` for fewer than two, which tell nothing of what seeds do."""
    found = grid.integers("--seed", asked.seed or [*SEEDS])
    if len(found) < 2:
        raise UsageError(f"--seed {found[0]}: metrics are checked with two seeds at least; give --seed 0,1")
    return found


def _references(asked: grid.GridOptions, store: "Store", *, dry: bool) -> "tuple[Plan, Plan]":
    """The plans of doing nothing and of the ideal, on one model and one task."""
    from ...config import forgetting_task, references
    from ...engine.planning import plan
    from ...registry import load_plugin

    for file in asked.plugin or ():
        load_plugin(file)
    tasks, models = grid.listed(asked.task) or (forgetting_task(),), grid.listed(asked.model)
    for option, names in (("--task", tasks), ("--model", models)):
        if len(names) != 1:
            raise UsageError(f"{option} {','.join(names)}: metrics are checked on one at a time; give one")
    seed = str(_seeds(asked)[0])
    config = replace(asked, method=[*references()], task=[*tasks], seed=[seed], results=grid.RESULTS).config()
    looked = Looking(asked.base, 1, asked.gpu_memory, store, here=not dry, dry=dry).at(config)
    plans = plan(looked.config, store, dry=dry)
    kinds = [[each for each in plans if getattr(each.method, role)] for role in ("nothing", "ideal")]
    for role, of in zip(("does nothing", "is the ideal"), kinds, strict=True):
        if len(of) != 1:
            raise UsageError(
                f"one reference that {role} is wanted, and these options give {len(of)}: give one value to each --set, "
                "and one --forget"
            )
    return kinds[0][0], kinds[1][0]


def _stored(folder: Path, plan: "Plan") -> "FromRows":
    """What the rows of a results folder tell of the same model and task; raises `UsageError` where it has none."""
    from ...metrics_check.rankings import rankings
    from ...metrics_check.stored import FromRows, robustness
    from ...results.row import latest
    from ..report import store_of

    found = store_of(folder)
    rows = [
        row
        for row in latest(found.scan().rows)
        if row.status == "ok"
        and (row.task.name, row.model.name) == (plan.task.name, plan.cell.model)
        and row.task.data.fingerprint == plan.data.fingerprint
    ]
    if not any(row.method.role == "method" for row in rows):
        raise UsageError(
            f"--rows {folder}: it has no method's row of {plan.cell.model} on these data of {plan.task.name}; give the "
            "results folder of a run of them"
        )
    return FromRows(robustness(rows, found.read_samples), rankings(rows, found.read_samples))


def _check_writable(store: "Store", out: Path | None) -> None:
    """Raise for what could not be written at the end, before anything is trained."""
    from ...runtime.atomic import require_writable

    store.check_writable()
    if out is not None:
        if out.is_dir():
            raise UsageError(f"--out {out}: that is a folder; give a file")
        require_writable(out.absolute().parent, "--out")


def _show_plan(members: "list[Member]", left_out: "list[Kind]", store: "Store") -> None:
    """Print the models with what is there of them, and what is left out."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("kind", "knows", "seed", "altered", "model"):
        table.add_column(name)
    for each in members:
        cached = "to do" if each.plan.missing(store) else "cached"
        altered = f"{len(each.altered.changed)} of {each.altered.of}" if each.altered.of else "–"
        table.add_row(each.kind.name, "yes" if each.kind.knows else "no", str(each.seed), altered, cached)
    Console().print(table)
    for kind in left_out:
        typer.echo(f"left out  {kind.name}: the data have no {kind.lacks}, or of too few questions", err=True)


def _ask(members: "list[Member]", store: "Store", *, quiet: bool) -> "list[Valuations]":
    """Make and ask every model, and show how far that is."""
    from rich.console import Console

    from ...engine.runner import Runner
    from ...metrics_check.pool import asked as asked_of
    from ...metrics_check.pool import measuring

    console = Console(stderr=True, quiet=quiet)
    task, told = measuring(members[0].plan.task), []
    with _progress(console) as progress:
        runner = Runner(store, progress)
        for place, member in enumerate(members, start=1):
            console.print(f"model {place} of {len(members)}: {member.label}", style="dim", highlight=False)
            told.append(asked_of(member, task, runner))
    return told


@contextmanager
def _progress(console: "Console") -> "Iterator[Progress]":
    """Bars on a terminal, and nothing elsewhere."""
    from rich.progress import Progress as Bars

    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Shown(bars)


class _Shown:
    """Progress of trainings and of asking, as bars of rich: the bar of each is gone when it is over."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars

    @contextmanager
    def bar(self, what: str, total: int) -> "Iterator[_ShownBar]":
        """A bar that is shown."""
        number = self._bars.add_task(what, total=total)
        try:
            yield _ShownBar(self._bars, number)
        finally:
            self._bars.remove_task(number)


@dataclass(frozen=True)
class _ShownBar:
    """One of them."""

    bars: "Bars"
    number: "TaskID"

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on."""
        self.bars.advance(self.number, steps)
