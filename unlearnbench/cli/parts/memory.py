"""What ``plan --memory`` shows: memory and time of each stage, counted from a model's configuration or measured."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...errors import UsageError

if TYPE_CHECKING:
    from ...config import RunConfig
    from ...contracts import Params
    from ...engine.memory.advice import Trains
    from ...engine.memory.estimate import Estimate, Machine
    from ...models.files.card import ModelCard

    Made = tuple[str, str, Estimate]
    """A model, the kind of its base, and what a stage of it takes."""
    Methods = dict[str, tuple[Trains, Params]]


MEASURED = "*"
"""What stands beside a time that was measured."""

ELSEWHERE = "made elsewhere"
"""What stands for the kind of a base that is not finetuned here."""


def show(
    config: "RunConfig",
    base: str | None,
    gpus: tuple[int, ...],
    gpu_memory: float | None,
    results: Path,
    *,
    as_json: bool,
) -> None:
    """Print the estimates for every model of the grid on every number of GPUs, with the base that each would take.

    Times are those of the ``results`` where these tell of the same model on a device of the same kind.
    """
    from ...engine.memory.advice import stages
    from ...engine.memory.choice import choose, workload
    from ...engine.memory.counts import counts
    from ...engine.memory.measured import Measured
    from ...models.files.source import card_for
    from ...results.store import RowStore
    from ...training.params import kind_of

    rows = RowStore(results).scan().rows
    made: list[Made] = []
    for name, machine in ((name, each) for name in config.models for each in _machines(gpus, gpu_memory, config)):
        card, chosen = card_for(name), config
        if base == "auto" or card.scale == "large":
            with suppress(UsageError):  # what does not fit is shown as such
                chosen, _ = choose(config, {name: machine})
        own, methods, beside = _first(chosen, name, card)
        kind = ELSEWHERE if config.base_model else kind_of(own.model_dump())
        told = stages(card, own, methods, machine, workload(card), beside)
        told = Measured(rows, name, machine, counts(card), workload(card)).told(told, chosen, own, methods)
        made += [(name, kind, each) for each in told]
    if as_json:
        typer.echo(json.dumps([_described(*each) for each in made], indent=1))
    else:
        _print(made)


def _first(config: "RunConfig", name: str, card: "ModelCard") -> tuple["Params", "Methods", dict[str, int]]:
    """The parameters of the base, and of every method and attack, the first of several that are set.

    Last, by the names of attacks, how many models they look at beside the attacked one.
    """
    from ...config import cells
    from ...engine.planning.parameters import aimed, parameters

    mine = [cell for cell in cells(config) if cell.model == name]
    attacks = {each.attack.name: each for cell in reversed(mine) if (each := aimed(cell, card, ()))}
    firsts = {cell.method: parameters(cell, card, config) for cell in reversed(mine)}
    chosen = {method: firsts[method] for method in config.methods}
    made: Methods = {name: (each[0][-1].method, each[0][-1].params) for name, each in chosen.items()}
    made |= {name: (each.attack, each.params) for name, each in attacks.items() if each.attack.changes()}
    beside = {name: len(each.attack.needs) for name, each in attacks.items() if each.attack.needs}
    return next(iter(chosen.values()))[1], made, beside


def _machines(gpus: tuple[int, ...], gpu_memory: float | None, config: "RunConfig") -> "list[Machine]":
    """What to count for: GPUs as asked, else those that are here, else this machine's memory."""
    from ...engine.memory.machine import cpu_machine, gpu_machine, gpus_here

    there = gpus_here(config.device)
    if not there and not gpus and gpu_memory is None:
        return [cpu_machine(config.models)]
    return [gpu_machine(number, gpu_memory, config.device) for number in gpus or (there or 1,)]


def _described(model: str, base: str, estimate: "Estimate") -> dict[str, Any]:
    machine = estimate.machine
    return {
        "model": model,
        "stage": estimate.stage,
        "base": base,
        "processes": machine.processes,
        "device": machine.kind,
        "memory_bytes": machine.memory,
        "needed_bytes": round(estimate.total) if estimate.known else None,
        "cpu_bytes": round(estimate.beside),
        "parts": {name: round(size) for name, size in estimate.parts.items()},
        "seconds": round(estimate.seconds, 1) if estimate.known else None,
        "at_most": estimate.at_most and not estimate.measured,
        "measured": estimate.measured,
        "fits": estimate.fits if estimate.known else None,
        "change": estimate.advice or None,
    }


def _print(made: "list[Made]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ...config import BASE
    from ...engine.memory.machine import GB

    table = Table(box=None, header_style="bold")
    for name in ("model", "device", "stage"):
        table.add_column(name, no_wrap=True)
    for name in ("GB each", "of", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fits")
    for model, base, estimate in made:
        machine = estimate.machine
        table.add_row(
            escape(model),
            f"{machine.processes} x {machine.kind}" if machine.kind != "cpu" else "cpu",
            escape(f"{BASE} ({base})" if estimate.stage == BASE else estimate.stage),
            f"{estimate.total / GB:.1f}" if estimate.known else "",
            f"{(machine.memory or 0) / GB:.0f}",
            _time(estimate) if estimate.known else "",
            escape(_verdict(estimate)),
        )
    Console().print(table)
    measured = any(estimate.measured for *_, estimate in made)
    told = f"counted; {MEASURED} measured, as rows of this model on such a device tell" if measured else "counted"
    Console(stderr=True).print(f"{told}; ≤ a rule may stop it sooner (docs/models.md)", style="dim", soft_wrap=True)


def _verdict(estimate: "Estimate") -> str:
    if not estimate.known:
        return estimate.advice
    return "yes" if estimate.fits else f"no: {estimate.advice}"


def _time(estimate: "Estimate") -> str:
    seconds = estimate.seconds
    if seconds < 60:
        told = f"{seconds:.0f} s"
    else:
        told = f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
    if estimate.measured:
        return f"{told} {MEASURED}"
    return f"≤ {told}" if estimate.at_most else told
