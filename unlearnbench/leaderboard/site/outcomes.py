"""What came of the attacks on a table's methods, from summaries alone: what reports say of a run, for pages."""

from collections.abc import Mapping, Sequence

from ...analysis.attacks.costs import costs_of, unable_of
from ...analysis.attacks.of_lines import AttackedLine, AttackOn
from ...analysis.attacks.outcome import AttackOutcome, NoValues, attack_of, beside_of, levels_of, three_of
from ...analysis.attacks.over_seeds import Variant
from ...analysis.attacks.shares import Three
from ...analysis.lines import Line, Replicate, replicate
from ...analysis.score.references import Trio, task_of
from ...contracts.attack import Values
from ...errors import DataError
from ...results.row import Row
from ..attacks.levels import trios, values_of, variants_of
from ..definition import Board
from ..standings import Table
from ..submission import RowSummary
from ..values import Attacked

Summaries = Mapping[str, RowSummary]


def attacks_on_table(board: Board, table: Table, summaries: Summaries) -> list[AttackOn]:
    """Every attack of the leaderboard on every method of one model, in the order of the table.

    What was there without an attack is what the whole forget set tells, as summaries do not say of single questions.
    """
    references = board.definition.references
    attacked = {each.line.method: each.attacked for each in table.standings if not each.line.is_method}
    if not {references.nothing, references.ideal} <= attacked.keys():
        return []
    both = attacked[references.nothing], attacked[references.ideal]
    clean = [_clean(table, name) for name in (references.nothing, references.ideal)]
    found = []
    for name in board.definition.attacks:
        lines = [
            _line(name, each.line, each.attacked, both, clean, summaries)
            for each in table.standings
            if each.attacked.get(name)
        ]
        if lines and (info := lines[0].line.rows[0].attack):
            found.append(AttackOn(table.model, info, "", tuple(lines)))
    return found


def _clean(table: Table, method: str) -> dict[tuple[str, Replicate], Row]:
    rows = [row for each in table.standings if each.line.method == method for row in each.line.rows]
    return {(row.task.name, replicate(row)): row for row in rows}


def _line(
    name: str,
    line: Line,
    attacked: Attacked,
    both: tuple[Attacked, Attacked],
    clean: Sequence[Mapping[tuple[str, Replicate], Row]],
    summaries: Summaries,
) -> AttackedLine:
    rows = tuple(row for _, row in sorted(attacked[name].items()))
    own = {(row.task.name, replicate(row)): row for row in line.rows}
    of_attack = Line(line.model, line.method, line.facts, rows)
    found: list[tuple[Trio, Trio | None]] = []
    for trio in trios(attacked, *both)[name]:
        at = trio.own.task.name, replicate(trio.own)
        twins = [of.get(at) for of in (own, *clean)]
        mine, nothing, ideal = twins
        whole = mine is not None and nothing is not None and ideal is not None
        found.append((trio, Trio(mine, nothing, ideal) if whole else None))  # type: ignore[arg-type]
    try:
        made = [_outcomes(trio, twin, summaries) for trio, twin in found]
    except NoValues as error:
        return AttackedLine(of_attack, {}, (str(error),), no_values=True)
    except DataError as error:
        return AttackedLine(of_attack, {}, (str(error),))
    names = [each for each in (made[0] if made else ()) if all(each in of for of in made)]
    return AttackedLine(of_attack, {each: Variant(tuple(of[each] for of in made)) for each in names})


def _outcomes(trio: Trio, clean: Trio | None, summaries: Summaries) -> dict[str, AttackOutcome]:
    """By variant; those in which nobody has values are left out."""
    attack, task = attack_of(trio.own), task_of(trio.own)
    rule, beside = levels_of(attack, task), beside_of(attack, task)
    told = {variant: [_values(row, variant, summaries) for row in trio.three] for variant in variants_of([trio.own])}
    own, nothing, ideal = (summaries[row.row_id].values if clean else {} for row in (clean or trio).three)
    whole = Three(own, nothing, ideal) if clean else None
    before = costs_of(task, clean, "") if clean else None
    unable = tuple(unable_of(attack, trio))
    return {
        variant: AttackOutcome(
            trio, rule, beside, three_of(attack, rule, *values), whole, costs_of(task, trio, variant), before, unable,
            attack.two_sided,
        )
        for variant, values in told.items()
        if all(values)
    }  # fmt: skip


def _values(row: Row, variant: str, summaries: Summaries) -> Values:
    name = row.attack.name if row.attack else ""
    return values_of(name, variant, summaries[row.row_id].values)
