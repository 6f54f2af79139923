"""``unlearnbench export``: a cell's model as a folder that `transformers` loads, and perhaps on the hub."""

from pathlib import Path
from typing import Annotated

import typer

from ..parts.cells import Cell, CellOptions
from ..parts.options import spread


@spread
def export(
    cell: Cell,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder to write the model to.")],
    which: CellOptions,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Of a method that trains an adapter: it and its base, not merged.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="HUB_ID", help="Upload what was written to this OWNER/NAME too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="With --push: for your eyes alone.")] = False,
) -> None:
    """Write a cell's model for transformers alone, with its processor and a card of what it is."""
    from ...export.folder import Destination, write
    from ...export.hub import Hub

    wanted, hub = Destination(folder, adapter, push), Hub(push, private=private) if push else None
    wanted.check()
    found, rows = which.found(cell)
    if hub:
        hub.check()
    kind = write(found, wanted, rows)
    typer.echo(f"{folder}: {_SAID[kind]}; README.md says how to load it")
    if hub:
        for address in hub.push(folder):
            typer.echo(address)


_SAID = {
    "weights": "a model of transformers' own classes",
    "adapter": "an adapter, and in base/ the model that it is on",
    "code": "a frozen model with the code of what works beside it (trust_remote_code=True)",
}
