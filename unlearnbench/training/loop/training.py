"""The training loop: every stage and method trains through `fit`."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from torch import nn

from ...contracts.sample import Sample
from ...runtime import distributed
from ...runtime.run import Run
from ..params import DIVERGED, TrainParams
from .examples import add_examples, samples_in
from .gradients import GradientHook
from .terms import Batches, Group, Loss, Outcome, Stop, kept
from .trainer import Trainer


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
    on_gradients: GradientHook | None = None,
    together: Callable[[Any], Any] | None = None,
    seen: Callable[[list[Any]], Iterable[Sample]] | None = None,
    epoch: str = "one pass over its batches",
    largest_loss: float = DIVERGED,
    keep: Collection[int] = (),
) -> Outcome:
    """Train ``parameters`` for ``params.epochs``: the sum of the parts that ``loss`` returns is descended.

    They are one group at the learning rate and the largest norm of ``params``, or `Group`s that have their own.
    ``enough`` sees each epoch's mean parts and may end the training; ``stop`` is asked after every step and may end it
    by giving a reason. ``on_gradients`` is called between a step's backward passes and clipping. A parameter that a
    step does not touch gets a zero gradient, not none, so that leaving out samples whose gradient is zero changes
    nothing. Where memory runs out, a batch is cut into smaller micro-batches with the same accumulated gradient; into
    them go samples in the order of ``together``, by which those stand side by side that have something to share.
    ``seen`` gives the samples of a batch, where they are not just those that stand in its items, and ``epoch`` says
    what an epoch is: the run's cost tells both. After so many steps as ``keep`` names, which may be none, what is
    trained is copied for the outcome. A training that was interrupted goes on from the run's checkpoint.
    Raises `UnlearnbenchError` when the training diverges, a part of its loss being beyond ``largest_loss`` for one, and
    `OutOfMemory` where not a single sample fits, or not the optimiser's states.
    """
    if stop:
        kept(stop)
    planned = max(1, len(batches) * params.epochs)
    trainer = Trainer(grouped(parameters, params), loss, params, planned, together, on_gradients, largest_loss, keep)
    checkpoint = run.checkpoints.training(what)
    trainer.go_on(checkpoint, stop)
    trainer.copy_if_due()
    start = time.perf_counter() - trainer.seconds
    with run.progress.bar(what, trainer.planned) as bar:
        bar.advance(trainer.steps)
        while trainer.stopped is None:
            for batch in islice(batches.epoch(trainer.epoch), trainer.done, None):
                bar.advance(1, **trainer.step(batch))
                trainer.copy_if_due()
                trainer.count(samples_in(batch), (seen or samples_in)(batch), run)
                trainer.stopped = distributed.agreed(stop(trainer.steps)) if stop else None
                if stop and trainer.steps == 1:
                    kept(stop)
                trainer.seconds = time.perf_counter() - start
                if trainer.stopped:
                    break
                if checkpoint.due():
                    trainer.save(checkpoint, stop)
            trainer.end_epoch(enough)
    _charge(run, trainer, len(batches), epoch)
    if checkpoint.due():  # for the trainings that follow in this stage
        trainer.save(checkpoint, stop)
    return trainer.outcome()


def _charge(run: Run, trainer: Trainer, batches: int, epoch: str) -> None:
    """Add to the run's cost what a training of so many ``batches`` an epoch took and saw."""
    run.cost["train_seconds"] = run.cost.get("train_seconds", 0.0) + trainer.seconds
    if trainer.samples:
        run.cost["seconds_per_epoch"] = trainer.working * batches / trainer.steps
        run.cost["samples_per_second"] = trainer.samples / trainer.working
        run.cost["epoch"] = epoch
    if trainer.examples or not trainer.steps:  # a training on something else than samples has none to count
        add_examples(run, trainer.examples)


def grouped(parameters: Sequence[nn.Parameter] | Sequence[Group], params: TrainParams) -> list[Group]:
    """The groups among ``parameters``, and what is in none as one with the values of ``params``."""
    groups = [each for each in parameters if isinstance(each, Group)]
    loose = [each for each in parameters if not isinstance(each, Group)]
    return groups + ([Group(loose, params.learning_rate, params.clip_norm)] if loose else [])
