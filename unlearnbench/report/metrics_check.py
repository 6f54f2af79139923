"""The result of a check of metrics on a terminal: a table of figures, and in words why a metric does not pass."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..analysis.facts import printable
from ..metrics_check.result import (
    D_PRIME,
    FAITHFULNESS,
    FAITHFULNESS_LOW,
    FLOOR,
    MetricEntry,
    MetricsCheck,
    Rankings,
    Tau,
)

WANTED = (
    f"passes: AUC {FAITHFULNESS} at least (lower end {FAITHFULNESS_LOW}), d' {D_PRIME:g} at least, two retrained "
    f"models apart by {FLOOR} of the scale at most"
)

ROBUST = (
    "R: it rises no more than on a retrained model that is attacked alike; Q: it does not rise at all; with ± a fall "
    "counts as a rise does"
)


def tables(found: MetricsCheck) -> RenderableType:
    """Everything that is worth reading of a result."""
    return Group(*_parts(found))


def _parts(found: MetricsCheck) -> Iterator[RenderableType]:
    seeds = ", ".join(map(str, found.seeds))
    title = (
        f"{found.task.name} on {found.model.name}: {found.questions} questions about {found.people} people, models of "
        f"{len(found.kinds)} kinds with seeds {seeds}"
    )
    yield Text(printable(title), style="bold")
    yield _figures((*found.metrics, *found.nulls))
    yield Text(WANTED, style="dim")
    for kind in found.kinds:
        made = f" ({kind.altered} of {kind.of} altered)" if kind.of else ""
        yield Text(
            printable(f"{'knows' if kind.knows else 'does not know'}  {kind.name}: {kind.about}{made}"), style="dim"
        )
    for each in (*found.left_out, *found.unmeasured):
        yield Text(printable(f"left out  {each.name}: {each.why}"), style="yellow")
    for entry in found.metrics:
        if entry.reasons:
            yield Text(printable(f"fails  {entry.metric}: {'; '.join(entry.reasons)}"))
    if any(entry.robustness for entry in found.metrics):
        yield Text("\nWhen weights are attacked: 1 where a metric does as it should", style="bold")
        yield _robustness(found.metrics)
        yield Text(ROBUST, style="dim")
    if found.rankings:
        yield Text("\nRankings of methods: Kendall's tau, 1 where they are the same", style="bold")
        yield _rankings(found.rankings)
        for pair in found.rankings.guards:
            yield Text(printable(f"{pair.of} against {pair.against}: {_tau(pair.tau)} ({pair.methods} methods)"))


def _figures(entries: Sequence[MetricEntry]) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("metric", no_wrap=True)
    for name in ("knows", "does not", "AUC", "95%", "d'", "seeds apart", "passes"):
        table.add_column(name, justify="right")
    for each in entries:
        table.add_row(
            escape(printable(each.metric)),
            f"{each.nothing:.3f}",
            f"{each.ideal:.3f}",
            f"{each.faithfulness:.2f}",
            f"{each.faithfulness_low:.2f} to {each.faithfulness_high:.2f}",
            "∞" if each.d_prime is None else f"{each.d_prime:.1f}",
            "–" if each.floor is None else f"{each.floor:.3f}",
            "yes" if each.passes else "no",
        )
    return table


def _robustness(entries: Sequence[MetricEntry]) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("metric", no_wrap=True)
    table.add_column("attack")
    for name in ("R", "R±", "Q", "Q±"):
        table.add_column(name, justify="right")
    for each in entries:
        for attack, of in each.robustness.items():
            figures = (of.rise, of.rise_symmetric, of.stay, of.stay_symmetric)
            names = (escape(printable(each.metric)), escape(printable(attack)))
            table.add_row(*names, *(f"{figure:.2f}" for figure in figures))
    return table


def _rankings(found: Rankings) -> Table:
    """Of each metric, how its ranking agrees with the others' and, seed by seed, with itself."""
    table = Table(box=None, header_style="bold")
    table.add_column("metric", no_wrap=True)
    for name in ("others, mean", "least", "with", "seeds, mean"):
        table.add_column(name, justify="right")
    for name in dict.fromkeys(name for each in found.metrics for name in (each.of, each.against)):
        others = [(each, each.against if each.of == name else each.of) for each in found.metrics if name in _pair(each)]
        told = [(each.tau, other) for each, other in others if each.tau is not None]
        seeds = [each.tau for each in found.seeds if each.of.startswith(f"{name},") and each.tau is not None]
        least, other = min(told, default=(None, "–"))
        means = [sum(of) / len(of) if of else None for of in ([tau for tau, _ in told], seeds)]
        shown = (name, _tau(means[0]), _tau(least), other, _tau(means[1]))
        table.add_row(*(escape(printable(each)) for each in shown))
    return table


def _pair(each: Tau) -> tuple[str, str]:
    return each.of, each.against


def _tau(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
