"""What a store holds of a model's grid: a stage that is there takes no memory to be made.

It is looked up only when asked, and where there are bases in the store at all: to plan a grid takes seconds.
"""

from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from typing import Any

from ...config import BASE, RunConfig
from ...errors import UnlearnbenchError
from ..artefacts import Store
from ..planning import Plan, plan

Settings = dict[str, dict[str, tuple[Any, ...]]]


class InStore:
    """The stages of one model's cells that a store has."""

    def __init__(self, config: RunConfig, model: str, store: Store) -> None:
        self._config, self._store = config.model_copy(update={"models": (model,)}), store
        self._asked = False

    @property
    def unknown(self) -> bool:
        """Whether it was asked in vain: there are bases, and files are missing that would tell whether of this grid."""
        return self._asked and bool(self._store.made(BASE)) and not self._plans

    @cached_property
    def _plans(self) -> list[Plan]:
        if not self._store.made(BASE):
            return []
        try:
            return plan(self._config, self._store, dry=True, told=True)
        except UnlearnbenchError:  # what is wrong is said where all is planned
            return []

    def has(self, owners: Collection[str], settings: Settings) -> bool:
        """Whether all stages with parameters of these ``owners`` are there, ``settings`` being the grid's too."""
        self._asked = True
        plans = [_with(each, settings) for each in self._plans]
        stages = [stage for each in plans for stage in each.stages if stage.maker.owner in owners]
        return bool(stages) and all(stage.is_in(self._store) for stage in stages)


def _with(made: Plan, settings: Settings) -> Plan:
    """The plan as it would be with further settings."""

    def values(owner: str) -> dict[str, Any]:
        return {name: value for name, (value,) in settings.get(owner, {}).items()}

    methods = tuple(
        each._replace(params=each.params.model_copy(update=values(each.method.name))) for each in made.methods
    )
    return replace(made, base=made.base.model_copy(update=values(BASE)), methods=methods)
