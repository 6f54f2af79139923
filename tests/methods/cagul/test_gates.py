"""CAGUL on queries with several pictures, each by its own gate, and on those without one, which it leaves alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnbench.contracts.sample import Asked, Sample, Sets
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, train, training_cases
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run

TEXT = "What is the capital of France?"


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama"])
def seeing(request: pytest.FixtureRequest) -> VLM:
    """A model of both kinds: tokens enter once, or each layer has its own."""
    return load(card_for(request.param), "cpu")


@pytest.fixture
def mixed(sets: Sets) -> list[Asked]:
    """Two pictures, none, one, and the two in the other order."""
    one, other = sets.forget[0].images[0], sets.others[0].images[0]
    asked = sets.forget[0].text
    return [Asked(asked, (one, other)), Asked(TEXT), Asked(asked, (one,)), Asked(asked, (other, one))]


class Knowing(nn.Module):
    """A discriminator that knows one picture's tokens."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, visual: list[Tensor]) -> Tensor:
        return torch.tensor([9.0 if torch.equal(tokens, self.tokens) else -9.0 for tokens in visual])


def knowing(model: VLM, forgotten: Path, **params: object) -> Guard:
    """A guard that flags just the one picture, and whose encoder makes other tokens."""
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams(k=3, encoder_init="random", **params))  # type: ignore[arg-type]
    guard.discriminator = Knowing(model.see(forgotten).tokens)  # type: ignore[assignment]
    return guard


def own(batch: Any) -> list[Tensor]:
    return [picture.tokens for picture in batch.pictures]


@pytest.mark.parametrize("params", [{}, {"encoder": "noise"}, {"selection": "random"}])
def test_each_picture_is_replaced_by_its_own_gate(seeing: VLM, mixed: list[Asked], params: dict[str, object]) -> None:
    forgotten = mixed[0].images[0]
    guard = knowing(seeing, forgotten, **params)
    batch = seeing.prepare(mixed)
    seen = guard(batch, own(batch))
    assert [tokens is not mine for tokens, mine in zip(seen, own(batch), strict=True)] == [
        image == forgotten for image in batch.images
    ]
    scores = seeing.attention(batch, own(batch))
    for place in (0, 2, 4):
        layers = seen[place] if seen[place].ndim == 3 else seen[place][None]
        by = scores[place] if seeing.layered else scores[place].mean(0, keepdim=True)
        valid = batch.pictures[place].valid
        for layer, score in zip(layers, by, strict=True):
            changed = (layer != own(batch)[place]).any(-1).nonzero()[:, 0].tolist()
            if "selection" not in params:
                shown = score if valid is None else score.masked_fill(~valid, float("inf"))
                assert changed == sorted(shown.argsort(stable=True)[:3].tolist())
            assert len(changed) == 3
    alone = guard(batch.take([3]), [own(batch)[place] for place in batch.places([3])])
    assert all(torch.equal(one, other) for one, other in zip(alone, seen[3:], strict=True))
    facts = guard.explain(batch, own(batch))
    assert [fact["flagged"] for fact in facts] == [image == forgotten for image in batch.images]
    assert [bool(fact["chosen"]) for fact in facts] == [image == forgotten for image in batch.images]


@pytest.mark.parametrize("params", [{}, {"discriminator": "none"}, {"encoder": "noise", "discriminator": "none"}])
def test_a_query_without_a_picture_is_answered_as_the_base_does(
    seeing: VLM, mixed: list[Asked], params: dict[str, object]
) -> None:
    """Also where every picture is replaced, and beside queries that have some."""
    answers = ["Paris"] * len(mixed)
    base = seeing.answer_log_probabilities(seeing.prepare(mixed, answers))
    guard = Guard(seeing, CAGULParams(k=3, encoder_init="random", **params))  # type: ignore[arg-type]
    if guard.discriminator is not None:
        guard = knowing(seeing, mixed[0].images[0])
    try:
        guard.apply(seeing)
        behind = seeing.answer_log_probabilities(seeing.prepare(mixed, answers))
        alone = seeing.prepare([mixed[1]])
        assert seeing.explain(alone) == guard.flags([]) == []
    finally:
        seeing.visual_edit = None
    assert torch.equal(base[1], behind[1])
    assert not torch.allclose(base[0], behind[0])


def test_losses_of_several_pictures_and_of_none(model: VLM, sets: Sets) -> None:
    """D's loss of a sample is the sum over its pictures; a sample without one has no part in any loss."""
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams(gate="label", encoder_init="random", k=6, positive_weight=3.0))
    trainer = CAGULTrainer(model, guard)
    forget, other = sets.forget[0], sets.others[0]
    both = Sample("both", forget.cluster, Asked(forget.text, (*forget.images, *other.images)), forget.answer)
    silent = Sample("silent", other.cluster, Asked(TEXT), "Paris")
    assert guard.discriminator is not None
    logits = guard.discriminator([model.see(path).tokens for path in both.images])
    cases = training_cases(Sets(forget=(both,), others=(other, silent)), ("No.",), Run(0))
    loss, gates = trainer.discriminate(cases)
    each = F.softplus(torch.cat([-logits, logits[1:]])) * torch.tensor([3.0, 3.0, 1.0])
    torch.testing.assert_close(loss, each.sum() / 3)
    assert [len(its) for its in gates] == [2, 1, 0]
    parts = trainer.losses(cases)
    batch = model.prepare([both], ["No."])
    expected = model.answer_log_probabilities(batch, guard.replace(batch, own(batch)))[0].mean() / -3
    torch.testing.assert_close(parts["refuse"], expected)
    assert float(parts["retain"].detach()) == 0  # neither the other's gate is open, nor is there one for the silent
    alone = trainer.losses(cases[2:])
    assert all(float(part) == 0 for part in alone.values())


def test_training_goes_on_whatever_the_number_of_pictures(model: VLM, sets: Sets) -> None:
    silent = [Sample(f"silent/{n}", "nobody", Asked(f"{TEXT} {n}"), "Paris") for n in range(3)]
    one, other = sets.forget[0], sets.others[0]
    both = Sample("both", one.cluster, Asked(one.text, (*one.images, *other.images)), one.answer)
    run = Run(0)
    few = Sets(forget=(both, *sets.forget[:2], silent[0]), others=(*sets.others[:2], *silent[1:]))
    params = CAGULParams(epochs=2, discriminator_epochs=2, batch_size=2, gate="label", k=6)
    guard = train(model, few, params, run)
    assert guard.encoder is not None
    assert not torch.equal(guard.encoder.layer.weight, torch.eye(model.width))
    blind = Sets(forget=(silent[0],), others=tuple(silent[1:]))
    untouched = train(model, blind, params, Run(0))
    assert untouched.encoder is not None
    assert torch.equal(untouched.encoder.layer.weight, torch.eye(model.width))
