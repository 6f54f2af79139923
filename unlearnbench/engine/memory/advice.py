"""What to change where a stage does not fit: each estimate is made again with one setting changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...contracts import Attack, Method, Params
from ...contracts.footprint import Counts, Footprint, Workload
from ...errors import OutOfMemory
from ...models.files.card import ModelCard
from ...runtime.memory import is_short
from ...training.params import BroughtParams
from .counts import counts
from .estimate import Estimate, Machine, by_heart, evaluation
from .training import LIGHT, training

Trains = Callable[[Any], Method | Attack]
"""The class of a method or an attack."""

Remedy = tuple[str, Callable[[], Estimate]]
"""What a user would type, and the stage as it then were."""

UNKNOWN = "not known: define footprint"

LARGER, ROOMIER = "a larger GPU, or a smaller model", "a machine with more memory, or a smaller model"

SMALL_RANK = 16
"""The rank of an adapter that is advised where a larger one does not fit."""


@dataclass(frozen=True)
class Counted:
    """A stage that trains: it can be counted as it is, with other parameters, and on more processes."""

    stage: str
    params: Params
    footprint: Callable[[Params], Footprint | None]
    count: Counts
    machine: Machine
    work: Workload

    @property
    def own(self) -> Footprint | None:
        """What it says of itself; None where it says nothing."""
        return self.footprint(self.params)

    def made(self, update: Mapping[str, Any], processes: int | None = None) -> Estimate:
        """The estimate with some parameters changed; one without parts where the stage says nothing of itself."""
        own = self.footprint(self.params.model_copy(update=dict(update))) or self.own
        if own is None:
            return Estimate(self.stage, {}, 0.0, self.machine, UNKNOWN)
        machine = replace(self.machine, processes=processes) if processes else self.machine
        return training(self.stage, self.count, own, machine, self.work)

    def advised(self) -> Estimate | None:
        """The estimate, with advice where it does not fit; None where nothing is trained."""
        own = self.own
        if own is None:
            return self.made({})
        if not own.samples:
            return None
        return advised(self.made({}), self._remedies(own))

    def _remedies(self, own: Footprint) -> Iterable[Remedy]:
        for told, update in changes(self.stage, self.params, own):
            yield told, lambda update=update: self.made(update)  # type: ignore[misc]
        if own.full and self.machine.kind != "cpu":
            for number in (2, 4, 8):
                if number > self.machine.processes:
                    yield f"--gpus {number}", lambda number=number: self.made({}, number)  # type: ignore[misc]


def stages(
    card: ModelCard,
    base: Params,
    methods: Mapping[str, tuple[Trains, Params]],
    machine: Machine,
    work: Workload,
    beside: Mapping[str, int] = MappingProxyType({}),
) -> list[Estimate]:
    """Every stage that a grid of ``methods``, and attacks, goes through on one model; nothing for what trains nothing.

    A base that was made elsewhere is looked at, whether it knows what it must. ``beside`` has, by the names of attacks,
    how many models they look at beside the attacked one.
    A method that does not say what it needs has an estimate without parts, and `UNKNOWN` as its advice.
    """
    count = counts(card)
    brought = isinstance(base, BroughtParams)
    known = advised(by_heart(count, machine, work), ()) if brought else None
    found = [known or of_base(base, count, machine, work).advised()]
    found += [of_method(name, *each, count, machine, work).advised() for name, each in methods.items()]
    asked = [asking(count, machine, work), *(asking(count, machine, work, *each) for each in beside.items())]
    return [*(each for each in found if each is not None), *asked]


def of_base(base: Params, count: Counts, machine: Machine, work: Workload) -> Counted:
    """The base stage."""
    return Counted("base", base, lambda params: params.footprint(work), count, machine, work)


def of_method(name: str, method: Trains, chosen: Params, count: Counts, machine: Machine, work: Workload) -> Counted:
    """The stage of a method or an attack."""
    return Counted(name, chosen, lambda params: method(params).footprint(count, work), count, machine, work)


def asking(count: Counts, machine: Machine, work: Workload, attack: str = "", beside: int = 0) -> Estimate:
    """Evaluation, with advice; under an attack that looks at so many models ``beside`` the attacked one."""
    few = (
        (f"--set TASK.batch_size={n} for every task", lambda n=n: evaluation(count, machine, work, n, beside))
        for n in (4, 1)
    )
    made = advised(evaluation(count, machine, work, beside=beside), few)
    return replace(made, stage=f"{made.stage} under {attack}") if attack else made


def advised(made: Estimate, remedies: Iterable[Remedy]) -> Estimate:
    """The estimate with what to change, if it does not fit: the first change that helps, the mildest first."""
    if made.fits:
        return made
    return replace(made, advice=next((told for told, changed in remedies if changed().fits), larger(made.machine)))


def larger(machine: Machine) -> str:
    """What is left to say where no setting helps."""
    return LARGER if machine.kind != "cpu" else ROOMIER


def changes(stage: str, params: Params, own: Footprint) -> list[tuple[str, dict[str, Any]]]:
    """What may help, the mildest first, as typed and as parameters: each with those before it that go together with it.

    Only parameters that the stage has are changed.
    """
    known, lighter = type(params).model_fields, dict[str, Any]()
    found: list[tuple[str, dict[str, Any]]] = []
    for name, value in {"gradient_checkpointing": True, "micro_batch_size": 1}.items():
        if name in known and getattr(params, name) != value:
            lighter = lighter | {name: value}
            found.append((f"--set {stage}.{name}={str(value).lower()}", lighter))
    option, _, adapter = own.instead.rpartition(" ")
    if own.full and "optimiser" in known and own.optimiser not in LIGHT:
        for name, kind in LIGHT.items():
            told = f"{option} {kind}" if option else f"--set {stage}.optimiser={name}"
            found.append((told, lighter | {"optimiser": name}))
    if own.full and "full" in known:
        told = f"{option} {adapter}" if option else f"--set {stage}.full=false"
        lighter = lighter | {"full": False}
        found.append((told, lighter))
    if "lora" in known and params.lora.rank > SMALL_RANK:  # type: ignore[attr-defined]
        smaller = params.lora.model_copy(update={"rank": SMALL_RANK})  # type: ignore[attr-defined]
        told = f"{found[-1][0]} " if own.full and "full" in known else ""
        found.append((f"{told}--set {stage}.lora.rank={SMALL_RANK}", lighter | {"lora": smaller}))
    return found


@contextmanager
def in_a_sentence(what: str, params: Params | None = None, *, device: str = "cuda") -> Iterator[None]:
    """Turn whatever says that memory is short into an `OutOfMemory` that says what to do for ``what`` it happened in.

    By ``params`` if they are of a training, whose batches have been cut to nothing by then; ``device`` is where.
    """
    try:
        yield
    except OutOfMemory as error:
        if not error.where:
            raise
        raise OutOfMemory(short(what, error.where, params, device)) from None
    except (RuntimeError, MemoryError) as error:
        if not is_short(error):
            raise
        raise OutOfMemory(short(what, "", params, device)) from None


def short(stage: str, where: str, params: Params | None = None, device: str = "cuda") -> str:
    """The sentence for a ``stage`` that ran out of memory ``where``, and what its parameters leave to be done."""
    own = params.footprint(Workload()) if params else None
    left = [told for told, _ in changes(stage, params, own)] if params and own else []
    vain = [] if "by themselves" in where else ["micro_batch_size"]  # batches have been cut already
    vain += ["gradient_checkpointing"] if "optimiser's step" in where else []  # activations are gone by then
    vain += ["offload"] if device == "cpu" else []
    tried = [told for told in left if not any(each in told for each in vain)]
    if own and own.full and device != "cpu":
        tried.append("more GPUs (--gpus N)")
    said = f"{stage}: out of memory {where}".rstrip()
    return f"{said}: {', or '.join(tried) or (LARGER if device != 'cpu' else ROOMIER)}"
