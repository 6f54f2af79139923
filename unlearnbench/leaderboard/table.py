"""Standings as a `Comparison`, which the reports' renderers print: terminal, Markdown, CSV, LaTeX."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..analysis.best import is_sure
from ..analysis.columns import Column, scores_of
from ..analysis.comparison import Comparison
from ..analysis.facts import Facts
from ..analysis.means import Mean
from ..analysis.score.columns import Worded
from ..contracts import Headline
from .definition import Board, ColumnRule
from .standings import Standing, Table

RANKING = "Ranking"
"""The group of the columns that rank."""

ABOUT = {
    "rank": "One more than the number of methods that surely beat it; =: a tie. References are not ranked.",
    "score": "0: nothing was forgotten, 1: as much as by retraining; in brackets where utility was lost.",
    "keeps_utility": "Whether every utility lies within its tolerance of the references.",
    "frozen_weights": "Whether the method changes the model's weights, or leaves them frozen.",
    "trainable_parameters": "Trained parameters.",
    "train_seconds": "Seconds of unlearning on the machine that the method's page names; machines differ.",
}
"""What the columns say that every leaderboard has."""


@dataclass(frozen=True)
class Bracketed(Column):
    """The score, in brackets where it counts for nothing as utility was lost."""

    lost: frozenset[int] = frozenset()

    def text(self, line: int, *, interval: bool = False) -> str:
        """A cell as it is shown."""
        shown = super().text(line, interval=interval)
        return f"({shown})" if line in self.lost else shown


def comparison(board: Board, table: Table) -> Comparison:
    """The table of one model, best first, with the leaderboard's own columns after those that rank."""
    standings = table.standings
    ideal = board.definition.references.ideal
    columns = [*_ranking(standings), *(_column(rule, standings, ideal) for rule in board.definition.columns)]
    lines = tuple(standing.line for standing in standings)
    return Comparison(table.model, lines, tuple(columns), notes=tuple(notes(board, standings)))


def notes(board: Board, standings: Sequence[Standing]) -> Iterator[str]:
    """What a reader must know of the ranking."""
    references = board.definition.references
    yield "=: a tie, by a paired bootstrap over people and seeds and by the interval over seeds"
    yield (
        f"Score: share of the way from {references.nothing} (0) to {references.ideal} (1) in "
        f"{', '.join(board.definition.ranking.forgetting)}"
    )
    if any(standing.line.is_method and not standing.keeps_utility for standing in standings):
        yield "(score): utility was lost, so the method is not ranked"
    if any(standing.is_frozen for standing in standings):
        yield "frozen: the model's weights are as they were, and whoever has them can leave the method out"


def weights(standing: Standing) -> str:
    """Whether a method changed the model's weights; a dash for references."""
    if not standing.line.is_method:
        return "–"
    return "frozen" if standing.is_frozen else "changed"


def utility(standing: Standing) -> str:
    """Whether utility was kept."""
    return "kept" if standing.keeps_utility else "lost"


def _ranking(standings: Sequence[Standing]) -> Iterator[Column]:
    lost = frozenset(place for place, each in enumerate(standings) if not each.keeps_utility)
    ranks = tuple(None if each.rank is None else _exact(each, each.rank) for each in standings)
    yield Worded(RANKING, "rank", "Rank", None, ranks, words=tuple(each.place for each in standings))
    scores = tuple(each.score for each in standings)
    best = frozenset(place for place, each in enumerate(standings) if each.rank == 1 and is_sure(each.score, 1.0))
    yield Bracketed(RANKING, "score", "Score", "higher", scores, best, lost=lost)
    kept = tuple(_exact(each, each.keeps_utility) for each in standings)
    yield Worded(RANKING, "keeps_utility", "Utility", None, kept, words=tuple(map(utility, standings)))
    frozen = tuple(_exact(each, each.is_frozen) if each.line.is_method else None for each in standings)
    yield Worded(RANKING, "frozen_weights", "Weights", None, frozen, words=tuple(map(weights, standings)))


def _exact(standing: Standing, value: float) -> Mean:
    """A number about all the seeds of a line, which has no interval."""
    return Mean(float(value), None, standing.line.replicates)


def _column(rule: ColumnRule, standings: Sequence[Standing], ideal: str) -> Column:
    """A metric, the best of what is ranked marked; the leaderboard says what the retrained model is called."""
    lines = [each.line for each in standings]
    return scores_of(
        lines, Headline(rule.group, rule.metric, rule.label), rule.best,
        competes=[each.rank is not None for each in standings],
        ideal=[line.method == ideal for line in lines], known=Facts(),
    )  # fmt: skip
