"""An attacked cell's evaluation: every variant of the attacked model is asked, and what it answers is measured."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..contracts import Evaluation, Task
from ..contracts.attack import AS_IT_IS, Asking, named, of_variant
from ..contracts.sample import Query, Sample, Sets, clusters
from ..data.hub import cache_only
from ..errors import PluginError
from ..models.contract.gates import held
from ..registry import tasks
from ..runtime.atomic import atomic_write, require_writable
from ..runtime.run import Journal, Marked, Run
from .artefacts import PICTURES
from .handed import checked_evaluation, checked_records
from .keys import digest
from .planning import Aimed, Plan
from .stages import PRETRAINED

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..metrics.statistics import MetricValue
    from ..models.contract.vlm import VLM
    from .journal import JournalFile
    from .runner import Made, Ready, Runner


@dataclass(frozen=True)
class Attacked:
    """What was found, the stages that it was found in, and what asking noted; ``reused`` seconds were spent before."""

    evaluation: Evaluation
    made: "tuple[Made, ...]"
    notes: dict[str, Any]
    reused: float


@dataclass(frozen=True)
class Aim:
    """What the attack of a cell is aimed at (`unlearnbench.Target`)."""

    plan: Plan
    aimed: Aimed
    variant: str
    runner: "Runner"
    run: Run
    cost: Mapping[str, Any]
    others: "dict[str, Ready]" = field(default_factory=dict)
    """The models beside it that were asked for, by name: each is loaded once a cell."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the row says of the attack beside: the fingerprints of the data that scenes were of, if they were wanted."""

    @property
    def sets(self) -> Sets:
        """All of the task's."""
        return self.plan.attacked_sets

    @cached_property
    def victims(self) -> tuple[Sample, ...]:
        """As the attack names them."""
        return self.aimed.victims(self.sets)

    @cached_property
    def utility(self) -> tuple[Sample, ...]:
        """Half of them what else is known of the forgotten, the other half about others; the same for all methods."""
        return of_both_parts(self.plan.sets, self.aimed.params.utility)

    def records(
        self, model: "VLM", asked: Mapping[str, Sequence[Sample]], how: Asking = AS_IT_IS
    ) -> list[dict[str, Any]]:
        """What the task keeps of the answers; those behind a gate that is held are remembered by themselves."""
        asked_of = next((other.journal for other in self.others.values() if other.model is model), None)
        journal = _own(self.plan, self.aimed, asked_of) if asked_of else self.run.journal
        if how.gate:
            journal = Marked(journal, f"gate {how.gate}")
        with held(model, how.gate):
            return self.plan.task.answers(model, asked, self.plan.data, replace(self.run, journal=journal), how)

    @property
    def task(self) -> Task:
        """The cell's."""
        return self.plan.task

    def picture(self, recipe: object, make: "Callable[[], Image]") -> Path:
        """In the store, by the digest of the recipe."""
        path = self.runner.store.root / PICTURES / f"{digest(recipe)[:32]}.png"
        if not path.is_file():
            require_writable(path.parent, "--store")
            with atomic_write(path) as file:
                make().save(file)
        with suppress(OSError):
            path.parent.touch()  # when they were last used
        return path

    def other_views(self, samples: Iterable[Sample]) -> Mapping[str, Query]:
        """As the task has them."""
        return self.plan.task.other_views(self.plan.data, samples)

    def scenes(self) -> Mapping[str, Sequence[Path]]:
        """Those of all tasks without sets whose data are where the cell's are, each with its default options.

        A task that nobody has named fails no attack, whatever is wrong with it.
        """
        found: dict[str, Sequence[Path]] = {}
        known: dict[str, str] = self.facts.setdefault("scenes", {})
        for name in tasks.names():
            with suppress(Exception), cache_only():
                kind = tasks.get(name)
                if not kind.provides_sets and kind.pictures is not Task.pictures:
                    data = (task := kind(kind.Options())).load(self.plan.data_source, None)
                    found[name], known[name] = [*task.pictures(data)], data.fingerprint
        return found

    def beside(self, name: Literal["pretrained", "base"]) -> "VLM":
        """Another model of the cell's chain."""
        if name not in self.aimed.attack.needs:
            raise PluginError(f"attack {self.aimed.attack.name!r} asks for the {name} model: name it in its needs")
        if name not in self.others:
            stages = () if name == PRETRAINED else self.plan.base_stage.chain
            self.others[name] = self.runner.beside(self.plan, stages)
        return self.others[name].model


def of_both_parts(sets: Sets, most: int) -> tuple[Sample, ...]:
    """At most so many samples of the retain set, evenly spaced over its two parts, half of them of each.

    Evenly spaced over the whole, one in fifteen would be of the forgotten clusters, and what unlearning does to what
    else is known of them would rest on three questions. Where one part has fewer than its half, the other gives more.
    """
    others = min(len(sets.others), most - min(len(sets.nonprivate), most // 2))
    nonprivate = min(len(sets.nonprivate), most - others)
    parts = ((sets.nonprivate, nonprivate), (sets.others, others))
    return tuple(samples[place * len(samples) // count] for samples, count in parts for place in range(count))


def attacked(plan: Plan, runner: "Runner") -> Attacked:
    """Ask all variants of a cell's attacked model; raises `PluginError` for what an attack must not return."""
    aimed = plan.aimed
    assert aimed is not None  # it is an attacked cell
    places: list[int | None] = [None]
    if aimed.attack.changes():
        places = [*range(len(runner.made(plan)[-1].said["variants"]))]
    others: dict[str, Ready] = {}
    facts: dict[str, Any] = {}
    asked = [_asked(plan, aimed, runner, place, others, facts) for place in places]
    found = {name: records for each in asked for name, records in each.found.items()}
    notes = {name: note for each in asked for name, note in each.notes.items()}
    journals = [*(each.journal for each in asked), *(each.journal for each in others.values())]
    reused = sum(each.reused_seconds for each in journals)
    evaluation = evaluation_of(plan, aimed, found)
    return Attacked(replace(evaluation, facts=evaluation.facts | facts), asked[-1].made, notes, reused)


@dataclass(frozen=True)
class _Asked:
    """What came of a variant of the model; the model itself is not held, so that it may go before the next comes."""

    found: dict[str, list[dict[str, Any]]]
    made: "tuple[Made, ...]"
    notes: dict[str, Any]
    journal: "JournalFile"


def _asked(
    plan: Plan, aimed: Aimed, runner: "Runner", place: int | None, others: "dict[str, Ready]", facts: dict[str, Any]
) -> _Asked:
    """Ask the variant at this place of those that the attack has made, or the model that it leaves as it is."""
    ready = runner.ready(plan, place)
    variant = "" if place is None else str(ready.made[-1].said["variants"][place])
    run = Run(plan.cell.seed, runner.progress, journal=_own(plan, aimed, ready.journal))
    aim = Aim(plan, aimed, variant, runner, run, _cost(plan, ready.made), others, facts)
    with runner.unaltered(f"attack {aimed.attack.name!r}: ask"):
        told = aimed.made.ask(ready.model, aim, run)
    found = {named((variant, name)): records for name, records in checked_records(aimed.made, told).items()}
    notes = {f"{variant}: {name}" if variant else name: note for name, note in run.notes.items()}
    return _Asked(found, ready.made, notes, ready.journal)


def _own(plan: Plan, aimed: Aimed, journal: Journal) -> Journal:
    """The part of a model's journal that is an attack's own.

    What is found beside one base is not taken for what is found beside another; and one that alters the model while it
    asks, and puts it back unseen, spoils no answers but its own.
    """
    asker = [aimed.attack.name, aimed.attack.version, aimed.code or "", *(each.digest for each in plan.beside)]
    return Marked(journal, " ".join(["asked by", *asker]))


def _cost(plan: Plan, made: "Sequence[Made]") -> Mapping[str, Any]:
    """What the stage took that the attack is aimed at."""
    return next(each.said["cost"] for each in reversed(made) if each.stage.digest == plan.unlearned.digest)


def evaluation_of(plan: Plan, aimed: Aimed, found: Mapping[str, list[dict[str, Any]]]) -> Evaluation:
    """The records of all variants, each with the name of its own, and the metrics of each variant."""
    records = list[dict[str, Any]]()
    metrics: dict[str, MetricValue] = {}
    for variant, own in found.items():
        checked = checked_evaluation(plan.task, Evaluation(own, aimed.made.measured(plan.task, own)))
        records += [{**record, "variant": variant} for record in checked.records]
        metrics |= {of_variant(name, variant): value for name, value in checked.metrics.items()}
    metrics |= checked_evaluation(plan.task, Evaluation([], aimed.made.overall(plan.task, found))).metrics
    victims = aimed.victims(plan.attacked_sets)
    facts = {"variants": [*found], "people": len(clusters(victims)), "questions": len(victims)}
    return Evaluation(records, metrics, facts)
