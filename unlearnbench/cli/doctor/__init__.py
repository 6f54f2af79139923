"""``unlearnbench doctor``: what this machine can run, what is missing and how to get it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from . import holdings, installed
from .installed import Missing


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what this machine can run, what is missing and how to get it."""
    missing: list[Missing] = []
    packages = installed.packages(missing)
    broken = installed.broken(packages, missing)
    report = {
        "system": installed.system(broken),
        "packages": packages,
        "broken": broken,
        "torch": None if {"torch"} & broken.keys() else installed.torch(missing),
        "hub": {"state": "unreachable"} if "huggingface_hub" in broken else installed.hub(missing),
        "slurm": installed.slurm(missing),
        "models": holdings.models(missing),
        "fits": holdings.fits(broken),
        "data": holdings.data(),
        "disk": holdings.disk(),
    }
    if as_json:
        typer.echo(json.dumps({**report, "missing": [asdict(item) for item in missing]}, indent=2))
    else:
        _print(report, missing)
    if any(item.required for item in missing):
        raise typer.Exit(1)


def _print(report: dict[str, Any], missing: list[Missing]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    for part, key, value in _lines(report):
        table.add_row(part, key, Text(value))
    console = Console()
    console.print(table)
    console.print()
    if not missing:
        console.print("Nothing is missing.")
    for item in missing:
        needed = "missing" if item.required else "optional"
        console.print(Text(f"{needed}: {item.what} - {item.fix}"), soft_wrap=True)


def _lines(report: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Part, name and value of everything reported; the part only where it begins."""
    torch = report["torch"] or {"version": "absent", "devices": []}
    devices = {device["device"]: _device(device) for device in torch["devices"]}
    parts = {**report, "torch": {"version": torch["version"], **devices}}
    parts["packages"] = {
        name: f"{version}, cannot be imported" if name in report["broken"] else version
        for name, version in report["packages"].items()
    }
    del parts["broken"]  # said below
    for part, values in parts.items():
        for index, (key, value) in enumerate(values.items()):
            shown = _free(value) if isinstance(value, dict) else str(value or "absent")
            shown = _gib(value) if key.endswith("_bytes") else shown
            yield ("" if index else part), key.removesuffix("_bytes"), shown


def _device(device: dict[str, Any]) -> str:
    memory = f", {_gib(device['memory_bytes'])}" if "memory_bytes" in device else ""
    return f"{device['name']}{memory}"


def _free(place: dict[str, Any]) -> str:
    return f"{_gib(place['free_bytes'])} free in {place['folder']}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
