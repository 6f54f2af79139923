"""One training: its optimiser, its schedule, and a step of it, in as many parts as memory needs."""

import gc
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

from ...contracts.sample import Sample
from ...errors import OutOfMemory, UnlearnbenchError
from ...models.contract.vlm import hearing
from ...runtime import distributed
from ...runtime.memory import is_short
from ...runtime.run import Checkpoint, Run
from ..params import DIVERGED, TrainParams
from .examples import by_set, once_each
from .gradients import Apart, GradientHook, Parts, checked, masked
from .optimisers import optimiser_of
from .terms import Group, Loss, Outcome, Stop, in_parts, kept

KEPT = (
    "epoch", "done", "steps", "samples", "seconds", "working", "examples", "sums", "stopped", "micro_batch_size",
    "resumed_at",
)  # fmt: skip
"""What a checkpoint holds of a `Trainer`, beside the schedule."""

_log = logging.getLogger(__name__)


class Trainer:
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
        on_gradients: GradientHook | None = None,
        largest_loss: float = DIVERGED,
        keep: Collection[int] = (),
    ) -> None:
        self.keep, self.copies = keep, dict[int, list[Tensor]]()
        self.groups, self.loss, self.planned, self.together = groups, loss, planned, together
        self.on_gradients, self.largest_loss = on_gradients, largest_loss
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
        optimizer = optimiser_of(params.optimiser, parts, params.weight_decay)
        distributed.same_start(self.parameters)
        rise = round(planned * params.warmup_ratio)
        schedule = (
            get_constant_schedule_with_warmup(optimizer, rise)
            if params.schedule == "constant"
            else get_cosine_schedule_with_warmup(optimizer, rise, planned)
        )
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
        for part in (by_set(seen, run), *distributed.gathered(by_set(drawn, run))):
            counted += part
        self.examples = dict(counted)

    def outcome(self) -> Outcome:
        """How it went."""
        epoch = self.epoch if self.epochs else 0
        return Outcome(
            self.seconds,
            epoch,
            self.steps,
            self.means,
            self.stopped or "",
            self.micro_batch_size,
            self.resumed_at,
            self.copies,
        )

    def copy_if_due(self) -> None:
        """Keep a copy of what is trained if one is wanted of this step; it is whole in every process."""
        if self.steps in self.keep and self.steps not in self.copies:
            whole = (distributed.full(parameter.detach()) for parameter in self.parameters)
            self.copies[self.steps] = [value.to("cpu", copy=True) for value in whole]

    def save(self, checkpoint: Checkpoint, stop: Stop | None) -> None:
        """Keep all that the training needs to go on from here."""
        facts = {name: getattr(self, name) for name in KEPT} | {"schedule": _numbers(self.schedule.state_dict())}
        copies = {
            f"{step}.{place}": value for step, values in self.copies.items() for place, value in enumerate(values)
        }
        checkpoint.save(self.parameters, self.optimizer, facts | ({"stop": kept(stop)} if stop else {}), copies)

    def go_on(self, checkpoint: Checkpoint, stop: Stop | None) -> None:
        """Take up what was kept, if something was."""
        found = checkpoint.load(self.parameters, self.optimizer)
        if found is None:
            return
        facts, copies = found
        for step in sorted({int(name.partition(".")[0]) for name in copies}):
            self.copies[step] = [copies[f"{step}.{place}"] for place, _ in enumerate(self.parameters)]
        for name in KEPT:
            setattr(self, name, facts[name])
        self.schedule.load_state_dict(facts["schedule"])
        if stop:
            stop.restore(facts["stop"])
        self.resumed_at = [*self.resumed_at, self.steps]

    def step(self, batch: list[Any]) -> dict[str, float]:
        """One update; the means of the loss's parts over the epoch so far."""
        start = time.perf_counter()
        while True:
            try:
                parts = self._accumulate(batch)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_short(error):
                    raise
            self._halve(len(batch))  # outside of the handler, whose exception holds on to the failed attempt's memory
        try:
            self._update()
        except (RuntimeError, MemoryError) as error:
            if not is_short(error):
                raise
            raise _short("in the optimiser's step, which smaller batches do not help") from None
        self.steps += 1
        self.samples += len(batch)
        self.done += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.working += time.perf_counter() - start
        return self.means

    def _update(self) -> None:
        """Change the weights by the gradients that have been accumulated."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        distributed.add_up_gradients(self.parameters)
        if self.on_gradients:
            self.on_gradients(self.parameters)
        for group in self.groups:
            norm = distributed.norm_of_gradients(group.parameters)
            if not torch.isfinite(norm):
                raise _diverged("the gradient is not finite")
            for some in (distributed.whole(group.parameters), distributed.cut_up(group.parameters)):
                torch.nn.utils.clip_grads_with_norm_(some, group.clip_norm, norm)
        self.optimizer.step()
        self.schedule.step()

    def _accumulate(self, batch: list[Any]) -> dict[str, float]:
        """Gradients of the batch's mean loss, a micro-batch at a time, each process its part of the batch.

        Micro-batches end where a row of samples does that go ``together``, unless one holds less than such a row.
        Processes that have fewer go on with a sample that counts nothing, since cut-up weights need all of them.
        """
        self.optimizer.zero_grad()
        self.drawn.clear()
        sums: dict[str, float] = {}
        most = -(-len(batch) // distributed.processes())
        apart = len(batch) > min(most, self.micro_batch_size)
        ordered = sorted(batch, key=self.together) if self.together and apart else batch
        parts = [in_parts(own, self.micro_batch_size, self.together) for own in distributed.stretches(ordered)]
        mine = parts[distributed.place()]
        for number in range(max(map(len, parts))):
            micro = mine[number] if number < len(mine) else []
            share = len(micro) / len(batch)
            with hearing() as heard:
                values = self._backward(checked(self.loss(micro or batch[:1])), share)
            self.drawn += once_each(heard)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + share * value
        return distributed.add_up(sums)

    def _backward(self, parts: Parts, share: float) -> dict[str, float]:
        """Add ``share`` of the gradients of all parts; their values, in the order of the parts."""
        together = {name: part for name, part in parts.items() if isinstance(part, Tensor)}
        values = self._descend(together, share) if together else {}
        for name, part in parts.items():
            if isinstance(part, Apart):
                with masked(part.masks, self.parameters):
                    value = part.value()
                    checked({name: value})
                    values |= self._descend({name: value}, share)
        return {name: values[name] for name in parts}

    def _descend(self, parts: Mapping[str, Tensor], share: float) -> dict[str, float]:
        """One backward pass for the sum of ``parts``; their values."""
        total = torch.stack(list(parts.values())).sum()
        _check(parts, total, self.largest_loss)
        if total.requires_grad:
            self.accelerator.backward(total * share)
        return {name: float(part.detach()) for name, part in parts.items()}

    def _halve(self, batch: int) -> None:
        """Out of memory: go on with smaller micro-batches."""
        size = min(self.micro_batch_size, batch)
        if size == 1:
            raise _short("with one sample at a time")
        if distributed.processes() > 1 and distributed.cut_up(self.parameters):
            # The others wait for this process in the middle of the model: it cannot begin anew without them.
            raise _short(f"with {size} samples at a time, which cut-up weights cannot change by themselves")
        self.micro_batch_size = size // 2
        self.optimizer.zero_grad()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _log.warning("out of memory: %d samples at a time from here on, the same batches", self.micro_batch_size)


def _check(parts: Mapping[str, Tensor], total: Tensor, largest: float) -> None:
    """Raise `UnlearnbenchError` for a loss that is not finite or beyond the ``largest`` that learning gives."""
    if not torch.isfinite(total):
        raise _diverged("the loss is not finite", parts)
    if any(abs(float(part.detach())) > largest for part in parts.values()):
        raise _diverged(
            f"the loss is beyond {largest:g}",
            parts,
            " or, where it is no likelihood, let the method's largest_loss be more",
        )


def _short(where: str) -> OutOfMemory:
    """The error of a training that nothing is known of but its parameters' names."""
    return OutOfMemory(
        f"out of memory {where}: set gradient_checkpointing=true, optimiser=adamw-8bit where all weights are trained, "
        "or a smaller lora.rank; or take a smaller model",
        where=where,
    )


def _numbers(state: Any) -> Any:
    """A schedule's state in JSON's types: learning rates may be tensors."""
    if isinstance(state, Tensor):
        return state.item()
    if isinstance(state, dict):
        return {name: _numbers(value) for name, value in state.items()}
    return [_numbers(value) for value in state] if isinstance(state, list | tuple) else state


def _diverged(why: str, parts: Mapping[str, Tensor] | None = None, else_: str = "") -> UnlearnbenchError:
    shown = ", ".join(f"{name} {float(part.detach()):.3g}" for name, part in (parts or {}).items())
    return UnlearnbenchError(
        f"training diverged: {why}{f' ({shown})' if shown else ''}; lower the learning rate{else_}"
    )
