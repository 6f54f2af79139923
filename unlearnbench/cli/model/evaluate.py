"""``unlearnbench evaluate``: rows of a model that was unlearned elsewhere, and of the references beside it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...errors import UsageError
from ...runtime.device import launched
from ..parts import grid
from ..parts.following import first_word
from ..parts.options import spread
from ..run import How, carry_out, heeded


@partial(spread, without=("method", "model"))
def evaluate(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@ADAPTER]",
            help="A folder or hub id with the unlearned model, or a model and PEFT's adapter on it.",
        ),
    ],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="What rows call the method that made it.")],
    asked: grid.GridOptions,
    how: How,
    of: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="The pretrained model that it was made from: a name, hub id or folder [default: MODEL, if an adapter "
            "on a model that 'list models' names is given].",
            rich_help_panel=grid.GRID,
        ),
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="This model's rows and no others: neither a base nor references, so nothing is trained.",
            rich_help_panel=grid.GRID,
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Show the cells and what is cached; compute nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list, progress on stderr.")] = False,
) -> None:
    """Evaluate a model that was unlearned elsewhere.

    Its rows are those of a method called NAME, beside those of the references that a leaderboard measures by, on the
    same base. One model was made with one seed: give each seed's model in a command of its own, with --seed.
    """
    from ...config import references

    if alone and asked.base_model:
        raise UsageError(f"--alone: there is no base beside it; leave out --base-model {asked.base_model}")
    chosen = heeded(asked, how)
    first_word(quiet=quiet or dry_run or launched())
    methods = [name] if alone else [*references(), name]
    chosen = replace(chosen, method=methods, model=[of or _named_model(weights)])
    config = chosen.config(exact=how.exact).model_copy(update={"evaluated": {name: weights}, "alone": alone})
    if alone:  # an attack has brought the references in
        config = config.model_copy(update={"methods": (name,)})
    if len(config.seeds) > 1:
        seeds = ",".join(map(str, config.seeds))
        raise UsageError(f"--seed {seeds}: one model was made with one seed; evaluate that of each seed by itself")
    carry_out(chosen, how, config, dry_run=dry_run, quiet=quiet, as_json=as_json)


def _named_model(weights: str) -> str:
    """The registered model that an adapter is on, or says that it is; raises `UsageError` where none is named."""
    from ...models.files.check import base_of
    from ...registry import models

    model, _, adapter = weights.partition("@")
    known = models.names()
    if adapter and model in known:
        return model
    own = base_of(Path(adapter).expanduser()) if adapter and not model else ""
    if of := next((name for name in known if own and own in (name, models.get(name).source)), None):
        return of
    said = f" (the adapter is on {own!r})" if own else ""
    raise UsageError(
        f"evaluate {weights}: say with --model from which pretrained model it was made{said}; see list models"
    )
