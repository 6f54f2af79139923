"""``unlearnbench report``: tables and pictures of results."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UnlearnbenchError, UsageError
from ..runtime.garbage import no_garbage_collection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..analysis.attacks.of_lines import AttackOn
    from ..analysis.comparison import Comparison
    from ..analysis.score.references import Records
    from ..results.row import Row
    from ..results.store import RowStore

    Stores = Mapping[str, RowStore]

Format = Literal["terminal", "markdown", "csv", "latex"]

DPI = 200


@no_garbage_collection()  # there may be thousands of rows, which live until the end
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Results folders, or their rows.jsonl.")],
    form: Annotated[Format, typer.Option("--format", help="How to print the tables.")] = "terminal",
    out: Annotated[
        Path | None, typer.Option(help="A folder to write tables (md, csv, tex) and pictures (png, pdf) to.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="Only these methods.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only these models.")] = None,
    attacks: Annotated[
        bool, typer.Option("--attacks", help="What came back under attacks alone: one table a model, and in words.")
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="In the table of all attacks too, which is narrow without them.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder with the pictures, for rows made with --data DIR.")] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.py", help="A file with plug-ins; repeatable.")
    ] = None,
) -> None:
    """Show results as the papers' tables do: means over seeds with 95% intervals, the best marked."""
    from ..analysis.attacks.columns import attack_tables
    from ..analysis.attacks.of_lines import attacks_on
    from ..analysis.comparison import compare, details, distances
    from ..analysis.facts import Facts
    from ..registry import load_plugin
    from ..report.attacks.matrix import matrices, together
    from ..results.recent import remembering
    from .parts.grid import listed

    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: no such folder; give the one that the rows were made with")
    for file in plugin or ():
        load_plugin(file)
    stores = [store_of(each) for each in results]
    found = _rows(stores)
    whole = [row for row, _ in found]
    rows = _chosen(whole, listed(method), listed(model))
    measured = _with_references(rows, whole)
    where = {row.row_id: store for row, store in found}
    known = Facts()
    records = remembering(lambda row: where[row.row_id].read_samples(row))
    if attacks and not any(row.attack for row in rows):
        raise UsageError("--attacks: no row here is of an attack; attack what there is with: unlearnbench run --attack")
    attacked = attacks_on(measured, records, known)
    summary = [each for make in (matrices, together) for each in make(attacked, known, intervals=intervals)]
    if attacks:
        rows, comparisons, tables = [row for row in rows if row.attack], [], summary
    else:
        comparisons = compare(rows, known, records)
        tables = [*comparisons, *summary, *attack_tables(attacked)]
        tables += [*distances(rows, records, known), *details(rows, known)]
    _print(form, rows, tables)
    if out is not None:
        figures = chain(_figures(comparisons), _attacked(attacked, records), _attention(rows, where, data))
        for path in _write(out, tables, figures):
            typer.echo(f"wrote {path}", err=form != "terminal")


def store_of(results: Path) -> "RowStore":
    """The results folder that a command names, by itself or by its rows; raises UsageError where there is none."""
    from ..results.store import RowStore

    folder = results.parent if results.name == "rows.jsonl" else results
    store = RowStore(folder)
    if not store.rows.is_file():
        raise UsageError(f"{folder} holds no rows.jsonl; give the folder that 'run' wrote with --results")
    return store


def _rows(stores: "Sequence[RowStore]") -> "list[tuple[Row, RowStore]]":
    """The row that counts of each cell with its folder, after a warning for every damaged line.

    A cell that stands in several folders, or several times in one, counts once.
    """
    from ..results.row import latest

    found: dict[int, tuple[Row, RowStore]] = {}
    for store in stores:
        contents = store.scan()
        for damage in contents.damage:
            typer.echo(f"warning: {store.rows}:{damage.line}: {damage.reason}; not counted", err=True)
        if not contents.rows:
            more = f"compute some first: unlearnbench run --results {store.folder}"
            raise UsageError(f"{store.rows} holds no rows; {more}")
        found |= {id(row): (row, store) for row in contents.rows}
    return [found[id(row)] for row in latest(row for row, _ in found.values())]


def _chosen(rows: "Sequence[Row]", methods: Sequence[str], models: Sequence[str]) -> "list[Row]":
    for name, wanted, known in (
        ("method", methods, {row.method.name for row in rows}),
        ("model", models, {row.model.name for row in rows}),
    ):
        if missing := sorted(set(wanted) - known):
            raise UsageError(f"--{name} {missing[0]}: no row of it; there are {', '.join(sorted(known))}")
    return [
        row for row in rows if (not methods or row.method.name in methods) and (not models or row.model.name in models)
    ]


def _with_references(chosen: "Sequence[Row]", rows: "Sequence[Row]") -> "list[Row]":
    """What was chosen, with the references that what was attacked of it is measured by."""
    from ..config import references

    kept = {id(row) for row in chosen}
    models = {row.model.name for row in chosen if row.attack is not None}
    named = references() if models else ()
    return [row for row in rows if id(row) in kept or (row.model.name in models and row.method.name in named)]


def _print(form: Format, rows: "Sequence[Row]", comparisons: "Sequence[Comparison]") -> None:
    """The tables on stdout, and beside a format for programs what they leave out on stderr."""
    from rich.console import Console

    from ..report.terminal import notes, table

    if form == "terminal":
        Console().print(table(rows, full=True, comparisons=comparisons))
        return
    typer.echo(_text(form, comparisons), nl=False)
    for note in notes(rows):
        Console(stderr=True).print(note)


def _text(form: str, comparisons: "Sequence[Comparison]") -> str:
    from ..analysis.tidy import tidy
    from ..report.latex import latex
    from ..report.markdown import markdown

    return {"markdown": markdown, "latex": latex, "csv": tidy}[form](comparisons)


def _write(
    out: Path,
    tables: "Sequence[Comparison]",
    figures: "Iterable[tuple[str, Figure]]",
) -> Iterator[Path]:
    """Write tables and pictures, each whole or not at all; yields what was written."""
    from ..runtime.atomic import atomic_write, require_writable

    require_writable(out, "--out")
    for name, form in (("table.md", "markdown"), ("table.csv", "csv"), ("table.tex", "latex")):
        with atomic_write(out / name) as temporary:
            temporary.write_text(_text(form, tables), encoding="utf-8", newline="")
        yield out / name
    taken: Counter[str] = Counter()
    for wanted, figure in figures:
        taken[wanted] += 1  # names that differ only in what file names cannot have
        name = wanted if taken[wanted] == 1 else f"{wanted}-{taken[wanted]}"
        for suffix in (".png", ".pdf"):
            with atomic_write(out / f"{name}{suffix}") as temporary:
                figure.savefig(temporary, dpi=DPI)
            yield out / f"{name}{suffix}"


def _figures(comparisons: "Sequence[Comparison]") -> "Iterator[tuple[str, Figure]]":
    """What methods trade for what, and what single numbers do."""
    from ..report.curves import curves
    from ..report.plots import file_name
    from ..report.tradeoff import trade_off

    for comparison in comparisons:
        model = file_name(comparison.model)
        if figure := trade_off(comparison):
            yield f"trade-off-{model}", figure
        for name, figure in curves(comparison):
            yield f"sweep-{name}-{model}", figure


def _attacked(attacked: "Sequence[AttackOn]", records: "Records") -> "Iterator[tuple[str, Figure]]":
    """What came back step by step, and how well audits tell pictures apart."""
    from ..report.attacks.recovery import recovery
    from ..report.attacks.roc import rocs

    yield from ((f"recovery-{name}", figure) for name, figure in recovery(attacked))
    yield from ((f"roc-{name}", figure) for name, figure in rocs(attacked, records))


def _attention(rows: "Sequence[Row]", where: "Stores", data: Path | None) -> "Iterator[tuple[str, Figure]]":
    """One picture for the first row of each method, model and set of people whose samples carry explanations."""
    from ..report.attention import attention
    from ..report.plots import file_name

    seen = set()
    for row in rows:
        split = row.task.split
        which = row.method.name, row.model.name, split.key if split else ""
        if row.samples is None or row.attack is not None or which in seen:
            continue

        def skipped(why: str, method: str = row.method.name) -> None:
            typer.echo(f"no attention picture of {method}: {why}", err=True)

        try:
            samples = where[row.row_id].read_samples(row)
            if any("explanation" in sample for sample in samples):
                seen.add(which)
                people = [f"forgotten: {split.name}"] if split else []
                title = ", ".join([row.method.name, row.model.name, *people, f"seed {row.seed}"])
                if figure := attention(samples, _pictures(row, data), title, skipped):
                    yield f"attention-{file_name('-'.join(which[:2]))}", figure
        except UnlearnbenchError as error:
            skipped(str(error))


def _pictures(row: "Row", data: Path | None) -> Path:
    """The folder of the task's data; nothing is downloaded for a picture."""
    from ..data.source import already_unpacked, locate

    source = row.task.data.source
    if source == "embedded":
        return locate(source, row.task.name).folder
    if source == "hub" and (folder := already_unpacked(row.task.data.id, row.task.data.revision or "")) is not None:
        return folder
    if data is None:
        raise UsageError(f"the pictures of {row.task.data.id} are needed; give their folder with --data")
    return data
