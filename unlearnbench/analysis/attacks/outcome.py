"""The outcome of an attack on one model: shares, what it cost in utility, and whether anything can be concluded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...contracts import Attack, Task
from ...contracts.attack import Values, of_variant
from ...contracts.scored import LEAST_GAP
from ...errors import DataError
from ...registry import attacks
from ...results.row import Row
from ..score.conditions import SLACK, keeps, lost
from ..score.references import Records, Trio, task_of
from .shares import Share, Three, share

ONLY_SAID = ("prompt", "picture")
"""Access of those who see no more than what a model says: only the first level counts."""


@dataclass(frozen=True)
class AttackOutcome:
    """What one variant of an attack brought back of a model, and of the same questions without an attack (``clean``).

    ``lost`` are conditions that the attacked model breaks and the attacked references keep; ``unable`` are controls
    that say why nothing can be concluded, for instance that the model no longer learns anything.
    """

    levels: dict[str, Share]
    clean: dict[str, Share]
    lost: tuple[str, ...] = ()
    unable: tuple[str, ...] = ()


def outcomes(attacked: Trio, clean: Trio | None, records: Records) -> dict[str, AttackOutcome]:
    """By variant, what an attack brought back; raises an `UnlearnbenchError` where samples are not such as it makes.

    Without variants of which no model has a value that scores.
    """
    attack, task = attack_of(attacked.own), task_of(attacked.own)
    found = [by_variant(records(row)) for row in attacked.three]
    whole = [records(row) for row in clean.three] if clean else []
    made = {
        variant: _outcome(attack, task, attacked, variant, [each.get(variant, []) for each in found], whole)
        for variant in found[0]
    }
    return {variant: outcome for variant, outcome in made.items() if outcome is not None}


def attack_of(row: Row) -> Attack:
    """The attack with the parameters that a row names; raises `DataError` where there is none such."""
    told = row.attack
    assert told is not None  # it is an attacked row
    kind = attacks.get(told.name)
    if kind.version != told.version:
        raise DataError(f"made by version {told.version} of the attack, and here is version {kind.version}")
    try:
        return kind(kind.Params.model_validate(told.params))
    except ValueError as error:
        raise DataError(f"the attack {told.name} has no such parameters: {error}") from None


def levels_of(attack: Attack, task: Task) -> Mapping[str, Sequence[str]]:
    """The metrics by level: of those who see only what a model says the first level alone."""
    levels = attack.levels if attack.levels is not None else task.scored.levels
    return dict([*levels.items()][:1]) if attack.access in ONLY_SAID else levels


def by_variant(records: Sequence[Any]) -> dict[str, list[Any]]:
    """The records of each variant."""
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(str(record.get("variant", "")), []).append(record)
    return found


def _outcome(
    attack: Attack, task: Task, trio: Trio, variant: str, found: Sequence[list[Any]], whole: Sequence[Sequence[Any]]
) -> AttackOutcome | None:
    rule, seed = levels_of(attack, task), trio.own.seed
    ideal = _three(lambda records: attack.values(task, records), found).ideal
    three = _three(lambda records: attack.compared(attack.values(task, records), ideal), found)
    if three.is_empty:
        return None
    levels = {name: share(three, metrics, two_sided=attack.two_sided, seed=seed) for name, metrics in rule.items()}
    asked = {(record["set"], record.get("id")) for record in found[0] if "set" in record}
    untouched = [[each for each in records if (each.get("set"), each.get("id")) in asked] for records in whole]
    clean = _three(task.by_question, untouched) if all(untouched) and untouched else None
    # What an attack measures by metrics of its own stands beside the task's level of that name.
    own = task.scored.levels if attack.levels is not None else {name: each.metrics for name, each in levels.items()}
    return AttackOutcome(
        levels,
        {name: share(clean, own.get(name, ()), two_sided=False, seed=seed) for name in levels} if clean else {},
        tuple(lost_of(task, trio, variant)),
        tuple(unable_of(attack, trio, variant)),
    )


def _three(values: Callable[[Sequence[Any]], Values], found: Sequence[Sequence[Any]]) -> Three:
    try:
        return Three(*map(values, found))
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # what is made of damaged records
        raise DataError("the samples of an attacked row are not those of its attack") from error


def _value(row: Row, metric: str) -> float | None:
    return row.metrics[metric].value if metric in row.metrics else None


def lost_of(task: Task, trio: Trio, variant: str) -> list[str]:
    """The conditions that the attacked model breaks for sure, by few questions: twice the tolerance."""
    found = []
    for metric, tolerance in task.scored.conditions.items():
        name = of_variant(metric, variant)
        own, nothing, ideal = (_value(row, name) for row in trio.three)
        if nothing is None or ideal is None:
            continue
        if own is None:  # the references have it, so it was asked: what says nothing is no answer
            found.append(metric)
            continue
        higher = trio.own.metrics[name].higher_is_better is not False
        loss = lost(np.array([own]), np.array([nothing]), np.array([ideal]), [higher])
        if not keeps(loss, np.array([SLACK * tolerance]))[0]:
            found.append(metric)
    return found


def unable_of(attack: Attack, trio: Trio, variant: str) -> list[str]:
    """The controls in which the attacked model falls too far behind the retrained one, or that show nothing there."""
    found = []
    for metric, least in attack.controls.items():
        own, _, ideal = (_value(row, metric) for row in trio.three)
        if own is None or ideal is None or ideal < LEAST_GAP or own < least * ideal:
            found.append(metric)
    return found
