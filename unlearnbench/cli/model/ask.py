"""``unlearnbench ask``: one question to a cell's model, before its method and after."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..parts import grid
from ..parts.cells import Cell, CellOptions
from ..parts.options import spread

if TYPE_CHECKING:
    from ...export.answers import Said
    from ...models.contract.explanation import Explanation
    from ...results.row import Row

TEXT_ALONE = "-"
"""What stands for no picture."""


@spread
def ask(
    cell: Cell,
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture's file; - for text alone.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask, in quotes.")],
    which: CellOptions,
    device: grid.Device = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens that an answer has at most.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a cell's model one question, as it was before its method and as it is after.

    Of an edit of visual tokens it also says whether its gate opened, and which of the picture's tokens it replaced.
    """
    from ...export.answers import ask as answers
    from ...export.answers import query

    asked = query(None if picture == TEXT_ALONE else picture, question)
    found, _ = which.found(cell)
    said = answers(found, asked, device, max_new_tokens)
    if as_json:
        typer.echo(json.dumps({"cell": found.row.row_id, "question": question} | asdict(said)))
    else:
        typer.echo("\n".join(_lines(found.row, said)))


def _lines(row: "Row", said: "Said") -> Iterator[str]:
    from ...analysis.facts import printable

    start = "another method" if row.method.continues else "the base" if row.base else "the pretrained model"
    yield f"{row.method.name} on {printable(row.model.name)}, seed {row.seed} (cell {row.row_id})"
    if said.before is None:
        yield f"answer  {printable(said.after)}"
        yield f"        {row.method.name} changes nothing of the model that it starts from, {start}"
    else:
        yield f"before  {printable(said.before)}"
        yield f"after   {printable(said.after)}"
    if said.explanation is not None:
        yield from _of_the_picture(said.explanation)


def _of_the_picture(told: "Explanation") -> Iterator[str]:
    """Whether the gate opened and, where it did, the picture's tokens: those that were replaced as #."""
    rows, columns = told["grid"]
    if not told["flagged"]:
        yield "gate    shut: the picture is shown as it is"
        return
    chosen = {*told["chosen"]}
    yield f"gate    open: {len(chosen)} of the picture's {rows} x {columns} tokens are replaced (#)"
    for row in range(rows):
        yield "        " + " ".join("#" if row * columns + column in chosen else "." for column in range(columns))
