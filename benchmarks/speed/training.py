"""Epochs: of the base's training, of an adapter's and of CAGUL's, each against the plain loop, weights compared."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.embedded.data.make import make
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, training_cases
from unlearnbench.models.contract.edits import Adapter, Weights
from unlearnbench.runtime.memory import PeakMemory, held_memory
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE
from unlearnbench.training.adaptation import low_rank
from unlearnbench.training.base import memorise
from unlearnbench.training.loop import Shuffled
from unlearnbench.training.params import BaseParams
from unlearnbench.training.seeing import see_all

from ..cagul.plain import PlainCagul, PlainCross
from .case import Case, by_person, fresh, log_probabilities, resized
from .measure import Clock, Way, compare

PRECISION, PACKED_PRECISION = 1e-5, 5e-5
"""By which weights may differ in float32 after training; where sums go over other lengths, last digits differ more."""

RATE = 1e-4
"""AdamW moves a weight by so much whatever the size of its gradient, the last digits of one near zero included."""

SEED = 0

PEOPLE = 5
"""The fewest that there can be data of."""


def compared(
    case: Case, repeats: int, rate: float, *, full: bool, epochs: int = 1, batch_size: int = 32, questions: int = 1
) -> dict[str, Any]:
    """Training on the case's questions, seeing the pictures included; raises AssertionError where weights differ.

    With several ``questions`` about a picture in a batch, as large models are trained: under checkpointing too, and
    the memory of a step is measured.
    """
    taught = lessons(case)
    settings = {"epochs": epochs, "batch_size": batch_size, "full": full, "enough_loss": 1e-9, "learning_rate": RATE}
    settings |= {"lora.rank": 16, "lora.alpha": 32, "lora.dropout": 0}
    settings |= {"questions_per_picture": questions, "gradient_checkpointing": questions > 1}
    params = resolve(BaseParams, "base", "tiny", settings)

    def way(train: Callable[..., dict[str, Tensor]]) -> Way:
        def run(clock: Clock) -> dict[str, Tensor]:
            case.renew()
            return train(case.model, taught, params, clock)

        return run

    lines, results = compare({name: way(train) for name, train in WAYS.items()}, repeats, case.device, rate)
    one, other = results.values()
    case.renew()
    facts = {"model": case.name, "visual_tokens": case.visual_tokens, "pictures": len(case.images)}
    facts |= {"samples": len(taught), "epochs": epochs}
    if questions > 1:
        facts |= {"questions_per_picture": questions, "gradient_checkpointing": True}
        if case.device.type == "cpu" and case.side:
            kind = "base" if full else "lora"
            facts["peak_megabytes"] = {way: alone(case.name, way, case.side, kind) for way in WAYS}
    return facts | {
        "ways": lines,
        **agreement(one, other, case.must_agree, PACKED_PRECISION if questions > 1 else PRECISION),
    }


def lessons(case: Case) -> list[Sample]:
    """The case's questions with their answers."""
    return [
        replace(sample, query=Asked(sample.text, (image,)))
        for image, own in zip(case.images, by_person(len(case.images)), strict=True)
        for sample in own[: case.questions]
    ]


def alone(name: str, way: str, side: int, kind: str) -> int:
    """Megabytes that steps of 16 samples add at their peak, in a process of its own.

    Of the ``base`` or a ``lora`` a step of questions about two pictures, of ``cagul`` an epoch of one step.
    """
    words = [sys.executable, "-m", "benchmarks.speed.training", name, way, str(side), kind]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1])  # noqa: S603


def added(name: str, way: str, side: int, kind: str) -> int:
    """The same in this process."""
    with TemporaryDirectory() as folder:
        if kind == "cagul":
            joint = Joint(name, Path(folder), PEOPLE, 1, side, every=6)
            return _added(lambda: joint.run(way, Clock(torch.device("cpu"))))
        case = Case(name, Path(folder), 2, 8, side)
        settings = {"epochs": 1, "batch_size": 16, "questions_per_picture": 8, "gradient_checkpointing": True}
        params = resolve(BaseParams, "base", "tiny", settings | {"full": kind == "base"})
        return _added(lambda: WAYS[way](case.model, lessons(case), params, Clock(case.device)))


def _added(work: Callable[[], Any]) -> int:
    """Megabytes by which ``work`` raises what is held."""
    held = held_memory("cpu")
    with PeakMemory("cpu") as memory:
        work()
    return round((memory.peak - held) / 1e6)


def agreement(one: dict[str, Tensor], other: dict[str, Tensor], must: bool, within: float) -> dict[str, float]:
    """The largest difference of weights; raises AssertionError if it ``must`` be small and is not."""
    assert one.keys() == other.keys()
    with torch.no_grad():
        worst = max(float((one[name].float().cpu() - other[name].float().cpu()).abs().max()) for name in one)
    assert worst < within or not must, f"weights differ by {worst}"
    return {"largest_difference": worst}


def fast(model: Any, taught: Sequence[Sample], params: BaseParams, clock: Clock) -> dict[str, Tensor]:
    """As a run trains."""
    with clock:
        edit = memorise(model, taught, params, Run(SEED), "training")
    if isinstance(edit, Adapter):
        return adapter_weights(edit.peft)
    assert isinstance(edit, Weights)
    return edit.tensors


def plain(model: Any, taught: Sequence[Sample], params: BaseParams, clock: Clock) -> dict[str, Tensor]:
    """Pixels of every sample through the whole model in every step, logits of all tokens."""
    torch.manual_seed(SEED)
    peft = None if params.full else low_rank(model, params.lora)
    named = {**model.language_parameters(), **model.projector_parameters()} if params.full else adapter_weights(peft)
    if params.gradient_checkpointing:
        model.checkpoint_activations()
    with clock, model.training(named) if params.full else model.autocast():
        model.model.train()
        parameters, start = [*named.values()], [weight.detach().clone() for weight in named.values()]
        optimizer = torch.optim.AdamW(parameters, lr=params.learning_rate, weight_decay=params.weight_decay)
        batches = Shuffled(taught, params.batch_size, SEED, attrgetter("images"), params.questions_per_picture)
        steps = len(batches) * params.epochs
        schedule = get_cosine_schedule_with_warmup(optimizer, round(steps * params.warmup_ratio), steps)
        for epoch in range(1, params.epochs + 1):
            for batch in batches.epoch(epoch):
                optimizer.zero_grad()
                losses = log_probabilities(model, batch, [sample.answer for sample in batch])
                (-torch.stack([each.mean() for each in losses]).mean()).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(parameters, params.clip_norm)
                optimizer.step()
                schedule.step()
        model.model.eval()
        assert any(not torch.equal(*pair) for pair in zip(start, parameters, strict=True)), "nothing was trained"
    return {name: weight.detach().clone() for name, weight in named.items()}


WAYS = {"plain loop": plain, "unlearnbench": fast}
"""The ways of training, by what tables call them."""


def adapter_weights(peft: Any) -> dict[str, Any]:
    """What of an adapter is trained, by its names."""
    return {name: weight for name, weight in peft.named_parameters() if weight.requires_grad}


class Joint:
    """Samples of CAGUL's joint epoch, ``forget`` of ``people`` to be forgotten, and a gate that is trained already.

    ``side`` is the pictures' in pixels; None: as they ship. Of the samples one of ``every`` so many is taken.
    """

    def __init__(
        self, name: str, folder: Path, people: int, forget: int, side: int | None = None, every: int = 1
    ) -> None:
        self.name, self.side = name, side
        # The two steps with large pictures go at a rate that lets weights differ less whose gradients are near zero.
        rate = RATE if side else 1e-3
        self.params = CAGULParams(
            epochs=1, discriminator_epochs=4, batch_size=16, learning_rate=rate, k=8, discriminator_learning_rate=rate
        )
        make(folder, identities=people, scenes=1)
        sets = split_sets(read(folder), forget, PRIVATE)
        self.cases = training_cases(sets, self.params.refusals, Run(SEED))[::every]
        for path in {case.sample.image for case in self.cases} if side else ():
            resized(path, path.parent, side).replace(path)
        self._gate = self._trained_gate()  # the same for both ways: what is measured is the joint epoch

    def _trained_gate(self) -> dict[str, Tensor]:
        trainer = self._trainer(self.params.model_copy(update={"discriminator_learning_rate": 1e-3}))
        trainer.train_discriminator(self.cases, Run(SEED))
        return trainer.guard.modules["discriminator"].state_dict()

    def _trainer(self, params: CAGULParams) -> CAGULTrainer:
        model = fresh(self.name, "cpu", self.side)
        torch.manual_seed(SEED)
        return CAGULTrainer(model, Guard(model, params))

    def run(self, way: str, clock: Clock) -> dict[str, Tensor]:
        """The epoch in one of `WAYS`: what is trained, by its place."""
        parameters = {"plain loop": self._plain, "unlearnbench": self._fast}[way](clock)
        return {str(place): parameter.detach() for place, parameter in enumerate(parameters)}

    def _plain(self, clock: Clock) -> list[nn.Parameter]:
        model = fresh(self.name, "cpu", self.side)
        loop = (PlainCross if model.layered else PlainCagul)(model, self.params, SEED)
        loop.discriminator.load_state_dict(self._gate)
        with clock:
            loop.train_jointly(self.cases)
        return loop.parameters()

    def _fast(self, clock: Clock) -> list[nn.Parameter]:
        trainer = self._trainer(self.params)
        trainer.guard.modules["discriminator"].load_state_dict(self._gate)
        with clock:
            see_all(trainer.model, (case.sample.image for case in self.cases), Run(SEED))
            trainer.train_jointly(self.cases, Run(SEED))
        return [p for module in trainer.guard.modules.values() for p in module.parameters()]


def cagul(
    name: str, repeats: int, rate: float, people: int = 40, forget: int = 4, side: int | None = None, every: int = 1
) -> dict[str, Any]:
    """A joint epoch of CAGUL as `Joint` takes it; raises AssertionError where weights differ."""
    with TemporaryDirectory() as folder:
        joint = Joint(name, Path(folder), people, forget, side, every)
        ways: dict[str, Way] = {way: partial(joint.run, way) for way in WAYS}
        lines, results = compare(ways, repeats, torch.device("cpu"), rate)
        facts: dict[str, Any] = {"model": name, "people": people, "forget": forget, "samples": len(joint.cases)}
        if side:
            facts["visual_tokens"] = fresh(name, "cpu", side).see(joint.cases[0].sample.image).count
            facts["peak_megabytes"] = {way: alone(name, way, side, "cagul") for way in WAYS}
    return facts | {"ways": lines, **agreement(*results.values(), must=True, within=PRECISION)}


if __name__ == "__main__":
    print(added(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
