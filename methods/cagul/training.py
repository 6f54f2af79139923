"""CAGUL's training: two phases on a frozen model (eq. 10-13), frozen quantities computed once.

The gradient reaches the encoder only through samples whose picture the gate lets through. Every other sample has a
constant loss, so its pass through the language model is left out; with cached visual tokens and selections that
leaves a fraction of the work and changes no update (`tests/methods/cagul/test_training.py` compares the weights).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearnbench import (
    VLM,
    EarlyStopping,
    Group,
    Run,
    Sample,
    Sets,
    Shuffled,
    answer_nll,
    fit,
    kl_from_reference,
    see_all,
)

from .edit import Guard
from .params import CAGULParams

_log = logging.getLogger(__name__)

EPOCH = "one pass over all samples"
"""What a row says that an epoch is; what is left out of it, being constant, was seen."""


@dataclass(frozen=True)
class TrainingCase:
    """A training sample with the ``answer`` whose loss counts; ``flagged`` is D's label for each of its pictures.

    ``gates`` tells which of them are let through in a step.
    """

    sample: Sample
    answer: str
    forget: bool
    flagged: bool
    gates: tuple[bool, ...] = ()


def train(model: VLM, sets: Sets, params: CAGULParams, run: Run) -> Guard:
    """Train D alone, then D and E together; returns them as the model's `Guard`."""
    torch.manual_seed(run.seed)
    guard = Guard(model, params, run.seed)
    ascends = params.loss != "po-gd"
    cases = training_cases(sets, None if ascends else params.refusals, run)
    see_all(model, (image for case in cases for image in case.sample.images), run)
    trainer = CAGULTrainer(model, guard)
    trainer.train_discriminator(cases, run)
    stopping = EarlyStopping(params.stop, sets, trainer.measured_nll, run) if ascends else None
    trainer.train_jointly(cases, run, stopping)
    if stopping:
        run.notes["early_stopping"] = stopping.note
    shares = flagged_shares(model, guard, sets)
    run.notes["cagul"] = {"flagged": shares} | _without_choice(model, params.k, sets)
    if shares.get("forget") == 0.0:
        _log.warning("the gate opens for no picture to be forgotten: all is answered as before; train D for longer")
    guard.trainable_parameters = sum(p.numel() for module in guard.modules.values() for p in module.parameters())
    return guard


def _without_choice(model: VLM, k: int, sets: Sets) -> dict[str, Any]:
    """What to note, and to warn of, where pictures to be forgotten have no more than ``k`` tokens: none is chosen."""
    pictures = dict.fromkeys(image for sample in sets.forget for image in sample.images)
    lengths = [len(model.see(path).tokens) for path in pictures]
    if not (whole := sum(length <= k for length in lengths)):
        return {}
    _log.warning(
        "of %d of %d pictures to be forgotten all tokens are replaced, as they have no more than k=%d (the smallest "
        "%d): nothing is selected; set a smaller k",
        *(whole, len(lengths), k, min(lengths)),
    )
    return {"replaced_wholly": {"pictures": whole, "of": len(lengths)}}


def flagged_shares(model: VLM, guard: Guard, sets: Sets) -> dict[str, float]:
    """The share of pictures that the gate lets through; the validation set has faces that D never saw."""
    shares = {}
    for name, samples in {"forget": sets.forget, "others": sets.others, "validation": sets.validation}.items():
        pictures = [model.see(path) for path in dict.fromkeys(image for sample in samples for image in sample.images)]
        if pictures:
            shares[name] = sum(guard.flags(pictures)) / len(pictures)
    return shares


def training_cases(sets: Sets, refusals: tuple[str, ...] | None, run: Run) -> list[TrainingCase]:
    """Every sample with its answer; forget samples with a refusal drawn for each, if there are ``refusals``."""
    if refusals is None:
        forget = [TrainingCase(sample, sample.answer, True, True) for sample in sets.forget]
    else:
        drawn = torch.randint(len(refusals), (len(sets.forget),), generator=run.generator()).tolist()
        forget = [
            TrainingCase(sample, refusals[index], True, True) for sample, index in zip(sets.forget, drawn, strict=True)
        ]
    nonprivate = [TrainingCase(sample, sample.answer, False, True) for sample in sets.nonprivate]
    others = [TrainingCase(sample, sample.answer, False, False) for sample in sets.others]
    return forget + nonprivate + others


def opened(cases: Sequence[TrainingCase]) -> list[bool]:
    """The gates of all cases' pictures, one after the other."""
    return [gate for case in cases for gate in case.gates]


class CAGULTrainer:
    """The losses of eq. 10-13 over a batch of cases, and the two phases that descend them."""

    def __init__(self, model: VLM, guard: Guard) -> None:
        self.model, self.guard, self.params = model, guard, guard.params

    def train_discriminator(self, cases: list[TrainingCase], run: Run) -> None:
        """Phase one: D alone."""
        if self.guard.discriminator is None:
            return
        fit(
            self.groups("discriminator"),
            Shuffled(cases, self.params.batch_size, run.seed),
            lambda batch: {"discriminator": self.discriminate(batch)[0]},
            self.params.model_copy(update={"epochs": self.params.discriminator_epochs}),
            run,
            what="CAGUL: discriminator",
            epoch=EPOCH,
        )

    def train_jointly(self, cases: list[TrainingCase], run: Run, stopping: EarlyStopping | None = None) -> None:
        """Phase two: D and E together, each by its own part of the loss alone."""
        if not self.guard.modules:
            return
        outcome = fit(
            self.groups("discriminator", "encoder"),
            Shuffled(cases, self.params.batch_size, run.seed + 1),
            self.losses,
            self.params,
            run,
            what="CAGUL: discriminator and encoder",
            stop=stopping,
            epoch=EPOCH,
        )
        run.notes["training"] = outcome.note

    def groups(self, *names: str) -> list[Group]:
        """Each module at its own rate and clipped by its own norm: D learns the same whatever E is taught."""
        rates = {"discriminator": self.params.discriminator_learning_rate, "encoder": self.params.learning_rate}
        return [
            Group(list(module.parameters()), rates[name], self.params.clip_norm)
            for name, module in self.guard.modules.items()
            if name in names
        ]

    def losses(self, batch: list[TrainingCase]) -> dict[str, Tensor]:
        """L_D + L_PO + L_GD (eq. 13), or what table 5 puts in their place; sums divided by the batch's size."""
        if self.guard.discriminator is None:
            parts, gates = {}, [(True,) * len(case.sample.images) for case in batch]
        else:
            loss, predicted = self.discriminate(batch)
            parts = {"discriminator": loss}
            gates = predicted
            if self.params.gate == "label":
                gates = [(case.flagged,) * len(case.sample.images) for case in batch]
        if self.guard.encoder is None:
            return parts
        through = [replace(case, gates=its) for case, its in zip(batch, gates, strict=True) if any(its)]
        return parts | self.answers(through, len(batch))

    def discriminate(self, batch: list[TrainingCase]) -> tuple[Tensor, list[tuple[bool, ...]]]:
        """Eq. 10 and each case's gates: every distinct picture once, weighted by the samples that share it.

        The loss of a case is the sum over its pictures, of which there may be none.
        """
        assert self.guard.discriminator is not None
        pictures = [self.model.see(image) for case in batch for image in case.sample.images]
        if not pictures:
            return torch.zeros((), device=self.model.device), [()] * len(batch)
        distinct = {id(picture): place for place, picture in enumerate(pictures)}
        order = {identity: row for row, identity in enumerate(distinct)}
        logits = self.guard.discriminator([pictures[place].tokens for place in distinct.values()])
        logits = logits[[order[id(picture)] for picture in pictures]]
        labels = torch.tensor([float(case.flagged) for case in batch for _ in case.sample.images], device=logits.device)
        weight = torch.tensor(self.params.positive_weight, device=logits.device)
        loss = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
        flags = iter((logits.detach().sigmoid() >= self.params.threshold).tolist())
        return loss * (len(pictures) / len(batch)), [tuple(islice(flags, len(case.sample.images))) for case in batch]

    def answers(self, cases: list[TrainingCase], batch_size: int) -> dict[str, Tensor]:
        """The parts on the answers of cases that the gate lets through; the rest have constant losses."""
        if self.params.loss == "ga-kl":
            forget, retain = ([case for case in cases if case.forget == wanted] for wanted in (True, False))
            kl = self.total(retain, self.kl) / batch_size
            return {"forget": -self.total(forget, self.nll) / batch_size, "retain_kl": kl}
        forgets = torch.tensor([case.forget for case in cases], dtype=torch.bool, device=self.model.device)
        nll = self.nll(cases) if cases else torch.zeros(0, device=self.model.device)
        taught, retained = (nll * forgets).sum() / batch_size, (nll * ~forgets).sum() / batch_size
        return {"refuse" if self.params.loss == "po-gd" else "forget": self.sign * taught, "retain": retained}

    @property
    def sign(self) -> float:
        """Whether the loss of forget samples is descended or ascended."""
        return 1.0 if self.params.loss == "po-gd" else -1.0

    def total(self, cases: list[TrainingCase], loss: Callable[[list[TrainingCase]], Tensor]) -> Tensor:
        """The sum of a loss over cases, of which there may be none."""
        return loss(cases).sum() if cases else torch.zeros((), device=self.model.device)

    def nll(self, cases: list[TrainingCase]) -> Tensor:
        """The loss per token of each case's answer behind the encoder (eq. 11 and 12)."""
        batch = self.model.prepare([case.sample for case in cases], [case.answer for case in cases])
        visual = self.guard.replace(batch, self.model.look(batch), opened(cases))
        return answer_nll(self.model.answer_log_probabilities(batch, visual))

    def kl(self, cases: list[TrainingCase]) -> Tensor:
        """How far each case's answer behind the encoder is from what the frozen model says itself."""
        batch = self.model.prepare([case.sample for case in cases], [case.answer for case in cases])
        own = self.model.look(batch)
        with torch.no_grad():
            before = self.model.answer_log_distributions(batch, own)
        behind = self.guard.replace(batch, own, opened(cases))
        return kl_from_reference(self.model.answer_log_distributions(batch, behind), before)

    @torch.no_grad()
    def measured_nll(self, samples: Sequence[Sample]) -> float:
        """The mean loss per token of true answers as the guarded model answers now."""
        sums = []
        for start in range(0, len(samples), self.params.batch_size):
            part = samples[start : start + self.params.batch_size]
            batch = self.model.prepare(part, [sample.answer for sample in part])
            visual = self.guard(batch, self.model.look(batch))
            sums.append(answer_nll(self.model.answer_log_probabilities(batch, visual)).sum())
        return float(torch.stack(sums).sum()) / len(samples)
