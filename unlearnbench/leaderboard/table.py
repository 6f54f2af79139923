"""Standings as a `Comparison`, which the reports' renderers print: terminal, Markdown, CSV, LaTeX."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..analysis.columns import Column, scores_of
from ..analysis.comparison import Comparison
from ..analysis.facts import Facts
from ..analysis.means import Mean
from ..analysis.score.columns import Worded
from ..contracts import Headline
from .definition import Board, ColumnRule
from .standings import WORDS, Standing, Table

RANKING = "Ranking"
"""The group of the columns that rank."""

ABOUT = {
    "rank": "One more than the number of methods that surely beat it; =: a tie. References are not ranked.",
    "score": "The lowest level. 0: nothing was forgotten, 1: as much as by retraining; in brackets: not ranked.",
    "lower": "The lower bound of the score's 95% interval over people and seeds, by which the table is ordered.",
    "text": "What the model says: 0 as much as before, 1 no more than a retrained model.",
    "logits": "How likely the model finds the truth: 0 as before, 1 no more than a retrained model.",
    "trace": "How well the model is told from a retrained one by how likely it finds the truth: 0 not at all, 1 at "
    "once as it finds it less likely, -1 as it finds it likelier.",
    "keeps_utility": "Whether every condition lies within its tolerance of the references.",
    "verdict": "What the method did, in a word.",
    "frozen_weights": "Whether the method changes the model's weights, or leaves them frozen.",
    "trainable_parameters": "Trained parameters.",
    "train_seconds": "Seconds of unlearning on the machine that the method's page names; machines differ.",
}
"""What the columns say that every leaderboard has."""


def abouts(board: Board, tables: Sequence[Table] = ()) -> dict[str, str]:
    """What columns say, by name; a level that only this leaderboard has says which metrics it is the lowest of."""
    levels = {name: of for table in tables for name, of in table.levels.items()} | board.definition.ranking.levels
    unknown = {name: f"The lowest share of {', '.join(map(plain, of))}." for name, of in levels.items()}
    attacked = {name: f"{about}." for table in tables for name, about in attacks_of(table).items()}
    return unknown | attacked | ABOUT | {column.metric: column.about for column in board.definition.columns}


def plain(metric: str) -> str:
    """A metric of a level without the level, which stands before those of attacks."""
    return metric.rpartition(": ")[2]


def attacks_of(table: Table) -> dict[str, str]:
    """What the levels of attacks are, by name."""
    return {
        each.level: f"{each.level}: of every person what tells most under {', '.join(each.of)}, of the references alike"
        for each in table.accesses.every
        if each.level in table.levels
    }


@dataclass(frozen=True)
class Bracketed(Column):
    """The score, in brackets where it counts for nothing as the method is not ranked."""

    lost: frozenset[int] = frozenset()

    def text(self, line: int, *, interval: bool = False) -> str:
        """A cell as it is shown."""
        shown = super().text(line, interval=interval)
        return f"({shown})" if line in self.lost else shown


def comparison(board: Board, table: Table) -> Comparison:
    """The table of one model, best first, with the leaderboard's own columns after those that rank."""
    standings = table.standings
    ideal = board.definition.references.ideal
    columns = [*_ranking(table), *(_column(rule, standings, ideal) for rule in board.definition.columns)]
    lines = tuple(standing.line for standing in standings)
    return Comparison(table.model, lines, tuple(columns), notes=tuple(notes(board, table)))


def notes(board: Board, table: Table) -> Iterator[str]:
    """What a reader must know of the ranking."""
    references, standings = board.definition.references, table.standings
    yield "=: a tie, as no difference is sure over people and seeds once all pairs are counted (Holm)"
    levels = "; ".join(f"{name}: {', '.join(map(plain, of))}" for name, of in table.levels.items())
    yield (
        f"Score: the lowest level, each the lowest share of the way from {references.nothing} (0) to "
        f"{references.ideal} (1) of its metrics ({levels}); in order of its lower bound"
    )
    yield from (f"{name}: nobody can tell, as {why}" for name, why in table.accesses.untold.items())
    yield from attacks_of(table).values()
    yield from (f"{word}: {WORDS[word]}" for word in dict.fromkeys(each.verdict for each in standings))
    yield from (f"{each.line.method} is not ranked: {each.why_not}" for each in standings if each.why_not)
    yield from board.doubts(standings[0].line.model) if standings else ()
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


def _ranking(table: Table) -> Iterator[Column]:
    standings = table.standings
    unranked = frozenset(place for place, each in enumerate(standings) if each.why_not)
    ranks = tuple(None if each.rank is None else _exact(each, each.rank) for each in standings)
    yield Worded(RANKING, "rank", "Rank", None, ranks, words=tuple(each.place for each in standings))
    scores = tuple(each.score for each in standings)
    best = frozenset(place for place, each in enumerate(standings) if each.rank == 1)
    yield Bracketed(RANKING, "score", "Score", "higher", scores, best, lost=unranked)
    yield Column(RANKING, "lower", "Lower", "higher", tuple(_exact(each, each.lower) for each in standings))
    for name in table.levels:
        yield Column(RANKING, name, name.capitalize(), "higher", tuple(each.levels.get(name) for each in standings))
    yield Column(RANKING, "trace", "Trace", None, tuple(each.trace for each in standings))
    kept = tuple(_exact(each, each.keeps_utility) for each in standings)
    yield Worded(RANKING, "keeps_utility", "Utility", None, kept, words=tuple(map(utility, standings)))
    words = tuple(each.verdict for each in standings)
    erased = tuple(_exact(each, each.verdict == "erased") for each in standings)
    yield Worded(RANKING, "verdict", "Verdict", None, erased, words=words)
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
