"""What rows must fulfil to stand on a leaderboard, as far as rows alone can tell; `check` computes metrics again."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..analysis.facts import Facts, as_text
from ..analysis.lines import Line, Replicate, replicate
from ..analysis.score.levels import gives_away, knowing
from ..metrics.direction import direction_of
from ..results.row import Row
from ..training.params import kind_of
from .attacks.rows import AttackedRows, faults, misfits_of
from .definition import AtLeast, Board, ColumnRule, Definition, ModelRule, SplitRule, TaskRule
from .editions import on_several, trained_elsewhere
from .standings import essential, lines
from .submission import Problem, RowSummary, Submission
from .values import Values

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LARGEST = 1e15
"""Of a cost, in seconds, bytes or parameters: beyond it nothing was measured."""


def problems(board: Board, submissions: Sequence[Submission]) -> list[Problem]:
    """Everything that is wrong with a leaderboard's rows; none in an empty one.

    What makes single rows unfit ends the examination, as nothing can be said of them together.
    """
    found = [problem for each in submissions for problem in each.problems]
    found += [problem for each in submissions for problem in _of_header(board, each)]
    placed = [(each.where(row.row_id), row) for each in submissions for row in each.rows]
    found += [Problem(where, what) for where, row in placed for what in misfits(board, row)]
    found += [Problem(each.where(row_id), what) for each in submissions for row_id, what in _of_examples(each)]
    if found or not placed:
        return found
    if found := [*_twice(placed)]:
        return found
    summaries = {row_id: summary for each in submissions for row_id, summary in each.summaries.items()}
    where = {row.row_id: at for at, row in placed}
    if found := [*on_several(board.definition, placed)]:
        return found
    rows = [row for _, row in placed]
    groups, attacked = lines(rows), AttackedRows(map(essential, rows))
    for model, of in groups.items():
        found += _Together(board, model, of, where, summaries).problems()
    in_lines = [line for of in groups.values() for line in of if line.rows]
    return found or [
        Problem(where[row_id], what) for row_id, what in faults(board.definition, in_lines, attacked, summaries)
    ]


def _of_header(board: Board, submission: Submission) -> Iterator[Problem]:
    header = submission.header
    if header is not None and header.board != board.name:
        yield Problem(submission.path.name, f"was made for the leaderboard {header.board[:80]!r}, not {board.name!r}")


def misfits(board: Board, row: Row) -> Iterator[str]:
    """What is wrong with a row by itself."""
    if row.status != "ok":
        yield f"status {row.status}: only what was computed can stand here"
    if not _NAME.fullmatch(row.method.name):
        yield f"method {row.method.name[:80]!r}: not a name that a plug-in can have"
    yield from misfits_of(board.definition, row)
    if row.samples is not None and _leads_out(row.samples.path):
        yield f"samples.path {row.samples.path[:80]!r} leads out of its folder"
    for name, value in row.cost:
        if isinstance(value, int | float) and not 0 <= value <= _LARGEST:
            yield f"cost.{name}: {value:g} is not plausible"
    for name, metric in row.metrics.items():
        if any(value is not None and abs(value) > _LARGEST for value in (metric.value, metric.ci_low, metric.ci_high)):
            yield f"{name[:80]}: {metric.value:g} is not plausible"
    yield from _of_role(board.definition, row)
    if row.seed not in board.definition.seeds:
        yield f"seed {row.seed} is none of this leaderboard's: {_listed(board.definition.seeds)}"
    model, task = board.definition.models.get(row.model.name), board.definition.tasks.get(row.task.name)
    if model is None or task is None:
        kind, name = ("model", row.model.name) if model is None else ("task", row.task.name)
        yield f"{kind} {name[:80]!r} is not on this leaderboard"
        return
    yield from _unlike_model(model, row)
    yield from _unlike_task(task, row)
    yield from trained_elsewhere(board.definition, row)
    for column in board.definition.columns:
        yield from _unlike_column(column, row)


def _of_role(rule: Definition, row: Row) -> Iterator[str]:
    """Only the leaderboard says what is a reference, and every method whether it leaves the weights alone."""
    references = (rule.references.nothing, rule.references.ideal, *rule.references.also)
    if (row.method.role == "reference") is not (row.method.name in references):
        yield f"role {row.method.role!r}: this leaderboard's references are {', '.join(references)}"
    if row.method.role == "method" and row.method.frozen_weights is None:
        yield "frozen_weights is not told: run the method with this version, and add the results again"
    if other := row.method.continues:
        yield f"it goes on with what {other.name!r} has unlearned, and is no method's own result: leave it out"


def _of_examples(submission: Submission) -> Iterator[tuple[str, str]]:
    """Pictures that are said to lie elsewhere than with the data, with the row's id."""
    for row_id, summary in submission.summaries.items():
        for example in summary.examples:
            if example.image is not None and _leads_out(example.image):
                yield row_id, f"the picture {example.image[:80]!r} leads out of the data's folder"


def _leads_out(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts


def _unlike_model(rule: ModelRule, row: Row) -> Iterator[str]:
    for name in ("family", "weights_digest", "revision", "dtype"):
        yield from _unlike(f"model.{name}", getattr(rule, name), getattr(row.model, name))
    params = (row.base or {}).get("params")
    for name, wanted in rule.base.items():
        if params is not None:
            yield from _unlike(f"base.{name}", wanted, _dotted(params, name))
    if rule.bases and isinstance(params, dict):
        yield from _none_of("base.kind", rule.bases, kind_of(params))


def _unlike_task(rule: TaskRule, row: Row) -> Iterator[str]:
    yield from _unlike("task.version", rule.version, row.task.version)
    if rule.split is not None:
        yield from _unlike_split(rule.split, row)
    for name in ("source", "id", "revision"):
        yield from _unlike(f"task.data.{name}", getattr(rule.data, name), getattr(row.task.data, name))
    if rule.data.fingerprint:
        yield from _none_of("task.data.fingerprint", rule.data.fingerprint, row.task.data.fingerprint)
    for name, wanted in rule.options.items():
        yield from _unlike(f"task.options.{name}", wanted, row.task.options.get(name))
    if row.task.protocol.get("limited"):
        yield "only some of the questions were asked: run without a limit"


def _unlike_split(rule: SplitRule, row: Row) -> Iterator[str]:
    """By the digest of the people of the row's seed; rows of schema 1 have a sentence alone."""
    split = row.task.split
    if split is not None and split.digest is None:
        yield from _none_of("task.split", rule.schema_1, split.name)
        return
    for name in ("identities", "of"):
        yield from _unlike(f"task.split.{name}", getattr(rule, name), getattr(split, name, None))
    if wanted := rule.digest_of(row.seed):
        yield from _none_of("task.split.digest", [wanted], split.digest if split else None)


def _none_of(name: str, wanted: Sequence[str], found: str | None) -> Iterator[str]:
    if found not in wanted:
        one = " or ".join(map(as_text, wanted))[:180] or "one with the digest of its people (schema 2)"
        yield f"{name} is {as_text(found)[:80]}, and this leaderboard wants {one}"


def _unlike_column(column: ColumnRule, row: Row) -> Iterator[str]:
    metric = row.metrics.get(column.metric)
    if column.direction == "neither":  # the leaderboard may leave open what the metric does not
        return
    if metric is None:
        return
    known = direction_of(row.task.name, column.metric, metric.higher_is_better)
    if known != column.best:
        yield f"{column.metric}: best is {known or 'neither side'}, and the leaderboard says {column.direction}"


def _unlike(name: str, wanted: Any, found: Any) -> Iterator[str]:
    if wanted is not None and as_text(wanted) != as_text(found):
        yield f"{name} is {as_text(found)[:80]}, and this leaderboard wants {as_text(wanted)[:80]}"


def _dotted(params: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, dict) else None  # type: ignore[assignment]
    return params


def _twice(placed: Sequence[tuple[str, Row]]) -> Iterator[Problem]:
    """Rows that are there already: the same cell, or the same method, settings and seeds under another id."""
    known = Facts()
    cells: dict[str, str] = {}
    replicates: dict[tuple[object, ...], str] = {}
    for (where, row), plain in zip(placed, [essential(row) for _, row in placed], strict=True):
        attack = as_text([row.attack.name, row.attack.params]) if row.attack else ""
        what = (known.method(plain), known.task(plain), replicate(row), attack)
        if row.row_id in cells:
            yield Problem(where, f"row {row.row_id} is there already, in {cells[row.row_id]}: keep one of them")
        elif what in replicates:
            same = f"{row.method.name} {row.task.name} seed {row.seed}"
            yield Problem(where, f"{same} is there already, in {replicates[what]}, with the same settings: keep one")
        cells.setdefault(row.row_id, where)
        replicates.setdefault(what, where)


def shortcomings(board: Board, line: Line) -> Iterator[str]:
    """Tasks and seeds that a line lacks."""
    tasks = defaultdict[Replicate, set[str]](set)
    for row in line.rows:
        tasks[replicate(row)].add(row.task.name)
    for seeds, of in sorted(tasks.items()):
        if missing := [name for name in board.definition.tasks if name not in of]:
            yield f"{_called(line)} seed {seeds[0]} has no row of {', '.join(missing)}"
    wanted, there = board.definition.seeds, [seed for seed, _ in tasks]
    if lacking := [seed for seed in wanted if seed not in there]:
        yield f"{_called(line)} lacks seed {_listed(lacking)}, and this leaderboard wants {_listed(wanted)}"
    if twice := [seed for seed in wanted if there.count(seed) > 1]:
        yield f"{_called(line)} has seed {_listed(twice)} on several base seeds: keep one"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


class _Together:
    """What the rows on one model must fulfil together."""

    def __init__(
        self,
        board: Board,
        model: str,
        lines: Sequence[Line],
        where: Mapping[str, str],
        summaries: Mapping[str, RowSummary],
    ) -> None:
        self.board, self.rule = board, board.definition
        self.model, self.where, self.summaries = model, where, summaries
        self.lines = [line for line in lines if line.rows]
        self.values = {id(line): Values(line, summaries) for line in self.lines}

    def problems(self) -> list[Problem]:
        """In the order in which a submitter would mend them."""
        references, missing = self._references()
        if missing:
            return missing
        nothing, ideal = references
        disagreeing = [*self._disagreeing(nothing, ideal)]
        if disagreeing:
            return disagreeing
        found = [problem for line in self.lines for problem in self._repeated(line)]
        found += [problem for line in self.lines for problem in self._incomplete(line)]
        found += [problem for line in self.lines for problem in self._alone(line, nothing, ideal)]
        if found:
            return found
        ranking = self.rule.ranking
        found = [*self._falls_short(nothing, ranking.memorised, "has not memorised the forget set")]
        found += self._falls_short(ideal, ranking.learned, "has not learned what is to be kept")
        return [*found, *self._not_to_tell(nothing, ideal)]

    def _references(self) -> tuple[list[Line], list[Problem]]:
        found, missing = [], []
        for name in (self.rule.references.nothing, self.rule.references.ideal):
            lines = [line for line in self.lines if line.method == name]
            if len(lines) == 1:
                found.append(lines[0])
            elif not lines:
                missing.append(Problem(self.model, f"no rows of the reference {name!r}: nothing can be ranked without"))
            else:
                at = " and ".join(self._where(line) for line in lines[:2])
                missing.append(Problem(self.model, f"rows of {name!r} in different settings, in {at}: keep one"))
        return found, missing

    def _disagreeing(self, nothing: Line, ideal: Line) -> Iterator[Problem]:
        """What all rows must share with those of the reference that does nothing."""
        base = (nothing.rows[0].base or {}).get("params")
        alike = {row.task.name: row for row in reversed(nothing.rows)}
        people = {(row.task.name, replicate(row)): row.task.split for row in nothing.rows}
        for row in (row for line in self.lines for row in line.rows):
            first = alike.get(row.task.name)
            if first is not None:
                same = people.get((row.task.name, replicate(row)), row.task.split)
                if (row.task.split and row.task.split.key) != (same and same.key):
                    what = f"task.split is not that of its reference {nothing.method!r} on the same seed"
                    yield Problem(self.where[row.row_id], what)
                for name, wanted in _shared(first).items():
                    if as_text(found := _shared(row)[name]) != as_text(wanted):
                        what = f"{name} is {as_text(found)[:80]}, and its reference {nothing.method!r} has"
                        yield Problem(self.where[row.row_id], f"{what} {as_text(wanted)[:80]}")
            if row.base is not None and as_text(row.base.get("params")) != as_text(base):
                what = f"its base was trained with other hyperparameters than that of {nothing.method!r}"
                yield Problem(self.where[row.row_id], what)
        known = base is not None and not (nothing.rows[0].base or {}).get("elsewhere")  # else nobody can tell
        if known and as_text(ideal.rows[0].method.params) != as_text(base):
            what = f"trained with other hyperparameters than the base of {nothing.method!r}: it is no ideal for that"
            yield Problem(self._where(ideal), what)

    def _repeated(self, line: Line) -> Iterator[Problem]:
        """Seeds that came from several files, or have the very same samples."""
        samples: dict[str, Row] = {}
        ranked = {name.partition(".")[0] for name in self.rule.ranking.forgetting}
        for row in line.rows if line.is_method else ():
            where, what = self.where[row.row_id], f"{line.method} {row.task.name} seed {row.seed}"
            if where.partition(":")[0] != self._where(line).partition(":")[0]:
                yield Problem(
                    where, f"{what}: other seeds came in {self._where(line)}; send all of a method in one file"
                )
            if row.samples is None or not any(name.partition(".")[0] in ranked for name in row.metrics):
                continue
            first = samples.setdefault(row.samples.sha256, row)
            if replicate(first) != replicate(row):
                yield Problem(where, f"{what} has the very samples of seed {first.seed}: run it")

    def _incomplete(self, line: Line) -> Iterator[Problem]:
        """Tasks, seeds and values that a line lacks."""
        for what in shortcomings(self.board, line):
            yield Problem(self._where(line), what)
        for row in line.rows:
            yield from self._valueless(row)

    def _valueless(self, row: Row) -> Iterator[Problem]:
        """What the ranking needs of a row and does not find."""
        ranking, name = self.rule.ranking, row.task.name
        for column in self.rule.columns:
            metric = row.metrics.get(column.metric)
            if (
                column.metric in (*ranking.forgetting, *ranking.conditions)
                and metric is not None
                and metric.value is None
            ):
                yield Problem(self.where[row.row_id], f"{column.metric} has no value ({metric.reason}), and ranks here")
        values = self.summaries[row.row_id].values if row.row_id in self.summaries else {}
        for metric_name in ranking.told:
            if metric_name in row.metrics and not values.get(metric_name):
                what = f"{metric_name} cannot be scored: task {name!r} must give its values in by_question"
                yield Problem(self.where[row.row_id], what)

    def _alone(self, line: Line, nothing: Line, ideal: Line) -> Iterator[Problem]:
        """Replicates whose references are missing, and metrics that no row has."""
        values = self.values[id(line)]
        for reference in (nothing, ideal):
            for seeds in values.replicates:
                if seeds not in self.values[id(reference)].metrics:
                    what = f"{_called(line)} seed {seeds[0]} has no {reference.method!r} on base seed {seeds[1]}"
                    yield Problem(self._where(line), f"{what}: all methods go by the bases of the references")
        ranking = self.rule.ranking
        for name in dict.fromkeys((*self.rule.thresholds, *ranking.forgetting, *ranking.conditions)):
            if any(name not in metrics for metrics in values.metrics.values()):
                yield Problem(self._where(line), f"{_called(line)} has no {name}, and it ranks here")
        for name in ranking.told:
            for seeds in values.replicates:
                own, asked = (_counted(self.values[id(each)].of[seeds].get(name, {})) for each in (line, nothing))
                if own != asked and seeds in self.values[id(nothing)].metrics:
                    what = f"{_called(line)} seed {seeds[0]}: {name} has values of other questions than"
                    yield Problem(self._where(line), f"{what} {nothing.method!r}")

    def _falls_short(self, reference: Line, wanted: AtLeast, what: str) -> Iterator[Problem]:
        """Seeds of a reference that know too little."""
        values = self.values[id(reference)]
        for seeds in values.replicates:
            known = values.metrics[seeds][wanted.metric]
            if known is None or known < wanted.at_least:
                whose = f"{reference.method} of seed {seeds[0]} {what}"
                yield Problem(self._where(reference), f"{whose}: {wanted.metric} is {known}, not {wanted.at_least}")

    def _not_to_tell(self, nothing: Line, ideal: Line) -> Iterator[Problem]:
        """Metrics in which the references do not differ as they must for a score."""
        of, to = self.values[id(nothing)], self.values[id(ideal)]
        sides = {column.metric: column.higher_is_better for column in self.rule.columns}
        for seeds in of.replicates:
            for name in self.rule.ranking.forgetting:
                base, aim = of.of[seeds][name], to.of[seeds][name]
                more = gives_away(name, base, aim)
                wrong_way = sides[name] is not None and sides[name] is (knowing(name, base, aim) > 0)
                if wrong_way or not more >= self.rule.ranking.least_gap:
                    gap = 0.0 if wrong_way else more
                    what = f"the ideal is only {gap:.3f} better than doing nothing in {name}, and a score needs"
                    where = f"(seed {seeds[0]} on base seed {seeds[1]})"
                    yield Problem(self._where(ideal), f"{what} {self.rule.ranking.least_gap} {where}")

    def _where(self, line: Line) -> str:
        return self.where[line.rows[0].row_id]


def _shared(row: Row) -> dict[str, Any]:
    """What two rows of one task on one model must share to be compared; `lines` left out what may differ."""
    data = row.task.data
    return {
        "model.weights_digest": row.model.weights_digest,
        "model.revision": row.model.revision,
        "model.template_digest": row.model.template_digest,
        "model.dtype": row.model.dtype,
        "task.version": row.task.version,
        "task.split": row.task.split.setting if row.task.split else None,
        "task.data": [data.id, data.revision, data.fingerprint],
        "task.options": row.task.options,
        "task.protocol": row.task.protocol,
    }


def _counted(values: Mapping[str, Sequence[float]]) -> dict[str, int]:
    return {cluster: len(each) for cluster, each in values.items()}


def _called(line: Line) -> str:
    return f"{line.method} on {line.model}"
