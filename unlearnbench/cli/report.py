"""``unlearnbench report``: tables and pictures of results."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UnlearnbenchError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..report.comparison import Comparison
    from ..results.row import Row
    from ..results.store import RowStore

Format = Literal["terminal", "markdown", "csv", "latex"]

DPI = 200


def report(
    results: Annotated[Path, typer.Argument(help="A results folder, or its rows.jsonl.")],
    form: Annotated[Format, typer.Option("--format", help="How to print the tables.")] = "terminal",
    out: Annotated[
        Path | None, typer.Option(help="A folder to write tables (md, csv, tex) and pictures (png, pdf) to.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="Only these methods.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only these models.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the pictures, for rows made with --data DIR.")] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.py", help="A file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Show results as the papers' tables do: means over seeds with 95% intervals, the best marked."""
    from ..registry import load_plugin
    from ..report.comparison import compare
    from .grid import listed

    for file in plugin or ():
        load_plugin(file)
    store = _store(results)
    rows = _chosen(store, listed(method), listed(model))
    comparisons = compare(rows)
    _print(form, rows, comparisons)
    if out is not None:
        for path in _write(out, rows, comparisons, store, data):
            typer.echo(f"wrote {path}", err=form != "terminal")


def _store(results: Path) -> "RowStore":
    from ..results.store import RowStore

    folder = results.parent if results.name == "rows.jsonl" else results
    store = RowStore(folder)
    if not store.rows.is_file():
        raise UsageError(f"{folder} holds no rows.jsonl; give the folder that 'run' wrote with --results")
    return store


def _chosen(store: "RowStore", methods: Sequence[str], models: Sequence[str]) -> "list[Row]":
    from ..results.row import latest

    rows = latest(store.scan().rows)
    for name, wanted, known in (
        ("method", methods, {row.method.name for row in rows}),
        ("model", models, {row.model.name for row in rows}),
    ):
        if missing := sorted(set(wanted) - known):
            raise UsageError(f"--{name} {missing[0]}: no row of it; there are {', '.join(sorted(known)) or 'none'}")
    return [
        row for row in rows if (not methods or row.method.name in methods) and (not models or row.model.name in models)
    ]


def _print(form: Format, rows: "Sequence[Row]", comparisons: "Sequence[Comparison]") -> None:
    if form == "terminal":
        from rich.console import Console

        from ..report.terminal import table

        Console().print(table(rows, full=True))
    else:
        typer.echo(_text(form, comparisons), nl=False)


def _text(form: str, comparisons: "Sequence[Comparison]") -> str:
    from ..report.latex import latex
    from ..report.markdown import markdown
    from ..report.tidy import tidy

    return {"markdown": markdown, "latex": latex, "csv": tidy}[form](comparisons)


def _write(
    out: Path, rows: "Sequence[Row]", comparisons: "Sequence[Comparison]", store: "RowStore", data: Path | None
) -> Iterator[Path]:
    """Write tables and pictures, each whole or not at all; yields what was written."""
    from ..results.atomic import atomic_write, require_writable

    require_writable(out, "--out")
    for name, form in (("table.md", "markdown"), ("table.csv", "csv"), ("table.tex", "latex")):
        with atomic_write(out / name) as temporary:
            temporary.write_text(_text(form, comparisons))
        yield out / name
    for name, figure in _figures(rows, comparisons, store, data):
        for suffix in (".png", ".pdf"):
            with atomic_write(out / f"{name}{suffix}") as temporary:
                figure.savefig(temporary, dpi=DPI)
            yield out / f"{name}{suffix}"


def _figures(
    rows: "Sequence[Row]", comparisons: "Sequence[Comparison]", store: "RowStore", data: Path | None
) -> "Iterator[tuple[str, Figure]]":
    from ..report.plots import file_name, sweeps, trade_off

    for comparison in comparisons:
        model = file_name(comparison.model)
        if figure := trade_off(comparison):
            yield f"trade-off-{model}", figure
        for name, figure in sweeps(comparison):
            yield f"sweep-{name}-{model}", figure
    yield from _attention(rows, store, data)


def _attention(rows: "Sequence[Row]", store: "RowStore", data: Path | None) -> "Iterator[tuple[str, Figure]]":
    """One picture for the first row of each method and model whose samples carry explanations."""
    from ..report.attention import attention
    from ..report.plots import file_name

    seen = set()
    for row in rows:
        which = row.method.name, row.model.name
        if row.samples is None or row.task.data.fingerprint is None or which in seen:
            continue
        try:
            samples = store.read_samples(row)
            if any("explanation" in sample for sample in samples):
                seen.add(which)
                figure = attention(
                    samples, _pictures(row, data), f"{row.method.name}, {row.model.name}, seed {row.seed}"
                )
                if figure:
                    yield f"attention-{file_name('-'.join(which))}", figure
        except UnlearnbenchError as error:
            typer.echo(f"no attention picture of {row.method.name}: {error}", err=True)


def _pictures(row: "Row", data: Path | None) -> Path:
    from ..data.source import locate

    if data is not None:
        return data
    if row.task.data.source == "folder":
        raise UsageError(f"the pictures of {row.task.data.id} are needed; give their folder with --data")
    return locate(row.task.data.source, row.task.name).folder
