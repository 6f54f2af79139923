"""What the pages' scripts and other programs get: the standings of a leaderboard as one JSON value."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scipy.special import stdtrit

from ...analysis.lines import replicate
from ...analysis.means import Mean
from ...metrics.direction import best_near_retrained
from ..definition import Board
from ..table import RANKING, abouts

if TYPE_CHECKING:
    from .build import Section
    from .entries import Entry

_DEGREES = 30
"""Degrees of freedom up to which quantiles are given; beyond, the last one serves."""


def board_data(board: Board, sections: "Sequence[Section]") -> dict[str, Any]:
    """Columns, the entries of all models, and quantiles of Student's t for differences between two of them."""
    rule, tables = board.definition, [section.table for section in sections]
    levels = dict.fromkeys(name for table in tables for name in table.levels)
    about = abouts(board, tables)
    own = [
        {
            "metric": name,
            "group": RANKING,
            "label": name.capitalize(),
            "higher_is_better": True if better else None,
            "direction": better,
            "near_retrained": False,
            "about": about[name],
        }
        for name, better in (("score", "higher"), *((each, "higher") for each in levels), ("trace", None))
    ]
    named = {column.metric: column for column in rule.columns}
    columns = [
        {
            "metric": name,
            "group": column.group,
            "label": column.label,
            "higher_is_better": column.higher_is_better,
            "direction": column.best,
            "near_retrained": best_near_retrained(name, column.best),
            "about": column.about,
        }
        for name, column in named.items()
    ]
    return {
        "name": board.name,
        "title": rule.title,
        "columns": [*own, *columns],
        "conditions": rule.ranking.conditions,
        "t": [float(stdtrit(df, 0.975)) for df in range(1, _DEGREES + 1)],
        "entries": [
            _entry(entry, [*named], [*levels], _ideal(section, rule.references.ideal, [*named]))
            for section in sections
            for entry in section.entries
        ],
    }


def _ideal(section: "Section", method: str, metrics: Sequence[str]) -> dict[str, float | None]:
    """The retrained model's values."""
    lines = [entry.standing.line for entry in section.entries if entry.method == method]
    cells = {name: line.metric(name) for line in lines[:1] for name in metrics}
    return {name: None if cell is None else cell.mean for name, cell in cells.items()}


def _entry(
    entry: "Entry", metrics: Sequence[str], levels: Sequence[str], ideal: dict[str, float | None]
) -> dict[str, Any]:
    standing = entry.standing
    return {
        "id": entry.id,
        "model": entry.model,
        "method": entry.method,
        "label": entry.label,
        "is_method": standing.line.is_method,
        "is_frozen": standing.is_frozen,
        "keeps_utility": standing.keeps_utility,
        "why_not": standing.why_not,
        "verdict": standing.verdict,
        "lower": standing.lower,
        "rank": standing.rank,
        "place": standing.place,
        "means": {"score": _estimate(standing.score), "trace": _estimate(standing.trace)}
        | {name: _estimate(standing.levels.get(name)) for name in levels}
        | {name: _estimate(standing.line.metric(name)) for name in metrics},
        "by_seed": {
            name: {_seeds(seeds): value for seeds, value in of.items()}
            for name, of in (
                ("score", standing.scores),
                ("trace", standing.traces),
                *((level, standing.by_level.get(level, {})) for level in levels),
            )
        }
        | {name: _by_seed(entry, name) for name in metrics},
        "off_retrained": {name: _off(_by_seed(entry, name), ideal.get(name)) for name in metrics},
        "losses": {name: _estimate(loss) for name, loss in standing.losses.items()},
        "at": entry.place,
        "beats": standing.beats,
    }


def answers_data(sections: "Sequence[Section]") -> dict[str, list[dict[str, Any]]]:
    """The sample answers of every entry, by its id."""
    shown = ("set_name", "question", "truth", "after", "picture")
    return {
        entry.id: [{name: getattr(answer, name) for name in shown} for answer in entry.answers]
        for section in sections
        for entry in section.entries
    }


def _estimate(estimate: Mean | None) -> dict[str, Any] | None:
    if estimate is None or estimate.mean is None:
        return None
    return {"mean": estimate.mean, "half_width": estimate.half_width, "n": estimate.n}


def _by_seed(entry: "Entry", name: str) -> dict[str, float | None]:
    return {_seeds(replicate(row)): row.metrics[name].value for row in entry.rows if name in row.metrics}


def _off(by_seed: dict[str, float | None], ideal: float | None) -> dict[str, float | None]:
    """How far a metric lies from the retrained model's value, by seed."""
    return {seeds: None if value is None or ideal is None else abs(value - ideal) for seeds, value in by_seed.items()}


def _seeds(seeds: tuple[int, int]) -> str:
    return f"{seeds[0]}/{seeds[1]}"
