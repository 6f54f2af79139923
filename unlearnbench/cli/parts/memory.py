"""What ``plan --memory`` shows: memory and time of each stage, counted from a model's configuration."""

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from ...errors import UsageError

if TYPE_CHECKING:
    from ...config import RunConfig
    from ...engine.memory.estimate import Estimate, Machine

GB = 1e9


def show(config: "RunConfig", gpus: tuple[str, ...], gpu_memory: float | None, *, as_json: bool) -> None:
    """Print the estimates for every model of the grid on every number of GPUs."""
    from ...config import BASE, cells, resolve
    from ...contracts.footprint import Workload
    from ...engine.memory.advice import stages
    from ...models.files.source import card_for
    from ...registry import methods
    from ...training.params import BaseParams

    machines = _machines(gpus, gpu_memory, config)
    made = []
    for name in config.models:
        card = card_for(name)
        settings = next(cell for cell in cells(config) if cell.model == name).settings
        chosen = {}
        for method in config.methods:
            kind, own = methods.get(method), settings.get(method, {})
            chosen[method] = kind, resolve(kind.Params, method, card.scale, own, card.family)
        base = resolve(BaseParams, BASE, card.scale, settings.get(BASE, {}), card.family)
        work = Workload(pairs=400, forget=24, pictures=20, flagged=2) if card.data == "embedded" else Workload()
        made += [(name, estimate) for machine in machines for estimate in stages(card, base, chosen, machine, work)]
    if as_json:
        typer.echo(json.dumps([_described(model, estimate) for model, estimate in made], indent=1))
    else:
        _print(made)


def _machines(gpus: tuple[str, ...], gpu_memory: float | None, config: "RunConfig") -> "list[Machine]":
    """What to count for: GPUs as asked, else those that are here, else this machine's memory."""
    import psutil
    import torch

    from ...engine.memory.counts import counts
    from ...engine.memory.estimate import CONTEXT, PEAK, Machine
    from ...models.files.source import card_for

    there = torch.cuda.device_count() if config.device != "cpu" else 0
    if not there and not gpus and gpu_memory is None:
        import_module("unlearnbench.engine.runner")  # a run holds this in memory too
        for name in config.models:
            counts(card_for(name))
        return [Machine(1, psutil.virtual_memory().total, "cpu", held=psutil.Process().memory_info().rss)]
    try:
        numbers = [int(number) for number in gpus] or [there or 1]
    except ValueError:
        raise UsageError(f"--gpus {','.join(gpus)}: give whole numbers") from None
    name = torch.cuda.get_device_name() if there else "H100"
    kind = next((kind for kind in PEAK if kind in name), "H100")
    own = torch.cuda.get_device_properties(0).total_memory if there else 80 * GB
    return [Machine(number, gpu_memory * GB if gpu_memory else own, kind, CONTEXT) for number in numbers]


def _described(model: str, estimate: "Estimate") -> dict[str, Any]:
    machine = estimate.machine
    return {
        "model": model,
        "stage": estimate.stage,
        "processes": machine.processes,
        "device": machine.kind,
        "memory_bytes": machine.memory,
        "needed_bytes": round(estimate.total) if estimate.known else None,
        "parts": {name: round(size) for name, size in estimate.parts.items()},
        "seconds": round(estimate.seconds, 1) if estimate.known else None,
        "fits": estimate.fits if estimate.known else None,
        "change": estimate.advice or None,
    }


def _print(made: "list[tuple[str, Estimate]]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("model", "device", "stage"):
        table.add_column(name, no_wrap=True)
    for name in ("GB each", "of", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fits")
    for model, estimate in made:
        machine = estimate.machine
        table.add_row(
            escape(model),
            f"{machine.processes} x {machine.kind}" if machine.kind != "cpu" else "cpu",
            escape(estimate.stage),
            f"{estimate.total / GB:.1f}" if estimate.known else "",
            f"{(machine.memory or 0) / GB:.0f}",
            _time(estimate.seconds) if estimate.known else "",
            escape(_verdict(estimate)),
        )
    Console().print(table)
    Console(stderr=True).print(
        "counted, not measured; times assume 40% of the device's peak (docs/models.md)", style="dim"
    )


def _verdict(estimate: "Estimate") -> str:
    if not estimate.known:
        return estimate.advice
    return "yes" if estimate.fits else f"no: {estimate.advice}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
