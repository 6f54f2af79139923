"""Whether a grid fits a machine: which kind of base is taken where none is asked for, what is said, what is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...config import BASE, Cell, RunConfig, cells
from ...contracts.footprint import Workload
from ...errors import UsageError
from ...models.files.card import ModelCard
from ...models.files.source import card_for
from ...training.params import BASES, BaseParams, kind_of
from ..artefacts import Store
from ..planning import Chosen
from ..planning.parameters import aimed, parameters
from .advice import SMALL_RANK, Counted, advised, asking, larger, of_base, of_method
from .counts import counts
from .estimate import SPARE, Estimate, Machine, evaluation
from .in_store import InStore, Settings
from .machine import GB

DECIDES = {"full", "optimiser", "weights"}
"""What settles how weights are trained: where the command sets one of these, nothing is chosen."""

AT_ONCE = (None, 4, 1)
"""Samples at a time that are tried, None for what the parameters say: the batches, and so the maths, stay the same."""

TOLD = {
    "full": "all weights, AdamW in float32",
    "8bit": "all weights, 8-bit states",
    "offload": "all weights, float32 states in the CPU's memory",
    "lora": "an adapter that is merged",
}
"""What a kind of base is."""

EMBEDDED = Workload(pairs=1_200, forget=96, pictures=60, flagged=8, prompt=27, answer=15)
"""A default run on the embedded data, and how many tokens its texts have for the embedded models."""

Try = tuple[str, dict[str, Any], Estimate]
"""A kind of base, the parameters that make it, and what it takes."""


@dataclass
class Findings:
    """What a look at one model has found: lines to say, settings to add, what makes it impossible, a base in store."""

    lines: list[str] = field(default_factory=list)
    settings: Settings = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    stored: bool = False


@dataclass(frozen=True)
class Settled:
    """A grid with what was chosen for its models, lines that say it, and what does not fit, with what would.

    ``stored`` are the models whose bases were taken from the store, ``unknown`` whether it may hold more than can be
    told before all files are here.
    """

    config: RunConfig
    lines: list[str]
    problems: list[str]
    stored: frozenset[str] = frozenset()
    unknown: bool = False


def choose(config: RunConfig, machines: Mapping[str, Machine]) -> tuple[RunConfig, list[str]]:
    """The grid with what was chosen for its models, and lines that say it; ``machines`` are those to count, by model.

    Raises `UsageError` where a stage of a model does not fit whatever is cut, saying what would.
    """
    made = settle(config, machines)
    if made.problems:
        raise UsageError("; ".join(made.problems))
    return made.config, made.lines


def settle(config: RunConfig, machines: Mapping[str, Machine], store: Store | None = None) -> Settled:
    """The same, what does not fit being told beside it; what is in the ``store`` need not fit."""
    kept = {name: InStore(config, name, store) if store else None for name in machines}
    found = {name: _Model(config, name, machine, kept[name]).look() for name, machine in machines.items()}
    of_model = config.of_model | {name: each.settings for name, each in found.items() if each.settings}
    return Settled(
        config.model_copy(update={"of_model": of_model}),
        [line for each in found.values() for line in each.lines],
        [*dict.fromkeys(problem for each in found.values() for problem in each.problems)],
        stored=frozenset(name for name, each in found.items() if each.stored),
        unknown=any(each.unknown for each in kept.values() if each),
    )


class _Model:
    """One model of a grid on a machine."""

    def __init__(self, config: RunConfig, name: str, machine: Machine, kept: InStore | None) -> None:
        self.config, self.name, self.machine, self.kept = config, name, machine, kept
        self.card: ModelCard = card_for(name)
        self.count = counts(self.card)
        self.work = workload(self.card)
        self.cells = [cell for cell in cells(config) if cell.model == name]
        self.found = Findings()

    def look(self) -> Findings:
        """Go through the stages, each once."""
        bases, methods = self._stages()
        alike = [name for name, those in methods.items() if issubclass(those[0].method.Params, BaseParams)]
        starts = any(each.method.start == BASE for those in methods.values() for each in those)
        finetuned = {BASE: bases} if bases and (starts or alike) else {}
        finetuned |= {name: self._counted(name, methods[name]) for name in alike}
        if finetuned:
            self._base(finetuned)
        for name, those in methods.items():
            if name not in alike or (self._decided(name) and not self._decided(next(iter(finetuned)))):
                self._method(name, self._counted(name, those))
        for name, counted in self._attacks().items():
            self._method(name, counted)
        self._asking()
        return self.found

    def _attacks(self) -> dict[str, list[Counted]]:
        """The attacks that change a model, each once."""
        found: dict[str, list[Counted]] = {}
        for cell in self.cells:
            each = aimed(cell, self.card, ())
            if each is not None and each.attack.changes():
                those = found.setdefault(each.attack.name, [])
                if all(other.params != each.params for other in those):
                    those.append(
                        of_method(each.attack.name, each.attack, each.params, self.count, self.machine, self.work)
                    )
        return found

    def _stages(self) -> tuple[list[Counted], dict[str, list[Chosen]]]:
        """The bases that are finetuned here and the methods that the grid has, each once."""
        bases, methods = list[BaseParams](), dict[str, list[Chosen]]()
        for cell in self.cells:
            chosen, base = parameters(cell, self.card, self.config)
            if isinstance(base, BaseParams) and base not in bases:
                bases.append(base)
            for each in chosen:
                those = methods.setdefault(each.method.name, [])
                those += [each] * (each not in those)
        return [of_base(base, self.count, self.machine, self.work) for base in bases], methods

    def _counted(self, name: str, those: Sequence[Chosen]) -> list[Counted]:
        return [of_method(name, each.method, each.params, self.count, self.machine, self.work) for each in those]

    # ----------------------------------------------------------------------------------------------------- the base
    def _base(self, finetuned: Mapping[str, Sequence[Counted]]) -> None:
        """Choose the kind of base, or check the one that is asked for; methods that finetune as it does go with it.

        The first of those that are ``finetuned`` counts for all.
        """
        leader, counted = next(iter(finetuned.items()))
        decided = self._decided(leader)
        kinds = [kind_of(counted[0].params.model_dump())] if decided else [*BASES]
        tried = [
            (kind, *each) for kind in kinds for each in self._tries(counted, {} if decided else BASES[kind], leader)
        ]
        known = [each for each in tried if each[2].known]
        if not known:
            return
        fitting = next((each for each in known if each[2].fits), None)
        if stored := self._stored(finetuned, known, fitting):
            self.found.stored = True
            self._say_stored(leader, stored, fitting)
        elif fitting:
            first = min((each for each in known if each[0] == known[0][0]), key=lambda each: each[2].total)
            self._say_base(leader, fitting, first, counted)
        else:
            self.found.problems.append(self._no_base(finetuned, known, decided=decided))
            return
        taken = stored or fitting
        self.found.settings |= self._settings(finetuned, taken[1]) if taken else {}

    def _settings(self, finetuned: Mapping[str, Sequence[Counted]], update: Mapping[str, Any]) -> Settings:
        """What makes this kind of all that finetunes as the base does, unless the command says how it does."""
        changed = {
            owner: {name: (value,) for name, value in update.items() if getattr(those[0].params, name) != value}
            for owner, those in finetuned.items()
            if not self._decided(owner)
        }
        return {owner: values for owner, values in changed.items() if values}

    def _stored(
        self, finetuned: Mapping[str, Sequence[Counted]], tried: Sequence[Try], fitting: Try | None
    ) -> Try | None:
        """The first kind of which all is in the store, no weaker than what fits; none where that is there itself.

        All of it, for every seed, so that all rows of a run are of one kind.
        """
        kinds = [*dict.fromkeys(each[0] for each in tried)]
        up_to = kinds.index(fitting[0]) if fitting else len(kinds)
        candidates = [each for each in tried if kinds.index(each[0]) < up_to]
        candidates += [fitting] if fitting else []
        candidates += [each for each in tried if fitting and each[0] == fitting[0] and each is not fitting]
        kept = self.kept
        if kept is None or fitting is tried[0]:
            return None
        found = next((each for each in candidates if kept.has(finetuned, self._settings(finetuned, each[1]))), None)
        return None if found is fitting else found

    def _say_base(self, leader: str, fitting: Try, first: Try, counted: Sequence[Counted]) -> None:
        kind, update, made = fitting
        few = f", {update['micro_batch_size']} samples at a time" if "micro_batch_size" in update else ""
        gpus = [each for each in self._gpus_for(counted) if each <= self.machine.gpus]
        more = f", and fits the GPUs here with --gpus {gpus[0]}" if gpus else ""
        why = "" if first[0] == kind else f"; {first[0]} would take {_gb(first[2].total)}{more}"
        what = f"{leader} {kind} ({TOLD.get(kind, kind)}{few})"
        self.found.lines.append(f"{self.name}: {what}: {_counted(made)}{why}")

    def _gpus_for(self, counted: Sequence[Counted]) -> list[int]:
        """On how many more GPUs a base of all weights in float32 would fit, cut up among them."""
        gpus = () if self.machine.kind == "cpu" else (n for n in (2, 4, 8) if n > self.machine.processes)
        cut = BASES["full"] | {"micro_batch_size": 4}
        return [n for n in gpus if all(each.made(cut, n).fits for each in counted)]

    def _say_stored(self, leader: str, stored: Try, fitting: Try | None) -> None:
        here = f"it would be {fitting[0]}" if fitting else "no kind would fit"
        what = f"{leader} {stored[0]} ({TOLD.get(stored[0], stored[0])})"
        self.found.lines.append(f"{self.name}: {what}: it is in the store; to be made here, {here}")

    def _no_base(self, finetuned: Mapping[str, Sequence[Counted]], tried: Sequence[Try], *, decided: bool) -> str:
        """Why there is no base, and what would give one."""
        leader, counted = next(iter(finetuned.items()))
        kind, _, least = min(tried, key=lambda each: each[2].total)
        would = [f"--gpus {n}" for n in self._gpus_for(counted)[:1]]
        if decided:
            fitting = [name for name in BASES if name != kind and self._fits_as(leader, counted, name)]
            would = [f"--base {name}" for name in fitting[:2]] + would
            said = f"its {leader}, {kind} as asked for, does not fit"
        else:
            said = f"no kind of base fits, not even {kind}"
        smaller = counted[0].params.lora.model_copy(update={"rank": SMALL_RANK})  # type: ignore[attr-defined]
        if not would and counted[0].made(BASES["lora"] | {"lora": smaller, "micro_batch_size": 1}).fits:
            would.append(" ".join(f"--set {owner}.lora.rank={SMALL_RANK}" for owner in finetuned))
        return f"{self.name}: {said} ({_counted(least)}): {', or '.join(would) or larger(self.machine)}"

    def _fits_as(self, leader: str, counted: Sequence[Counted], kind: str) -> bool:
        return any(made.fits for _, made in self._tries(counted, BASES[kind], leader))

    # --------------------------------------------------------------------------------------------------- the methods
    def _method(self, name: str, counted: Sequence[Counted]) -> None:
        """Check a method's training; one of all weights gets the first optimiser that fits, unless one is set."""
        counted = [each for each in counted if each.own and each.own.samples]
        if not counted:
            return
        full = any(each.own and each.own.full for each in counted)
        free = full and "optimiser" not in self._set(name) and "optimiser" in type(counted[0].params).model_fields
        updates = [sets for kind, sets in BASES.items() if kind != "lora"] if free else [{}]
        tried = [each for update in updates for each in self._tries(counted, update, name)]
        update, made = next((each for each in tried if each[1].fits), tried[0])
        if not made.fits and self.kept and self.kept.has((name,), self.found.settings):
            return
        if not made.fits:
            worst = max((each.advised() or made for each in counted), key=lambda one: one.total)
            least = min((each for _, each in tried), key=lambda one: one.total)
            self.found.problems.append(
                f"{self.name}: {name} does not fit ({_counted(least)}): {worst.advice or larger(self.machine)}"
            )
        elif update != tried[0][0]:
            changed = {key: (value,) for key, value in update.items() if getattr(counted[0].params, key) != value}
            if free:
                self.found.settings[name] = changed
            said = " ".join(f"--set {name}.{key}={value}" for key, (value,) in changed.items())
            how = "goes with" if free else "batches will be cut where memory runs out, as by"
            self.found.lines.append(f"{self.name}: {name}, {_counted(made)}, {how} {said}")

    def _asking(self) -> None:
        """Check evaluation, which asks fewer questions at a time where memory runs out, as it is and under attacks."""
        attacks = {each.attack for cell in self.cells if (each := aimed(cell, self.card, ()))}
        for name, beside in [("", 0), *sorted((each.name, len(each.needs)) for each in attacks if each.needs)]:
            least = advised(evaluation(self.count, self.machine, self.work, 1, beside), ())
            made = asking(self.count, self.machine, self.work, name, beside)
            if not least.fits:
                under = f" under {name}, which looks at {beside} more beside the model" if name else ""
                problem = f"{self.name}: not even one question fits{under} ({_counted(least)}): {least.advice}"
                self.found.problems.append(problem)
            elif not made.fits:
                said = f"{self.name}: {made.stage} will ask fewer questions at a time: {_counted(made)}"
                self.found.lines.append(said)

    # ------------------------------------------------------------------------------------------------------ attempts
    def _tries(
        self, counted: Sequence[Counted], sets: Mapping[str, Any], owner: str
    ) -> Iterator[tuple[dict[str, Any], Estimate]]:
        """What may be changed beside ``sets``, the mildest first, with the estimate of the variant that needs most."""
        free = "micro_batch_size" in type(counted[0].params).model_fields
        free = free and "micro_batch_size" not in self._set(owner)
        for at_once in AT_ONCE if free else AT_ONCE[:1]:
            update = dict(sets) | ({"micro_batch_size": at_once} if at_once else {})
            if at_once and at_once >= min(_at_once(each) for each in counted):
                continue
            yield update, max((each.made(update) for each in counted), key=lambda one: one.total)

    def _set(self, owner: str) -> set[str]:
        """Which parameters of an owner the command sets."""
        return {name for cell in self.cells for name in _of(cell, owner)}

    def _decided(self, owner: str) -> bool:
        return bool(DECIDES & self._set(owner))


def workload(card: ModelCard) -> Workload:
    """What a run on a model's own data goes through."""
    return EMBEDDED if card.data == "embedded" else Workload()


def _of(cell: Cell, owner: str) -> Mapping[str, Any]:
    return cell.settings.get(owner, {})


def _at_once(counted: Counted) -> int:
    own = counted.own
    return (own.micro_batch_size or own.batch_size) if own else 1


def _gb(size: float) -> str:
    return f"{size / GB:.1f} GB"


def _counted(made: Estimate) -> str:
    machine = made.machine
    lent = "" if made.fits else f" less {SPARE:.0%} spare"
    where = f"{'' if machine.kind == 'cpu' else 'a GPU of '}{_gb(machine.memory or 0)}{lent}"
    each = f" on each of {machine.processes}" if machine.processes > 1 else ""
    beside = f", and {_gb(made.beside)} of the CPU's memory" if made.beside else ""
    return f"{_gb(made.total)} counted of {where}{each}{beside}"
