"""``unlearnbench store``: what the folder of trained models holds, whether it is sound, and what can go."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..engine.artefacts import Stored

app = typer.Typer(help="What the store of trained models holds: list it, verify it, prune it.", no_args_is_help=True)

Folder = Annotated[
    Path | None, typer.Option("--store", help="The store [default: ~/.cache/unlearnbench].", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_artefacts(store: Folder = None, as_json: AsJson = False) -> None:
    """Show every artefact: what it is, of which method or attack, its size and age."""
    found = _stored(store)
    if as_json:
        typer.echo(json.dumps([_described(each) for each in found], indent=1))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("kind", "name", "of", "seed", "made"):
        table.add_column(name)
    table.add_column("MB", justify="right")
    for each in found:
        facts = _described(each)
        row = (facts["kind"], facts["name"], facts["of"], facts["seed"], (facts["made_at"] or "")[:16])
        table.add_row(*(escape(str(text)) for text in row), f"{each.bytes / 1e6:.1f}")
    Console().print(table)
    total = sum(each.bytes for each in found)
    Console(stderr=True).print(f"{len(found)} entries, {total / 1e6:.1f} MB", style="dim")


@app.command()
def verify(store: Folder = None, as_json: AsJson = False) -> None:
    """Hash every file again; damaged artefacts are moved to quarantine/ and computed again when they are needed."""
    artefacts = _store(store)
    damaged = artefacts.verify()
    if as_json:
        typer.echo(json.dumps([{"folder": str(folder), "damage": why} for folder, why in damaged], indent=1))
    for folder, why in () if as_json else damaged:
        typer.echo(f"{folder}: damaged ({why}); moved to {artefacts.root / 'quarantine'}")
    if not as_json and not damaged:
        typer.echo("all artefacts are sound")
    if damaged:
        raise typer.Exit(1)


@app.command()
def prune(
    store: Folder = None,
    days: Annotated[float, typer.Option(min=0, help="Artefacts not used for so many days go.")] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
) -> None:
    """Remove what was not used for long, what was quarantined, and what killed runs left behind."""
    before = datetime.now(UTC) - timedelta(days=days)
    freed = 0
    for each in _store(store).prunable(before):
        typer.echo(f"{'would remove' if dry_run else 'removing'} {each.folder} ({each.bytes / 1e6:.1f} MB)")
        freed += each.bytes
        if not dry_run:
            _remove(each.folder)
    typer.echo(f"{freed / 1e6:.1f} MB")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _store(store: Path | None) -> Any:
    from ..engine.artefacts import Store, default_store
    from ..errors import UsageError

    root = default_store(store)
    if not root.is_dir():
        raise UsageError(f"there is no store {root}; give --store DIR, or run something first")
    return Store(root)


def _stored(store: Path | None) -> "list[Stored]":
    found: list[Stored] = _store(store).stored()
    return found


def _described(each: "Stored") -> dict[str, Any]:
    manifest = each.manifest
    key = manifest.key if manifest else {}
    method = key.get("attack") or key.get("method", {})
    return {
        "kind": each.kind,
        "name": each.folder.name,
        "of": method.get("name", "") if isinstance(method, dict) else "",
        "seed": key.get("seed", ""),
        "made_at": manifest.made_at if manifest else None,
        "used_at": each.used.isoformat(),
        "bytes": each.bytes,
        "folder": str(each.folder),
    }
