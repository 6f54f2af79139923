"""The options of verbs about one cell's model: which cell, and where rows and models lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import grid

if TYPE_CHECKING:
    from ...export.kept import Kept
    from ...results.row import Row

WHICH = "Which cell"

Cell = Annotated[
    str, typer.Argument(metavar="CELL", help="A row's id or its beginning, or a method; an error lists what there is.")
]


@dataclass(frozen=True)
class CellOptions:
    """What narrows a method's cells to one, and where to look."""

    model: Annotated[
        str | None, typer.Option("--model", help="Of several models, the cell's.", rich_help_panel=WHICH)
    ] = None
    seed: Annotated[int | None, typer.Option(help="Of several seeds, the cell's.", rich_help_panel=WHICH)] = None
    task: Annotated[
        str | None, typer.Option(help="Of several tasks, one that evaluated it.", rich_help_panel=WHICH)
    ] = None
    results: grid.Results = Path("results")
    store: grid.StoreFolder = None
    plugin: grid.Plugins = None

    def found(self, name: str) -> "tuple[Kept, list[Row]]":
        """The model of the cell that ``name`` means, and all rows that evaluated it."""
        from ...engine.artefacts import Store, default_store
        from ...export.kept import kept
        from ...registry import load_plugin
        from ...results.naming import Narrowed, cell_called, rows_beside
        from ...results.store import RowStore

        for file in self.plugin or ():
            load_plugin(file)
        rows = RowStore(self.results)
        row = cell_called(rows, name, Narrowed(self.model, self.seed, self.task))
        return kept(row, Store(default_store(self.store))), rows_beside(rows, row)
