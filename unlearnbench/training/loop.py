"""The training loop: every stage and method trains through `fit`."""

import gc
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from ..contracts.sample import Sample
from ..errors import UnlearnbenchError
from ..models.contract.vlm import hearing
from ..runtime import distributed
from ..runtime.run import Checkpoint, Run
from .params import TrainParams
from .stopping import EarlyStopping

T = TypeVar("T")
Loss = Callable[[Any], Mapping[str, Tensor]]
"""From a batch to the parts of its loss, each a mean over the batch's items."""

Stop = Callable[[int], str | None]
"""From the number of steps done to the reason to stop, if there is one."""

KEPT = (
    "epoch", "done", "steps", "samples", "seconds", "working", "examples", "sums", "stopped", "micro_batch_size",
    "resumed_at",
)  # fmt: skip
"""What a checkpoint holds of a `_Trainer`, beside the schedule."""

DIVERGED = 1e3
"""Nats per token beyond which a training counts as diverged: no softmax is that sure of anything by learning."""

_log = logging.getLogger(__name__)


class Batches(Protocol):
    """What `fit` goes through."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> Iterator[list[Any]]:
        """The batches of one epoch."""


@dataclass(frozen=True)
class Shuffled(Generic[T]):
    """Batches of ``items`` in an order that ``seed`` and the epoch decide; the last batch may be short."""

    items: Sequence[T]
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def epoch(self, number: int) -> Iterator[list[T]]:
        """The batches of one epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self.items), generator=generator).tolist()
        for start in range(0, len(order), self.batch_size):
            yield [self.items[index] for index in order[start : start + self.batch_size]]


@dataclass(frozen=True)
class Group:
    """Parameters with a peak learning rate, and a largest norm of their gradient, of their own."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    clip_norm: float


@dataclass(frozen=True)
class Outcome:
    """How a training went: seconds, epochs and steps done, the last epoch's mean of every loss part, why it ended."""

    seconds: float
    epochs: int
    steps: int
    losses: dict[str, float]
    stopped: str
    micro_batch_size: int
    resumed_at: list[int] = field(default_factory=list)
    """The steps after which an interrupted training went on."""

    @property
    def note(self) -> dict[str, Any]:
        """What a row says of it."""
        facts: dict[str, Any] = {"epochs": self.epochs, "steps": self.steps, "stopped": self.stopped}
        resumed = {"resumed_at": self.resumed_at} if self.resumed_at else {}
        return facts | {"micro_batch_size": self.micro_batch_size} | self.losses | resumed


def fit(
    parameters: Sequence[nn.Parameter] | Sequence[Group],
    batches: Batches,
    loss: Loss,
    params: TrainParams,
    run: Run,
    *,
    what: str = "training",
    enough: Callable[[Mapping[str, float]], bool] | None = None,
    stop: Stop | None = None,
    together: Callable[[Any], Any] | None = None,
    seen: Callable[[list[Any]], Iterable[Sample]] | None = None,
    epoch: str = "one pass over its batches",
) -> Outcome:
    """Train ``parameters`` for ``params.epochs``: the sum of the parts that ``loss`` returns is descended.

    They are one group at the learning rate and the largest norm of ``params``, or `Group`s that have their own.
    ``enough`` sees each epoch's mean parts and may end the training; ``stop`` is asked after every step and may end it
    by giving a reason. A parameter that a step does not touch gets a zero gradient, not none, so that leaving out
    samples whose gradient is zero changes nothing. Where memory runs out, a batch is cut into smaller micro-batches
    with the same accumulated gradient; into them go samples in the order of ``together``, by which those stand side by
    side that have something to share. ``seen`` gives the samples of a batch, where they are not just those that stand
    in its items, and ``epoch`` says what an epoch is: the run's cost tells both. A training that was interrupted goes
    on from the run's checkpoint. Raises `UnlearnbenchError` when the training diverges, or a single sample does not
    fit.
    """
    trainer = _Trainer(grouped(parameters, params), loss, params, max(1, len(batches) * params.epochs), together)
    checkpoint = run.checkpoints.training(what)
    trainer.go_on(checkpoint, stop)
    start = time.perf_counter() - trainer.seconds
    with run.progress.bar(what, trainer.planned) as bar:
        bar.advance(trainer.steps)
        while trainer.stopped is None:
            for batch in islice(batches.epoch(trainer.epoch), trainer.done, None):
                bar.advance(1, **trainer.step(batch))
                trainer.count(samples_in(batch), (seen or samples_in)(batch), run)
                trainer.stopped = distributed.agreed(stop(trainer.steps)) if stop else None
                trainer.seconds = time.perf_counter() - start
                if trainer.stopped:
                    break
                if checkpoint.due():
                    trainer.save(checkpoint, stop)
            trainer.end_epoch(enough)
    run.cost["train_seconds"] = run.cost.get("train_seconds", 0.0) + trainer.seconds
    if trainer.samples:
        run.cost["seconds_per_epoch"] = trainer.working * len(batches) / trainer.steps
        run.cost["samples_per_second"] = trainer.samples / trainer.working
        run.cost["epoch"] = epoch
    if trainer.examples or not trainer.steps:  # a training on something else than samples has none to count
        add_examples(run, trainer.examples)
    if checkpoint.due():  # for the trainings that follow in this stage
        trainer.save(checkpoint, stop)
    return trainer.outcome()


def samples_in(item: Any) -> Iterator[Sample]:
    """The samples that stand in an item of a batch, or in a batch: by themselves, in sequences, in dataclasses."""
    if isinstance(item, Sample):
        yield item
    elif isinstance(item, list | tuple):
        for part in item:
            yield from samples_in(part)
    elif is_dataclass(item) and not isinstance(item, type):
        for each in fields(item):
            yield from samples_in(getattr(item, each.name))


def _by_set(samples: Iterable[Sample], run: Run) -> Counter[str]:
    return Counter(run.set_of.get(sample.id, "all") for sample in samples)


def _once_each(heard: Iterable[Iterable[Any]]) -> Counter[Sample]:
    """The samples that one loss asked about: a batch that is prepared twice was seen once."""
    samples = Counter[Sample]()
    for queries in heard:
        samples |= Counter(query for query in queries if isinstance(query, Sample))
    return samples


def add_examples(run: Run, seen: Mapping[str, int]) -> None:
    """Add to the cost of a stage what a training of it saw of each set; a set that none saw counts zero."""
    total = run.cost.setdefault("examples", dict.fromkeys(run.set_of.values(), 0))
    for name, number in seen.items():
        total[name] = total.get(name, 0) + number


def grouped(parameters: Sequence[nn.Parameter] | Sequence[Group], params: TrainParams) -> list[Group]:
    """The groups among ``parameters``, and what is in none as one with the values of ``params``."""
    groups = [each for each in parameters if isinstance(each, Group)]
    loose = [each for each in parameters if not isinstance(each, Group)]
    return groups + ([Group(loose, params.learning_rate, params.clip_norm)] if loose else [])


class _Trainer:
    """Optimiser, schedule, the size of micro-batches that memory allows, and the place among the batches.

    ``done`` batches of the running ``epoch`` are done, ``sums`` are those of their losses' parts; ``stopped`` says why
    the training has ended, if it has.
    """

    def __init__(
        self,
        groups: list[Group],
        loss: Loss,
        params: TrainParams,
        planned: int,
        together: Callable[[Any], Any] | None = None,
    ) -> None:
        self.groups, self.loss, self.planned, self.together = groups, loss, planned, together
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        # Accelerate keeps one state a process, but parameters say where they are: a CPU's training may follow a GPU's.
        # Batches here are those of all processes, while Accelerate would count one schedule step for each process.
        self.accelerator = Accelerator(
            device_placement=False, mixed_precision="no", step_scheduler_with_optimizer=False
        )
        parts = [
            {"params": part, "lr": group.learning_rate}
            for group in groups
            for part in (distributed.whole(group.parameters), distributed.cut_up(group.parameters))
            if part
        ]
        optimizer = torch.optim.AdamW(parts, weight_decay=params.weight_decay)
        distributed.same_start(self.parameters)
        schedule = get_cosine_schedule_with_warmup(optimizer, round(planned * params.warmup_ratio), planned)
        self.optimizer, self.schedule = self.accelerator.prepare(optimizer, schedule)
        self.micro_batch_size = min(params.micro_batch_size or params.batch_size, params.batch_size)
        self.epochs, self.epoch, self.done, self.steps, self.samples = params.epochs, 1, 0, 0, 0
        self.seconds, self.working, self.resumed_at = 0.0, 0.0, list[int]()
        self.examples: dict[str, int] = {}
        self.drawn = Counter[Sample]()
        self.sums: dict[str, float] = {}
        self.stopped: str | None = None if params.epochs else "epochs done"

    @property
    def means(self) -> dict[str, float]:
        """Of the losses' parts, over the running epoch."""
        return {name: value / self.done for name, value in self.sums.items()}

    def end_epoch(self, enough: Callable[[Mapping[str, float]], bool] | None) -> None:
        """Go over to the next one, unless this was the last."""
        if self.stopped is None and enough and distributed.agreed(enough(self.means)):
            self.stopped = "enough"
        elif self.stopped is None and self.epoch == self.epochs:
            self.stopped = "epochs done"
        if self.stopped is None:
            self.epoch, self.done, self.sums = self.epoch + 1, 0, {}

    def count(self, batch: Iterable[Sample], seen: Iterable[Sample], run: Run) -> None:
        """Count the samples of a step by their sets; all are of one set where a stage divides nothing.

        What is in no batch counts too where the loss draws it by itself, and asks the model about it.
        """
        counted, known = Counter(self.examples), {*batch}
        drawn = [sample for sample in self.drawn.elements() if sample not in known]
        for part in (_by_set(seen, run), *distributed.gathered(_by_set(drawn, run))):
            counted += part
        self.examples = dict(counted)

    def outcome(self) -> Outcome:
        """How it went."""
        epoch = self.epoch if self.epochs else 0
        return Outcome(
            self.seconds, epoch, self.steps, self.means, self.stopped or "", self.micro_batch_size, self.resumed_at
        )

    def save(self, checkpoint: Checkpoint, stop: Stop | None) -> None:
        """Keep all that the training needs to go on from here."""
        facts = {name: getattr(self, name) for name in KEPT} | {"schedule": self.schedule.state_dict()}
        note = {"note": stop.note} if isinstance(stop, EarlyStopping) else {}
        checkpoint.save(self.parameters, self.optimizer, facts | note)

    def go_on(self, checkpoint: Checkpoint, stop: Stop | None) -> None:
        """Take up what was kept, if something was."""
        facts = checkpoint.load(self.parameters, self.optimizer)
        if facts is None:
            return
        for name in KEPT:
            setattr(self, name, facts[name])
        self.schedule.load_state_dict(facts["schedule"])
        if isinstance(stop, EarlyStopping):
            stop.note = facts["note"]
        self.resumed_at = [*self.resumed_at, self.steps]

    def step(self, batch: list[Any]) -> dict[str, float]:
        """One update; the means of the loss's parts over the epoch so far."""
        start = time.perf_counter()
        while True:
            try:
                parts = self._accumulate(batch)
                break
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                self._halve(len(batch))
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        distributed.add_up_gradients(self.parameters)
        for group in self.groups:
            norm = distributed.norm_of_gradients(group.parameters)
            if not torch.isfinite(norm):
                raise _diverged("the gradient is not finite")
            for some in (distributed.whole(group.parameters), distributed.cut_up(group.parameters)):
                torch.nn.utils.clip_grads_with_norm_(some, group.clip_norm, norm)
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        self.samples += len(batch)
        self.done += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.working += time.perf_counter() - start
        return self.means

    def _accumulate(self, batch: list[Any]) -> dict[str, float]:
        """Gradients of the batch's mean loss, a micro-batch at a time, each process its part of the batch.

        Processes whose part is shorter go on with a sample that counts nothing, since cut-up weights need all of them.
        """
        self.optimizer.zero_grad()
        self.drawn.clear()
        sums: dict[str, float] = {}
        mine = distributed.shared_out(batch)
        if self.together and len(mine) > self.micro_batch_size:
            mine = sorted(mine, key=self.together)
        for start in range(0, -(-len(batch) // distributed.processes()), self.micro_batch_size):
            micro = mine[start : start + self.micro_batch_size]
            share = len(micro) / len(batch)
            with hearing() as heard:
                parts = self.loss(list(micro) or batch[:1])
            self.drawn += _once_each(heard)
            total = torch.stack(list(parts.values())).sum()
            _check(parts, total)
            if total.requires_grad:
                self.accelerator.backward(total * share)
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + share * float(part.detach())
        return distributed.add_up(sums)

    def _halve(self, batch: int) -> None:
        """Out of memory: go on with smaller micro-batches."""
        size = min(self.micro_batch_size, batch)
        if size == 1:
            raise UnlearnbenchError(
                "out of memory with one sample at a time: set gradient_checkpointing=true, full=false or a smaller "
                "lora.rank, or take a smaller model"
            )
        if distributed.processes() > 1 and distributed.cut_up(self.parameters):
            # The others wait for this process in the middle of the model: it cannot begin anew without them.
            raise UnlearnbenchError(f"out of memory with {size} samples at a time: set micro_batch_size={size // 2}")
        self.micro_batch_size = size // 2
        self.optimizer.zero_grad()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _log.warning("out of memory: %d samples at a time from here on, the same batches", self.micro_batch_size)


def _check(parts: Mapping[str, Tensor], total: Tensor) -> None:
    """Raise `UnlearnbenchError` for a loss that is not finite or beyond anything that learning gives."""
    if not torch.isfinite(total):
        raise _diverged("the loss is not finite", parts)
    if any(abs(float(part.detach())) > DIVERGED for part in parts.values()):
        raise _diverged(f"the loss is beyond {DIVERGED:g}", parts)


def _diverged(why: str, parts: Mapping[str, Tensor] | None = None) -> UnlearnbenchError:
    shown = ", ".join(f"{name} {float(part.detach()):.3g}" for name, part in (parts or {}).items())
    return UnlearnbenchError(f"training diverged: {why}{f' ({shown})' if shown else ''}; lower the learning rate")
