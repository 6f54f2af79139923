"""``unlearnbench plan``: the cells of a grid and what of each is there already; touches nothing."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .parts import grid
from .parts.look import Looking
from .parts.options import spread

if TYPE_CHECKING:
    from ..engine.artefacts import Store
    from ..engine.planning import Plan
    from ..results.store import RowStore

NOT_NEEDED = "not needed"
"""What is said of a stage that a cell does without."""


@spread
def plan(
    asked: grid.GridOptions,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory",
            help="Memory and time of every stage instead of cells; fetches nothing, and needs of a model that is not "
            "in 'list models' its config.json alone.",
        ),
    ] = False,
    gpus: Annotated[
        list[str] | None,
        typer.Option(
            help="GPUs that work on every cell together; with --memory several numbers [default: those here]."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object a cell.")] = False,
) -> None:
    """Show the cells that 'run' would compute with these options, and which stages are cached; fetches nothing."""
    config = asked.config()
    if memory:
        from .parts import memory as estimates

        numbers = grid.integers("--gpus", gpus)
        estimates.show(config, asked.base, numbers, asked.gpu_memory, asked.results, as_json=as_json)
        return
    from ..engine.artefacts import Store, default_store
    from ..engine.planning import plan as make_plans
    from ..results.store import RowStore

    artefacts, processes = Store(default_store(asked.store)), next(iter(grid.integers("--gpus", gpus)), 1)
    looked = Looking(asked.base, processes, asked.gpu_memory, artefacts, here=False, dry=True).at(config)
    show(make_plans(looked.config, artefacts, dry=True), RowStore(asked.results), artefacts, as_json=as_json)


def show(plans: "list[Plan]", rows: "RowStore", store: "Store", *, as_json: bool) -> None:
    """Print the plans as a table or as JSON."""
    done = {row.row_id for row in rows.scan().rows if row.status == "ok"}
    cells = [_describe(plan, done, store) for plan in plans]
    if as_json:
        typer.echo(json.dumps(cells, indent=1))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..engine.stages import STAGES

    table = Table(box=None, header_style="bold")
    stages = [name for name in STAGES if any(name in cell for cell in cells)]
    attack = ("attack",) if any(cell["attack"] for cell in cells) else ()
    for name in ("method", "model", "task", *attack, "seed", "forget", "settings", *stages, "row"):
        table.add_column(name, overflow="fold")
    for each, cell in zip(plans, cells, strict=True):
        shown = dict.fromkeys(stages, NOT_NEEDED) | cell | {"settings": each.cell.typed}
        texts = (shown[str(column.header)] for column in table.columns)
        table.add_row(*("" if text is None else escape(str(text)) for text in texts))
    Console().print(table)
    left = sum(cell["row"] == "to do" for cell in cells)
    said = dict.fromkeys(_sets_of(plan) for plan in plans)
    for line in (f"{len(cells)} cell{'s' * (len(cells) != 1)}, {left} to do", *said):
        Console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def _sets_of(plan: "Plan") -> str:
    """Who is forgotten, how many questions each set has, and what early stopping can look at."""
    said = {"nonprivate": "non-private", "held_out": "held out"}
    sizes = ", ".join(f"{number:,} {said.get(name, name)}" for name, number in plan.sets.sizes.items())
    split = plan.unlearning.split
    return f"{split.name if split else 'forget set'}: {sizes}; early stopping {plan.sets.early_stopping}"


def _describe(plan: "Plan", done: set[str], store: "Store") -> dict[str, Any]:
    from ..engine.stages import BASE

    to_do = {stage.name for stage in plan.missing(store)}  # a method that goes on and an attack are one name's
    stages = {each.name: "to do" if each.name in to_do else "cached" for each in (*plan.beside, *plan.stages)}
    return {
        "method": plan.cell.method,
        "model": plan.cell.model,
        "task": plan.cell.task,
        "attack": plan.cell.attack,
        "seed": plan.cell.seed,
        "forget": len(plan.sets.forgotten),
        "split": plan.unlearning.split.model_dump() if plan.unlearning.split else None,
        "sets": plan.sets.sizes,
        "early_stopping": plan.sets.early_stopping,
        "settings": plan.cell.settings,
        BASE: NOT_NEEDED,
        **stages,
        "row": "done" if plan.row_id in done else "to do",
        "row_id": plan.row_id,
    }
