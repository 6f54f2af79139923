"""Fair budgets: where ascent stops, who the partners are, what a training saw, and how long its epochs took."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unlearnbench.contracts.sample import LEARNED, Asked, Sample, Sets
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run, Unseen
from unlearnbench.training.checkpoint import CheckpointFiles
from unlearnbench.training.loop import Shuffled, fit
from unlearnbench.training.params import Stopping, TrainParams
from unlearnbench.training.stopping import EarlyStopping, unseen_loss, within_reach
from unlearnbench.training.unlearning import Paired

MADE_UP = Sets(forget=("f",) * 9, nonprivate=(), others=("o",), forgotten=("1",))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- where ascent stops
def curve(samples: Sequence[Any]) -> Iterator[float]:
    """A forget loss that rises by a quarter of a nat a look, from an eighth."""
    return iter([0.125 + 0.25 * look for look in range(99)])


@pytest.mark.parametrize(
    ("rule", "bound", "step"),
    [
        ({"forget_ratio": 1.0}, 0.875, 3),  # 0.125, 0.375, 0.625, 0.875: reached, not passed
        ({"forget_ratio": 0.5}, 0.4375, 2),
        ({"forget_ratio": 2.0}, 1.75, 7),
        ({"forget_ratio": 2.0, "forget_loss": 1.0}, 1.0, 4),
        ({"forget_ratio": 1.0, "forget_loss": 1.0}, 0.875, 3),
        ({"forget_loss": 1.0}, 1.0, 4),
        ({"forget_ratio": 1.0, "every": 2}, 0.875, 6),  # three looks at every other step
    ],
)
def test_ascent_stops_at_the_first_look_at_the_strangers_loss(rule: dict[str, Any], bound: float, step: int) -> None:
    losses = curve(())
    run = Run(unseen=lambda most: Unseen(0.875, 5, most))
    stopping = EarlyStopping(Stopping(**{"every": 1} | rule), MADE_UP, lambda samples: next(losses), run)
    said = {at: stopping(at) for at in range(1, 30)}
    assert min(at for at, why in said.items() if why) == step
    assert said[step] == "forget loss reached its bound"
    assert stopping.note["limit"]["forget_loss"] == bound
    if "forget_ratio" in rule:
        assert stopping.note["limit"]["strangers"] == {"loss": 0.875, "people": 5, "questions": 100}


def test_without_strangers_nats_alone_bound_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def told(**rule: Any) -> tuple[Any, str]:
        caplog.clear()
        stopping = EarlyStopping(Stopping(every=1, **rule), MADE_UP, lambda samples: 4.0, Run())
        return stopping.note["limit"]["forget_loss"], "\n".join(caplog.messages)

    with caplog.at_level(logging.WARNING):
        bound, warning = told(forget_ratio=1.0, forget_loss=5.0)
        assert bound == 5.0
        assert "no strangers" in warning
        assert "stop.forget_loss=5 alone bounds ascent" in warning
        assert "nothing bounds ascent" in told(forget_ratio=1.0)[1]
        assert told(forget_loss=5.0) == (5.0, "")


def test_the_estimate_is_the_models_own_loss_with_the_forget_sets_share_of_each_kind(model: VLM, people: Sets) -> None:
    others = list(dict.fromkeys(sample.cluster for sample in people.others))[:3]
    strangers = tuple(sample for sample in people.others if sample.cluster in others)
    forget = tuple(s for s in people.forget if s.question.group == "health")[:9]
    forget += tuple(s for s in people.forget if s.question.group == "criminal")[:3]
    sets = replace(people, forget=forget, strangers=strangers)
    model.model.train()

    def loss(sample: Sample) -> float:
        with torch.no_grad():
            [tokens] = model.answer_log_probabilities(model.prepare([sample], [sample.answer]))
        return -float(tokens.mean())

    found = unseen_loss(model, sets, 1000)
    assert model.model.training  # as it was
    model.model.eval()
    of = {kind: [loss(s) for s in strangers if s.tags == kind] for kind in {s.tags for s in forget}}
    assert {kind[0] for kind in of} == {"health", "criminal"}
    means = [sum(of[s.tags]) / len(of[s.tags]) for s in forget]
    assert found is not None
    assert found.loss == pytest.approx(sum(means) / len(means), rel=1e-5)
    assert (found.people, found.questions) == (3, sum(map(len, of.values())))
    few = unseen_loss(model, sets, 8)
    assert few is not None
    kinds = Counter(s.tags for s in forget).values()
    assert few.questions == sum(max(1, 8 * number // len(forget)) for number in kinds)  # one at least of each
    assert unseen_loss(model, replace(sets, strangers=()), 1000) is None
    biography = tuple(s for s in strangers if s.question.group == "biography")
    assert unseen_loss(model, replace(sets, strangers=biography), 1000) is None


def test_a_method_gets_a_number_and_nobody_whom_only_a_score_may_rest_on(model: VLM, people: Sets) -> None:
    sets, run = replace(people, strangers=people.others[:20], acquaintances=people.others[20:40]), Run()
    within = within_reach(sets, model, run)
    assert people.held_out
    assert within == replace(people, held_out=(), strangers=(), acquaintances=())
    assert within.validation == people.validation != ()
    ideal = within_reach(sets, model, Run(), ideal=True)  # learns what the base learns, but for the forget set
    assert ideal == replace(people, strangers=(), acquaintances=())
    assert run.unseen(10) == unseen_loss(model, sets, 10)
    assert Counter(run.set_of.values()) == {
        "forget": len(people.forget),
        "nonprivate": len(people.nonprivate),
        "others": len(people.others),
        "validation": len(people.validation),
        "held_out": len(people.held_out),
    }


# ----------------------------------------------------------------------------------------------- who the partners are
def rows_of(sets: Sets, partners: Any, epoch: int = 1) -> list[list[tuple[Sample, str, Sample]]]:
    return [*Paired(sets, ("no", "never"), 6, 4, partners).epoch(epoch)]


def test_partners_are_of_the_set_that_is_asked_for(people: Sets) -> None:
    drawn = {
        kind: [row[2] for batch in rows_of(people, kind) for row in batch] for kind in ("retain", "mixed", "nonprivate")
    }
    assert {*drawn["nonprivate"]} <= {*people.nonprivate}
    assert {*drawn["retain"]} <= {*people.retain}
    for batch in rows_of(people, "mixed"):
        kinds = Counter("own" if row[2] in people.nonprivate else "other" for row in batch)
        assert kinds["own"] - kinds["other"] == len(batch) % 2
    assert len({sample.id for sample in drawn["mixed"] if sample in people.others}) > 10
    forgotten = [[row[:2] for batch in rows_of(people, kind) for row in batch] for kind in drawn]
    assert forgotten[0] == forgotten[1] == forgotten[2]  # partners change nothing else
    assert rows_of(people, "mixed") == rows_of(people, "mixed") != rows_of(people, "mixed", epoch=2)


def test_retain_partners_are_drawn_uniformly_as_they_always_were(people: Sets) -> None:
    generator = torch.Generator().manual_seed(4 * 1_000_003 + 1)
    order = torch.randperm(len(people.forget), generator=generator).tolist()
    partners = torch.randint(len(people.retain), (len(people.forget),), generator=generator).tolist()
    expected = [(people.forget[a], people.retain[b]) for a, b in zip(order, partners, strict=True)]
    assert [(row[0], row[2]) for batch in rows_of(people, "retain") for row in batch] == expected


def test_where_everything_is_private_partners_are_the_others(people: Sets) -> None:
    private = replace(people, nonprivate=())
    assert rows_of(private, "mixed") == rows_of(private, "retain")
    with pytest.raises(UsageError, match=r"partners=nonprivate: .*choose partners=retain"):
        rows_of(private, "nonprivate")


def test_partners_match_a_sample_by_cluster_or_by_question(people: Sets) -> None:
    def drawn(sets: Sets, kind: str, epoch: int = 1) -> list[tuple[Sample, Sample]]:
        return [(row[0], row[2]) for batch in rows_of(sets, kind, epoch) for row in batch]

    own = drawn(people, "same-cluster")
    assert all(a.cluster == b.cluster and b in people.nonprivate for a, b in own)
    assert {a for a, _ in own} == {*people.forget}
    same = drawn(people, "same-question")
    assert all(a.cluster != b.cluster and b in people.retain for a, b in same)
    for a, b in same:  # in the same words, where somebody else is asked in these
        worded = any(a.text == other.text and a.cluster != other.cluster for other in people.retain)
        assert a.text == b.text if worded else a.tags == b.tags
    assert sum(a.text == b.text for a, b in same) > len(same) / 2
    assert same == drawn(people, "same-question") != drawn(people, "same-question", epoch=2)
    assert len({b.id for _, b in same}) > len(same) / 2  # not always the same person
    asked = replace(people, others=tuple(replace(s, query=Asked(f"And {s.text}", s.images)) for s in people.others))
    tagged = drawn(asked, "same-question")
    assert all(a.tags == b.tags and a.cluster != b.cluster for a, b in tagged)


def test_what_nothing_matches_is_named(people: Sets) -> None:
    first = people.forget[0].id
    for kind in ("same-cluster", "same-question"):
        with pytest.raises(UsageError, match=rf"partners={kind}: nothing to keep matches the question {first}"):
            rows_of(replace(people, nonprivate=(), others=people.others[:1] * (kind == "same-cluster")), kind)


# ----------------------------------------------------------------------------------------------- what a training saw
class Killed(BaseException):
    """Stands for SIGKILL."""


def train(
    batches: Any, run: Run, killed_at: int | None = None, epochs: int = 3, asks: Any = None, advance: Any = None
) -> None:
    """Fit a line to nothing in particular; killed before a step, if it is to be."""
    net, steps = nn.Linear(1, 1), 0

    def loss(batch: list[Any]) -> dict[str, torch.Tensor]:
        nonlocal steps
        if steps == killed_at:
            raise Killed
        steps += 1
        if asks:
            asks(batch)
        if advance:
            advance(2.0)
        return {"loss": net.weight.square().sum()}

    class Look:
        """Never ends a training, and takes its time."""

        def __call__(self, step: int) -> None:
            if advance:
                advance(5.0)

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: dict[str, Any]) -> None:
            assert state == {}

    fit([*net.parameters()], batches, loss, TrainParams(epochs=epochs, batch_size=7), run, stop=Look())


def test_every_sample_of_every_batch_counts_in_its_set(people: Sets) -> None:
    run = Run(set_of=people.set_of)
    batches = Shuffled((*people.forget, *people.nonprivate, *people.others[:11]), 7, seed=1)
    train(batches, run)
    ids = {name: {s.id for s in getattr(people, name)} for name in LEARNED}
    counted = Counter(
        next(name for name, own in ids.items() if sample.id in own)
        for epoch in (1, 2, 3)
        for batch in batches.epoch(epoch)
        for sample in batch
    )
    assert run.cost["examples"] == dict(counted) | {"validation": 0, "held_out": 0}
    assert run.cost["epoch"] == "one pass over its batches"
    train(Shuffled(people.others[:5], 7, seed=1), run)  # a second training of the stage
    assert run.cost["examples"]["others"] == counted["others"] + 15


def test_a_stage_that_divides_nothing_counts_all(people: Sets) -> None:
    run = Run()
    train(Shuffled([("a pair", sample) for sample in people.others[:8]], 7, seed=1), run)
    assert run.cost["examples"] == {"all": 24}
    other = Run()
    train(Shuffled([1.0, 2.0], 7, seed=1), other)
    assert "examples" not in other.cost  # no samples, nothing to count


def test_what_a_loss_draws_by_itself_counts_too(model: VLM, people: Sets) -> None:
    def asks(batch: list[Sample]) -> None:
        for _ in range(2):  # asked twice, seen once
            model.prepare([*batch, people.nonprivate[0], people.others[0], people.others[0]])

    run = Run(set_of=people.set_of)
    train(Shuffled(people.forget[:10], 7, seed=1), run, asks=asks)
    model.prepare([people.held_out[0]])  # after the training
    assert run.cost["examples"] == {"forget": 30, "nonprivate": 6, "others": 12, "validation": 0, "held_out": 0}


def test_an_interrupted_training_counts_what_was_seen_before(people: Sets, tmp_path: Path) -> None:
    batches = Shuffled(people.forget, 7, seed=1)
    with pytest.raises(Killed):
        train(batches, Run(checkpoints=CheckpointFiles(tmp_path, 0.0), set_of=people.set_of), killed_at=4)
    run = Run(checkpoints=CheckpointFiles(tmp_path, 0.0), set_of=people.set_of)
    train(batches, run)
    assert run.cost["examples"]["forget"] == 3 * len(people.forget)


def test_an_epoch_lasts_as_long_as_its_steps_without_the_looks(people: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    run = Run()
    train(Shuffled(people.others[:20], 7, seed=1), run, epochs=2, advance=advance)
    assert run.cost["seconds_per_epoch"] == 3 * 2.0
    assert run.cost["samples_per_second"] == 2 * 20 / (6 * 2.0)
    assert run.cost["train_seconds"] == 6 * (2.0 + 5.0)
