"""A target for attacks that are tried without a grid: all sets of loaded data, asked by their task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unlearnbench import VLM, Asking, Attack, Run, Sample


@dataclass(frozen=True)
class Aimed:
    """What an attack is aimed at; ``others`` makes the models beside it, by name."""

    attack: Attack
    task: Any
    data: Any
    utility: tuple[Sample, ...] = ()
    others: Mapping[str, Callable[[], VLM]] = field(default_factory=dict)
    variant: str = ""

    @property
    def sets(self) -> Any:
        return self.task.sets(self.data)

    @property
    def victims(self) -> tuple[Sample, ...]:
        return self.attack.victims(self.sets)

    def records(self, model: VLM, asked: Mapping[str, Sequence[Any]], how: Asking = Asking()) -> list[dict[str, Any]]:  # noqa: B008
        found: list[dict[str, Any]] = self.task.answers(model, asked, self.data, Run(), how)
        return found

    def beside(self, name: str) -> VLM:
        return self.others[name]()
