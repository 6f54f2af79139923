"""``unlearnbench data``: describe, write and fetch data folders."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Describe, write and fetch data folders.", no_args_is_help=True)


@app.command()
def summary(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in FIUBench's layout.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a folder in FIUBench's layout and count its identities, questions, groups, splits and forget sets."""
    import json

    from unlearnbench.tasks.fiubench.reader import read
    from unlearnbench.tasks.fiubench.summary import remarks
    from unlearnbench.tasks.fiubench.summary import summary as counted

    dataset = read(folder)
    counts = counted(dataset)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    _print_tables(counts, f"{folder} (split.json: {dataset.variant})")
    _print_forget_sets(counts)
    for what, number in counts["left_out"].items():
        typer.echo(f"left out: {what}: {number}")
    for remark in remarks(dataset):
        if not remark.startswith("left out"):
            typer.echo(f"warning: {remark}")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; it must be new or empty.")],
    identities: Annotated[int, typer.Option(help="Number of fictitious people, 5 to 400.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed writes the same data.")] = 0,
) -> None:
    """Write fictitious people with drawn faces, and yes/no questions on drawn scenes."""
    from ..embedded.data.make import make as write

    write(folder, identities, seed)
    typer.echo(f"Wrote {identities} identities to {folder}; use them with: unlearnbench run --data {folder}")


@app.command()
def fetch(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task whose data to download.")],
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A single file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Download a task's data into the Hugging Face cache and check them; later runs need no network.

    With HF_HUB_OFFLINE=1 runs never ask for it.
    """
    from ..registry import load_plugin, tasks

    for file in plugin or ():
        load_plugin(file)
    kind = tasks.get(task)
    location = kind(kind.Options()).load("hub", None).location
    typer.echo(f"{location.id} at revision {location.revision} is in {location.folder}")


def _print_forget_sets(counts: dict[str, Any]) -> None:
    """Who is forgotten by which number, and what that leaves, under both protocols."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title="Questions by --forget and protocol", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in ("--forget", "who", "protocol"):
        table.add_column(heading, overflow="fold")
    for heading in ("forget", "non-\nprivate", "retain", "held\nout", "para-\nphrased", "per-\nturbed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in counts["forget"]:
        if "impossible" in each:
            continue
        for protocol in ("default", "paper"):
            sizes = [f"{each[protocol][name]:,}" for name in ("forget", "nonprivate", "retain", "held_out")]
            variants = [f"{each[name]:,}" for name in ("with_paraphrases", "with_perturbed_answers")]
            table.add_row(str(each["people"]), escape(each["name"]), protocol, *sizes, *variants)
    if table.row_count:
        Console().print(table)
    for each in counts["forget"]:
        if "impossible" in each:
            typer.echo(f"--forget {each['people']}: {each['impossible']}")
    if counts["fiubench"]:
        typer.echo("These are FIUBench's people: a number stands for rows of the data, whatever split.json says.")
    typer.echo(_ABOUT)


_ABOUT = """\
Paraphrased and perturbed count the forget questions that have such variants. Under --set fiubench.protocol=paper
nobody is held out, and early stopping looks at the forget set alone."""


def _print_tables(counts: dict[str, Any], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    parts = Table(title=title, title_justify="left")
    parts.add_column("Part")
    for heading in ("Identities", "Questions", "Private"):
        parts.add_column(heading, justify="right")
    parts.add_row("all", str(counts["identities"]), str(counts["questions"]), str(counts["private"]), end_section=True)
    for name, split in counts["splits"].items():
        parts.add_row(name, *(str(split[key]) for key in ("identities", "questions", "private")))

    groups = Table()
    groups.add_column("Group of questions")
    groups.add_column("Questions", justify="right")
    for name, number in counts["groups"].items():
        groups.add_row(name, str(number))

    console = Console()
    console.print(parts)
    console.print(groups)
