"""CAGUL's training: two phases on a frozen model (eq. 10-13), frozen quantities computed once.

The gradient reaches the encoder only through samples whose picture the gate lets through. Every other sample has a
constant loss, so its pass through the language model is left out; with cached visual tokens and selections that
leaves a fraction of the work and changes no update (`tests/methods/cagul/test_training.py` compares the weights).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearnbench.data.questions import Sample, Sets
from unlearnbench.models.vlm import VLM
from unlearnbench.training.loop import Shuffled, fit
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.run import Run

from .edit import Guard
from .params import CAGULParams


@dataclass(frozen=True)
class Case:
    """A training sample: ``answer`` is a refusal where ``forget`` holds, else the truth; ``flagged`` is D's label."""

    sample: Sample
    answer: str
    forget: bool
    flagged: bool


def train(model: VLM, sets: Sets, params: CAGULParams, run: Run) -> Guard:
    """Train D alone, then D and E together; returns them as the model's `Guard`."""
    torch.manual_seed(run.seed)
    guard = Guard(model, params)
    cases = training_cases(sets, params.refusals, run)
    trainer = Trainer(model, guard)
    trainer.train_discriminator(cases, run)
    trainer.train_jointly(cases, run)
    run.notes["cagul"] = trainer.losses_at_the_end | {"flagged": flagged_shares(model, guard, sets)}
    guard.trainable_parameters = sum(p.numel() for module in guard.modules.values() for p in module.parameters())
    return guard


def flagged_shares(model: VLM, guard: Guard, sets: Sets) -> dict[str, float]:
    """The share of pictures that the gate lets through, of the people to be forgotten and of the others."""
    shares = {}
    for name, samples in {"forget": sets.forget, "others": sets.others}.items():
        pictures = [model.see(path) for path in dict.fromkeys(sample.image for sample in samples)]
        shares[name] = sum(guard.flags(pictures)) / len(pictures)
    return shares


def training_cases(sets: Sets, refusals: tuple[str, ...], run: Run) -> list[Case]:
    """Forget samples with a refusal drawn for each, retain samples with their answers."""
    generator = run.generator()
    drawn = torch.randint(len(refusals), (len(sets.forget),), generator=generator).tolist()
    forget = [Case(sample, refusals[index], True, True) for sample, index in zip(sets.forget, drawn, strict=True)]
    nonprivate = [Case(sample, sample.answer, False, True) for sample in sets.nonprivate]
    others = [Case(sample, sample.answer, False, False) for sample in sets.others]
    return forget + nonprivate + others


class Trainer:
    """The losses of eq. 10-13 over a batch of cases, and the two phases that descend them."""

    def __init__(self, model: VLM, guard: Guard) -> None:
        self.model, self.guard, self.params = model, guard, guard.params
        self.losses_at_the_end: dict[str, Any] = {}

    def train_discriminator(self, cases: list[Case], run: Run) -> None:
        """Phase one: D alone."""
        if self.guard.discriminator is None:
            return
        phase = self.params.model_copy(
            update={
                "epochs": self.params.discriminator_epochs,
                "learning_rate": self.params.discriminator_learning_rate,
            }
        )
        parameters = list(self.guard.discriminator.parameters())
        fit(
            parameters,
            Shuffled(cases, self.params.batch_size, run.seed),
            lambda batch: {"discriminator": self.discriminate(batch)[0]},
            phase,
            run,
            what="CAGUL: discriminator",
        )

    def train_jointly(self, cases: list[Case], run: Run) -> None:
        """Phase two: D and E together."""
        parameters = [p for module in self.guard.modules.values() for p in module.parameters()]
        if not parameters:
            return
        self.losses_at_the_end = fit(
            parameters,
            Shuffled(cases, self.params.batch_size, run.seed + 1),
            self.losses,
            self.params,
            run,
            what="CAGUL: discriminator and encoder",
        ).losses

    def losses(self, batch: list[Case]) -> dict[str, Tensor]:
        """L_D + L_PO + L_GD (eq. 13), each a sum over its samples divided by the batch's size."""
        if self.guard.discriminator is None:
            parts, gates = {}, [True] * len(batch)
        else:
            loss, predicted = self.discriminate(batch)
            parts = {"discriminator": loss}
            gates = predicted if self.params.gate == "predicted" else [case.flagged for case in batch]
        if self.guard.encoder is None:
            return parts
        through = [case for case, gate in zip(batch, gates, strict=True) if gate]
        return parts | self.answers(through, len(batch))

    def discriminate(self, batch: list[Case]) -> tuple[Tensor, list[bool]]:
        """Eq. 10 and the gates: every distinct picture once, weighted by the samples that share it."""
        assert self.guard.discriminator is not None
        pictures = [self.model.see(case.sample.image) for case in batch]
        distinct = {id(picture): place for place, picture in enumerate(pictures)}
        order = {identity: row for row, identity in enumerate(distinct)}
        logits = self.guard.discriminator([pictures[place].tokens for place in distinct.values()])
        logits = logits[[order[id(picture)] for picture in pictures]]
        labels = torch.tensor([float(case.flagged) for case in batch], device=logits.device)
        weight = torch.tensor(self.params.positive_weight, device=logits.device)
        loss = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
        return loss, (logits.detach().sigmoid() >= self.params.threshold).tolist()

    def answers(self, cases: list[Case], batch_size: int) -> dict[str, Tensor]:
        """Eq. 11 and 12 over the cases that the gate lets through; the rest have constant losses."""
        zero = torch.zeros((), device=self.model.device)
        if not cases:
            return {"refuse": zero, "retain": zero}
        batch = self.model.prepare([case.sample for case in cases], [case.answer for case in cases])
        visual = self.guard.replace(batch, [picture.tokens for picture in batch.pictures])
        nll = answer_nll(self.model.answer_log_probabilities(batch, visual))
        forget = torch.tensor([case.forget for case in cases], device=nll.device)
        return {"refuse": (nll * forget).sum() / batch_size, "retain": (nll * ~forget).sum() / batch_size}
