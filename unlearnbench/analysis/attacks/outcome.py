"""The outcome of an attack on one model: values beside its references', what it cost, and whether anything follows."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ...contracts import Attack, Task
from ...contracts.attack import Values
from ...errors import DataError, PluginError, UnlearnbenchError
from ...registry import attacks
from ...results.row import Row
from ..score.references import Records, Trio, task_of
from .costs import Costs, costs_of, unable_of
from .people.worst import worst
from .shares import Share, Three, exchanged, share

ONLY_SAID = ("prompt", "picture")
"""Access of those who see no more than what a model says: only the first level counts."""

Rule = Mapping[str, Sequence[str]]
"""Metrics by level."""

_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What attacks and tasks make of records that are not theirs, or of numbers that are none."""


class NoValues(DataError):
    """A model's answers give no values where both references' do."""


@dataclass(frozen=True)
class AttackOutcome:
    """What one variant of an attack found of a model on one seed, and what the same questions tell without an attack.

    The latter is ``clean``, by the metrics ``beside``; None where nothing of the kind was asked. ``unable`` are
    controls that say why nothing can be concluded, for instance that the model no longer learns anything.
    """

    trio: Trio
    rule: Rule
    beside: Rule
    three: Three
    clean: Three | None
    costs: Costs
    before: Costs | None
    """What had been lost without an attack; None where the models are not known without it."""
    unable: tuple[str, ...] = ()
    two_sided: bool = False

    @cached_property
    def levels(self) -> dict[str, Share]:
        """The shares of this seed by itself."""
        seed = self.trio.own.seed
        return {
            name: share(self.three, metrics, two_sided=self.two_sided, seed=seed) for name, metrics in self.rule.items()
        }


def outcomes(attacked: Trio, clean: Trio | None, records: Records) -> dict[str, AttackOutcome]:
    """By variant, what an attack found; raises an `UnlearnbenchError` where samples are not such as it makes.

    Without variants of which no model has a value that scores. `NoValues`: the method's own samples alone give none.
    """
    attack, task = attack_of(attacked.own), task_of(attacked.own)
    found = [by_variant(records(row)) for row in attacked.three]
    whole = [records(row) for row in clean.three] if clean else []
    rule, beside = levels_of(attack, task), beside_of(attack, task)
    made = {}
    for variant in found[0]:
        of = [each.get(variant, []) for each in found]
        three = _three(attack, task, rule, of)
        if three.is_empty:
            continue
        made[variant] = AttackOutcome(
            attacked,
            rule,
            beside,
            three,
            _clean(task, of[0], whole),
            costs_of(task, attacked, variant),
            costs_of(task, clean, "") if clean else None,
            tuple(unable_of(attack, attacked)),
            attack.two_sided,
        )
    return made


def together(found: Sequence[AttackOutcome], beside: Sequence[AttackOutcome] = ()) -> AttackOutcome:
    """The `worst` case of several on one model and seed; what any of them cost counts, and any control that fails.

    So it does of those ``beside`` them, whose values have no part in it. Without an attack stands what those questions
    tell that are most.
    """
    every = [*found, *beside]
    if len(every) == 1:
        return every[0]
    two_sided = any(each.two_sided for each in found)
    return replace(
        found[0],
        rule=_merged([each.rule for each in found]),
        beside=_merged([each.beside for each in found]),
        three=worst([each.three for each in found], apart=two_sided),
        clean=max((each.clean for each in found if each.clean), key=_size, default=None),
        costs=Costs.together([each.costs for each in every]),
        unable=tuple(dict.fromkeys(name for each in every for name in each.unable)),
        two_sided=two_sided,
    )


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


def levels_of(attack: Attack, task: Task) -> Rule:
    """The metrics by level: of those who see only what a model says the first level alone."""
    levels = attack.levels if attack.levels is not None else task.scored.levels
    return dict([*levels.items()][:1]) if attack.access in ONLY_SAID else levels


def beside_of(attack: Attack, task: Task) -> Rule:
    """The metrics by level of the same questions without the attack."""
    own = attack.levels is not None
    return {
        name: attack.clean.get(name, task.scored.levels.get(name, ())) if own else of
        for name, of in levels_of(attack, task).items()
    }


def that_count(attack: Attack, variants: Collection[str]) -> list[str]:
    """Of the variants that score, those that make its worst case: the one that is it, or all (`Attack.worst`)."""
    return [attack.worst] if attack.worst in variants else [*variants]


def by_variant(records: Sequence[Any]) -> dict[str, list[Any]]:
    """The records of each variant."""
    found: dict[str, list[Any]] = {}
    for record in records:
        if isinstance(record, Mapping):
            found.setdefault(str(record.get("variant", "")), []).append(record)
    return found


def _three(attack: Attack, task: Task, rule: Rule, found: Sequence[Sequence[Any]]) -> Three:
    """The values of one variant, made to be compared; raises `NoValues` or `DataError`."""
    own, nothing, ideal = (_values(attack, task, of) for of in found)
    if nothing is None or ideal is None:
        raise DataError("the samples of an attacked reference are not those of its attack")
    return three_of(attack, rule, own, nothing, ideal)


def three_of(attack: Attack, rule: Rule, own: Values | None, nothing: Values, ideal: Values) -> Three:
    """The values of all three as the attack compares them; raises `NoValues` or `DataError`."""
    if own is None or any(
        nothing.get(metric) and ideal.get(metric) and not own.get(metric)
        for metrics in rule.values()
        for metric in metrics
    ):
        raise NoValues("its answers give no values, where those of the attacked references do")
    if type(attack).compared is Attack.compared:
        return Three(own, nothing, ideal)

    def made(mine: Values, other: Values) -> Three:
        try:
            return Three(
                attack.compared(mine, other),
                attack.compared(nothing, ideal),
                attack.compared(other, other),
                lambda people: made(exchanged(own, ideal, people), exchanged(ideal, own, people)),
            )
        except _DAMAGED as error:
            raise DataError("the samples of an attacked row are not those of its attack") from error
        except Exception as error:
            raise _failed("compared", attack, error) from error

    return made(own, ideal)


def _failed(what: str, attack: Attack, error: Exception) -> UnlearnbenchError:
    """What a report says of an attack of which something failed that is not the samples' fault."""
    if isinstance(error, UnlearnbenchError):
        return error
    return PluginError(f"attack {attack.name!r}: its {what} failed: {type(error).__name__}: {error}")


def _values(attack: Attack, task: Task, records: Sequence[Any]) -> Values | None:
    """What an attack makes of a variant's records; None where it can't, or something is no finite number."""
    try:
        values = attack.values(task, records)
        fine = all(math.isfinite(value) for of in values.values() for each in of.values() for value in each)
    except _DAMAGED:
        return None
    except Exception as error:  # a plug-in's own; what other attacks found must not be lost by it
        raise _failed("values", attack, error) from error
    return values if fine else None


def _clean(task: Task, asked: Sequence[Any], whole: Sequence[Sequence[Any]]) -> Three | None:
    """What the questions that were asked under attack tell without one."""
    wanted = {(record.get("set"), record.get("id")) for record in asked}
    of = [[each for each in records if (each.get("set"), each.get("id")) in wanted] for records in whole]
    if not of or not all(of):
        return None
    try:
        own, nothing, ideal = map(task.by_question, of)
        return Three(own, nothing, ideal)
    except _DAMAGED as error:
        raise DataError("the samples of a row without an attack are not those of its task") from error


def _merged(rules: Sequence[Rule]) -> Rule:
    names = dict.fromkeys(name for rule in rules for name in rule)
    return {name: [*dict.fromkeys(metric for rule in rules for metric in rule.get(name, ()))] for name in names}


def _size(three: Three) -> int:
    return sum(len(values) for of in three.ideal.values() for values in of.values())
