"""What CAGUL does to visual tokens: the right ones, the least attended, behind the gate alone."""

import hashlib

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.modules import Discriminator, RadialHead, least_attended, noisy
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.selection import Selector
from unlearnbench.models.contract.vlm import VLM


def test_least_attended_by_hand() -> None:
    scores = torch.tensor([[0.4, 0.1, 0.3, 0.2], [0.0, 0.3, 0.3, 0.2]])  # means .2 .2 .3 .2: ties by position
    assert least_attended(scores.mean(0), 2).tolist() == [0, 1]
    assert least_attended(scores.mean(0), 3).tolist() == [0, 1, 3]
    assert least_attended(scores.mean(0), 9).tolist() == [0, 1, 3, 2]


def test_selection_is_the_bottom_of_the_models_attention(model: VLM, sets: Sets) -> None:
    selector = Selector(model, CAGULParams(k=5))
    batch = model.prepare(sets.forget[:6])
    scores = model.attention(batch, [picture.tokens for picture in batch.pictures])
    for chosen, score in zip(selector.select(batch), scores, strict=True):
        mean = score.mean(0)
        rest = [i for i in range(len(mean)) if i not in chosen.tolist()]
        assert len(chosen) == 5
        assert mean[chosen].max() <= mean[rest].min()


def test_selection_is_computed_once_a_question(model: VLM, sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    selector = Selector(model, CAGULParams(k=5))
    asked: list[int] = []
    attention = model.attention
    monkeypatch.setattr(model, "attention", lambda batch, *rest: asked.append(len(batch)) or attention(batch, *rest))
    first = selector.select(model.prepare(sets.forget[:4]))
    again = selector.select(model.prepare(sets.forget[:6]))
    assert asked == [4, 2]
    assert all(torch.equal(a, b) for a, b in zip(first, again[:4], strict=True))


def generator(what: str, seed: int, sample: Sample) -> torch.Generator:
    """What a sample's draws come from, written out."""
    digest = hashlib.sha256(f"{what}\n{seed}\n{sample.image.name}\n{sample.text}".encode()).hexdigest()
    return torch.Generator().manual_seed(int(digest[:14], 16))


def test_random_selections_are_drawn_for_each_sample_and_seed(model: VLM, sets: Sets) -> None:
    params, asked = CAGULParams(k=5, selection="random"), sets.forget[:5]
    drawn = []
    for seed in (0, 1):
        together = Selector(model, params, seed).select(model.prepare(asked))
        apart = Selector(model, params, seed)  # whatever else is asked, and before
        alone = [apart.select(model.prepare([sample]))[0] for sample in reversed(asked)][::-1]
        drawn.append([chosen.tolist() for chosen in together])
        assert drawn[-1] == [chosen.tolist() for chosen in alone]
        for sample, chosen in zip(asked, drawn[-1], strict=True):
            order = torch.randperm(model.see(sample.image).count, generator=generator("selection", seed, sample))
            assert chosen == order[:5].tolist()
    assert len({tuple(chosen) for seed in drawn for chosen in seed}) == 10


def test_without_an_encoder_noise_is_added_that_each_sample_and_seed_draws(model: VLM, sets: Sets) -> None:
    params, batch = (
        CAGULParams(k=5, encoder="noise", discriminator="none", noise_scale=0.5),
        model.prepare(sets.forget[:3]),
    )
    visual = [picture.tokens for picture in batch.pictures]
    added = []
    for seed in (0, 1):
        guard = Guard(model, params, seed)
        rows = zip(sets.forget, guard(batch, visual), visual, guard.selector.select(batch), strict=False)
        for sample, seen, tokens, chosen in rows:
            uniform = torch.rand(5, model.width, generator=generator("noise", seed, sample))
            expected = tokens.clone()
            expected[chosen] += (2 * uniform - 1) * 3**0.5 * 0.5 * tokens[chosen].std()
            torch.testing.assert_close(seen, expected)
            added.append((seen - tokens)[chosen].flatten())
    assert torch.stack(added).corrcoef().triu(1).abs().max() < 0.2  # neither samples nor seeds share a draw


def test_only_selected_tokens_of_flagged_pictures_change(
    model: VLM, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams(k=6, encoder_init="random"))
    queries = [sets.others[0], sets.forget[0], sets.others[25], sets.nonprivate[0]]
    monkeypatch.setattr(guard, "flags", lambda pictures: [False, True, False, True])
    batch = model.prepare(queries)
    visual = [picture.tokens for picture in batch.pictures]
    seen = guard(batch, visual)
    assert seen[0] is visual[0]
    assert seen[2] is visual[2]
    assert guard.encoder is not None
    for row, chosen in zip((1, 3), guard.selector.select(batch.take([1, 3])), strict=True):
        changed = (seen[row] != visual[row]).any(-1).nonzero()[:, 0]
        assert sorted(chosen.tolist()) == changed.tolist()
        expected = F.linear(visual[row][chosen], guard.encoder.layer.weight, guard.encoder.layer.bias)
        torch.testing.assert_close(seen[row][chosen], expected)


def test_identity_encoder_changes_nothing(model: VLM, sets: Sets) -> None:
    guard = Guard(model, CAGULParams(k=6, discriminator="none"))
    batch = model.prepare(sets.forget[:3])
    visual = [picture.tokens for picture in batch.pictures]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(guard(batch, visual), visual, strict=True))


def test_discriminator_gives_one_logit_a_picture_whatever_their_sizes() -> None:
    torch.manual_seed(0)
    for head in ("radial", "linear"):
        network = Discriminator(8, 4, head)
        small, large = torch.randn(5, 8), torch.randn(9, 8)
        apart = torch.cat([network([small]), network([large])])
        torch.testing.assert_close(network([small, large]), apart)
        torch.testing.assert_close(network([small, small])[0], apart[0])


def test_the_radial_head_shuts_for_the_unfamiliar() -> None:
    torch.manual_seed(0)
    head = RadialHead(4)
    far = head(1e3 * torch.randn(20, 4))
    by_hand = head.radius + torch.stack(
        [-(head.log_sharpness.exp() * (torch.ones(4) - p).square().sum()) for p in head.prototypes]
    ).logsumexp(0)
    assert far.max() < -1e3
    torch.testing.assert_close(head(torch.ones(1, 4))[0, 0], by_hand)


def test_noise_has_the_spread_of_the_tokens_of_its_stream() -> None:
    tokens = torch.tensor([5.0, 0.1])[:, None, None] * torch.randn(2, 400, 64)
    noise = noisy(tokens, 2.0, torch.Generator().manual_seed(0)) - tokens
    for own, stream in zip(noise, tokens, strict=True):
        assert own.std() == pytest.approx(2 * float(stream.std()), rel=0.02)
        assert own.mean() == pytest.approx(0, abs=0.05 * float(stream.std()))
        assert own.abs().max() <= 2.01 * stream.std() * 3**0.5


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"noise_scale": 0.0}, {"refusals": ()}, {"refusals": (" ",)}, {"threshold": 1.0}, {"gate": "x"}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CAGULParams(**wrong)
