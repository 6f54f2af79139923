"""Unlearning by training: what methods share that train weights or an adapter on pairs of forget and retain samples.

A method is a function from a batch of pairs to the parts of its loss; `Unlearning` gives it the quantities that losses
are made of, and trains.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import cycle, groupby, islice
from operator import attrgetter

import torch
from torch import Tensor

from ..contracts.sample import Sample, Sets
from ..errors import UsageError
from ..models.contract.edits import Trained
from ..models.contract.hidden import Positions
from ..models.contract.vlm import VLM
from ..runtime.run import Run
from .adaptation import Trainee, adapted
from .loop import GradientHook, Parts, drawn, fit
from .losses import answer_nll, kl_from_reference
from .params import DIVERGED, Partners, UnlearnParams
from .seeing import see_all
from .stopping import EarlyStopping


class Pairs:
    """A batch: forget samples, the refusal drawn for each, and as many retain samples.

    ``read`` says which of the samples the loss has asked for: only those count as seen.
    """

    def __init__(
        self, forget: list[Sample], refusals: list[str], retain: list[Sample | None], read: set[str] | None = None
    ) -> None:
        self._forget, self.refusals, self._retain = forget, refusals, retain
        self.read = set[str]() if read is None else read

    @classmethod
    def of(cls, rows: list["Pair"], read: set[str]) -> "Pairs":
        """Those of a batch; what the loss asks for is noted in ``read``."""
        forget, refusals, retain = map(list, zip(*rows, strict=True))
        return cls(forget, refusals, retain, read)

    @property
    def forget(self) -> list[Sample]:
        """Samples of the forget set."""
        self.read.add("forget")
        return self._forget

    @property
    def retain(self) -> list[Sample]:
        """Their partners; raises `UsageError` where the task has nothing that is to be kept."""
        self.read.add("retain")
        kept = [sample for sample in self._retain if sample is not None]
        if len(kept) < len(self._retain):
            raise UsageError("the loss asks for retain samples, and the task's sets have none: choose another method")
        return kept


@dataclass(frozen=True)
class Paired:
    """Batches of forget samples in shuffled order, each with a retain sample and a refusal drawn for it.

    ``seed`` and the epoch decide all of it; a sample keeps its refusal from epoch to epoch. ``partners`` are of the
    whole retain set, of its non-private part, or of this and the others by turns; or for each sample of those in the
    retain set that are of its cluster, or that ask the same of another cluster. Raises `UsageError` where there is no
    such question.

    Up to ``at_a_time`` forget samples that share their pictures follow each other, and partners that are drawn for such
    a row of samples share theirs too, where the rule is of whole sets: any is as likely as before.
    """

    sets: Sets
    refusals: Sequence[str]
    batch_size: int
    seed: int
    partners: Partners = "mixed"
    at_a_time: int = 1
    _matching: Mapping[str, Sequence[Sample]] = field(init=False, repr=False)
    """By the id of each forget sample those that may be its partner, where that depends on the sample."""

    def __post_init__(self) -> None:
        if self.partners == "nonprivate" and not self.sets.nonprivate:
            raise UsageError(
                "partners=nonprivate: every question about the forgotten people is private; choose partners=retain"
            )
        object.__setattr__(self, "_matching", matching(self.partners, self.sets))

    def __len__(self) -> int:
        return -(-len(self.sets.forget) // self.batch_size)

    def epoch(self, number: int) -> Iterator[list["Pair"]]:
        """The batches of one epoch."""
        forget = self.sets.forget
        kept = torch.randint(len(self.refusals), (len(forget),), generator=torch.Generator().manual_seed(self.seed))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = drawn(forget, generator, attrgetter("images"), self.at_a_time)
        rows = [
            (forget[index], self.refusals[int(kept[index])], partner)
            for index, partner in zip(order, self._partners(order, generator), strict=True)
        ]
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def _partners(self, order: Sequence[int], generator: torch.Generator) -> Sequence[Sample | None]:
        """One for each forget sample, in their order, drawn with repetition; None where nothing is to be kept."""
        sets, number = self.sets, len(self.sets.forget)
        if not sets.retain:
            return [None] * number
        if self._matching:
            own = [self._matching[sets.forget[index].id] for index in order]
            places = torch.rand(number, generator=generator).tolist()
            return [pool[int(place * len(pool))] for pool, place in zip(own, places, strict=True)]
        if self.partners == "mixed" and sets.nonprivate and sets.others:
            pools: tuple[tuple[Sample, ...], ...] = (sets.nonprivate, sets.others)
        else:
            pools = (sets.nonprivate if self.partners == "nonprivate" else sets.retain,)
        found = [torch.randint(len(pool), (number,), generator=generator).tolist() for pool in pools]
        if self.at_a_time > 1:
            alike = [sets.forget[index].images or index for index in order]
            for turn, pool in enumerate(pools):
                its = slice(turn, None, len(pools))
                found[turn][its] = _of_one_picture(alike[its], pool, found[turn][its], generator)
        turns = (place % len(pools) for place in range(number))
        return [pools[turn][found[turn][place]] for place, turn in enumerate(turns)]


def _of_one_picture(
    alike: Sequence[Hashable], pool: Sequence[Sample], found: Sequence[int], generator: torch.Generator
) -> list[int]:
    """Places in ``pool`` for samples of which neighbours are ``alike``: for each such row the pictures first ``found``.

    The others' are then drawn among what is asked about these, all of it once before any twice.
    """
    of = defaultdict[Hashable, list[int]](list)
    for place, sample in enumerate(pool):
        of[sample.images].append(place)
    chosen = list[int]()
    for _, row in groupby(range(len(alike)), key=lambda place: alike[place]):
        first, *others = (found[place] for place in row)
        mates = [place for place in of[pool[first].images] if place != first]
        again = [mates[at] for at in torch.randperm(len(mates), generator=generator).tolist()]
        chosen += [first, *islice(cycle([*again, first]), len(others))]
    return chosen


def matching(partners: Partners, sets: Sets) -> dict[str, list[Sample]]:
    """For each forget sample, by its id, the retain samples that match it; empty for a rule that matches nothing.

    The same is asked of another cluster in the same words or, where nobody else is asked in these, under the same tags.
    Raises `UsageError` for a sample that nothing matches.
    """
    if partners == "same-cluster":
        of_cluster = _by(lambda sample: sample.cluster, sets)
        pools = {sample.id: of_cluster[sample.cluster] for sample in sets.forget}
    elif partners == "same-question":
        asked, tagged = _by(lambda sample: sample.text, sets), _by(lambda sample: sample.tags, sets)
        pools = {
            sample.id: _elsewhere(asked[sample.text], sample)
            or (_elsewhere(tagged[sample.tags], sample) if sample.tags else [])
            for sample in sets.forget
        }
    else:
        return {}
    if alone := next((name for name, pool in pools.items() if not pool), None):
        raise UsageError(f"partners={partners}: nothing to keep matches the question {alone}; choose partners=retain")
    return pools


def _by(key: Callable[[Sample], Hashable], sets: Sets) -> Mapping[Hashable, list[Sample]]:
    """What is to be kept, by a ``key``; nothing for one that none has."""
    found = defaultdict[Hashable, list[Sample]](list)
    for sample in sets.retain:
        found[key(sample)].append(sample)
    return found


def _elsewhere(pool: Sequence[Sample], sample: Sample) -> list[Sample]:
    """Those of other clusters than the sample's."""
    return [each for each in pool if each.cluster != sample.cluster]


class Unlearning:
    """A model that is being made to forget, and what losses are made of."""

    def __init__(self, trainee: Trainee) -> None:
        self.trainee, self.model = trainee, trainee.model
        self._reference: dict[tuple[str, str], Tensor] = {}

    def log_probabilities(self, samples: Sequence[Sample], answers: Sequence[str] | None = None) -> tuple[Tensor, ...]:
        """Log-probability of every token of the true answers, or of other ``answers``; one tensor a sample."""
        return self.trainee.log_probabilities(
            self.model.prepare(samples, answers or [sample.answer for sample in samples])
        )

    def nll(self, samples: Sequence[Sample], answers: Sequence[str] | None = None) -> Tensor:
        """Mean over the samples of their answers' negative log-likelihood per token."""
        return answer_nll(self.log_probabilities(samples, answers)).mean()

    def kl(self, samples: Sequence[Sample]) -> Tensor:
        """Mean over the samples of KL(model before || model) on their answers' tokens."""
        batch = self.model.prepare(samples, [sample.answer for sample in samples])
        with self.before():
            before = self.trainee.log_distributions(batch)
        return kl_from_reference(self.trainee.log_distributions(batch), before).mean()

    def reference(self, samples: Sequence[Sample], answers: Sequence[str] | None = None) -> list[Tensor]:
        """`log_probabilities` of the model before; a constant of each sample and answer, computed once."""
        asked = [*zip(samples, answers or [sample.answer for sample in samples], strict=True)]
        new = {(sample.id, answer): sample for sample, answer in asked if (sample.id, answer) not in self._reference}
        if new:
            with self.before():
                values = self.log_probabilities([*new.values()], [answer for _, answer in new])
            self._reference |= dict(zip(new, values, strict=True))
        return [self._reference[sample.id, answer] for sample, answer in asked]

    def before(self) -> AbstractContextManager[None]:
        """The model as it was before, without gradients; not its adapter, or with the weights it had."""
        return self.trainee.reference()

    def hidden(
        self, samples: Sequence[Sample], blocks: Sequence[str], positions: Positions = "answer"
    ) -> dict[str, tuple[Tensor, ...]]:
        """What the model's `blocks` of these names give out over the samples' true answers (`VLM.hidden`)."""
        batch = self.model.prepare(samples, [sample.answer for sample in samples])
        return self.trainee.hidden(batch, blocks, positions)

    def measured_nll(self, samples: Sequence[Sample], batch_size: int) -> float:
        """The mean loss of ``samples`` as the model answers now, dropout off."""
        self.model.model.eval()
        try:
            with torch.no_grad():
                starts = range(0, len(samples), batch_size)
                sums = [self.nll(part) * len(part) for part in (samples[at : at + batch_size] for at in starts)]
            return float(torch.stack(sums).sum()) / len(samples)
        finally:
            self.model.model.train()


def asked_for(rows: list["Pair"], read: set[str]) -> Iterator[Sample]:
    """Of a step's pairs the samples that its loss has ``read``, which is then emptied for the next step."""
    for forget, _, retain in rows:
        yield from ([forget] if "forget" in read else []) + ([retain] if retain and "retain" in read else [])
    read.clear()


PairsLoss = Callable[[Unlearning, Pairs], Parts]
Pair = tuple[Sample, str, Sample | None]
"""A forget sample, its refusal and its partner, if there is one."""


def unlearn(
    model: VLM,
    sets: Sets,
    params: UnlearnParams,
    run: Run,
    loss: PairsLoss,
    *,
    refusals: Sequence[str] = ("",),
    needs_reference: bool = False,
    on_gradients: GradientHook | None = None,
    largest_loss: float = DIVERGED,
) -> Trained:
    """Train ``model`` on the sum of the parts of ``loss``; returns what changed.

    ``needs_reference`` keeps what training the model's own weights needs for `Unlearning.before`, and what rests on it;
    an adapter needs nothing. Training stops early if ``params`` have a rule for it; ``on_gradients`` is called between
    the backward pass and clipping; beyond ``largest_loss`` it counts as diverged. What came of it is in ``run.notes``,
    and in ``run.cost`` how many samples of each set the loss has asked for.
    """
    run.set_of = run.set_of or sets.set_of
    read: set[str] = set()
    # Not every method asks about the others.
    see_all(model, (image for sample in sets.forget for image in sample.images), run)
    with adapted(model, params, run.seed) as trainee:
        if needs_reference:
            trainee.remember()
        state = Unlearning(trainee)
        stopping = None
        if params.stops:
            at_once = params.micro_batch_size or params.batch_size
            measure = lambda samples: state.measured_nll(samples, at_once)  # noqa: E731
            stopping = EarlyStopping(params.stops, sets, measure, run)
        outcome = fit(
            trainee.parameters,
            Paired(sets, refusals, params.batch_size, run.seed, params.partners, params.questions_per_picture),
            lambda rows: loss(state, Pairs.of(rows, read)),
            params,
            run,
            what="unlearning",
            stop=stopping,
            on_gradients=on_gradients,
            largest_loss=largest_loss,
            together=lambda row: row[0].images,
            seen=lambda rows: asked_for(rows, read),
            epoch="one pass over the forget set",
        )
    if sum(run.cost.get("examples", {}).get(name, 0) for name in ("nonprivate", "others")):
        run.cost["epoch"] = "one pass over the forget set, a retain sample beside each of its samples"
    run.notes["training"] = outcome.note
    if stopping:
        run.notes["early_stopping"] = stopping.note
    return trainee.edit()
