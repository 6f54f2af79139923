"""Drawn answers: by the model's own probabilities, and a query's own whatever batch it is asked in."""

import math
from collections import Counter
from typing import Any

import pytest
import torch

from unlearnbench.contracts.sample import Asked, Sample, Sampling
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.decoding import Drawn, generator
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for

WILD = Sampling(temperature=3.0, seed=5)


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama"])
def model(request: pytest.FixtureRequest) -> VLM:
    """For reading only."""
    return load(card_for(request.param), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample]) -> list[Asked]:
    """Three questions on each of two pictures, one on a third."""
    pictures = [asked[place].images for place in (0, 1, 0, 1, 0, 1, 5)]
    return [Asked(sample.text, images) for sample, images in zip(asked, pictures, strict=False)]


def said(model: VLM, queries: list[Asked], sampling: Any, *, shared: bool = False) -> list[str]:
    return model.generate(model.prepare(queries), max_new_tokens=10, sampling=sampling, shared=shared)


def test_an_answer_does_not_depend_on_its_batch(model: VLM, queries: list[Asked]) -> None:
    together = said(model, queries, WILD)
    assert together == [said(model, [query], WILD)[0] for query in queries]
    assert together == said(model, queries[::-1], WILD)[::-1]
    assert together == said(model, queries, WILD, shared=True)
    assert len(set(together)) == len(together)  # questions have draws of their own


def test_seeds_draw_other_answers_and_none_is_greedy(model: VLM, queries: list[Asked]) -> None:
    greedy = said(model, queries, None)
    several = said(model, [queries[0]] * 6, [Sampling(3.0, seed=seed) for seed in range(6)], shared=True)
    assert len({*several}) == 6
    mixed = said(model, queries, [WILD, None] * 3 + [WILD], shared=True)
    assert mixed[1::2] == greedy[1::2]
    assert mixed[::2] == said(model, queries, WILD)[::2]
    assert said(model, queries, Sampling(1e-4)) == said(model, queries, Sampling(top_p=1e-9)) == greedy


def test_a_models_own_penalties_depend_on_no_batch_either(queries: list[Asked]) -> None:
    """Padding, of which a batch has more or less, is nothing that was said."""
    model: Any = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.model.generation_config.repetition_penalty = 9.0
    model.model.generation_config.suppress_tokens = [*range(40, 120)]
    together = said(model, queries, WILD, shared=True)
    assert together == said(model, queries, WILD)
    assert together == [said(model, [query], WILD)[0] for query in queries]


@torch.no_grad()
def test_answers_are_those_of_a_loop_over_plain_logits(model: VLM, queries: list[Asked]) -> None:
    """Without caches or batches: the distribution, cut to the likeliest tokens, and one number a step."""
    rule = Sampling(temperature=2.0, top_p=0.8, seed=1)
    for query, found in zip(queries[:3], said(model, queries, rule, shared=True), strict=False):
        batch, draws, text = model.prepare([query]), generator(query, rule.seed), list[int]()
        while len(text) < 10 and text[-1:] != [model.end_token_id]:
            answered = model.prepare([query], [""])
            told = torch.cat([batch.input_ids[0], torch.tensor(text, dtype=torch.long), batch.input_ids[0, :1]])
            answered.input_ids = told[None]
            answered.attention_mask = torch.ones_like(answered.input_ids)
            answered.image_mask = answered.input_ids == model.image_token_id
            answered.answer_mask = torch.arange(len(told))[None] == len(told) - 1
            chances = (model.answer_logits(answered)[0].double() / 2).softmax(-1).tolist()
            kept, total = set[int](), 0.0
            for token in sorted(range(len(chances)), key=lambda each: -chances[each]):
                if total >= 0.8:
                    break
                kept.add(token)
                total += chances[token]
            left = torch.rand(1, generator=draws, dtype=torch.double).item() * total
            for token in sorted(kept):
                left -= chances[token]
                if left < 0:
                    break
            text.append(token)
        assert found == model.tokenizer.decode(text, skip_special_tokens=True).strip()


def test_a_whole_distribution_is_the_same_beside_one_that_is_cut() -> None:
    """It isn't sorted by itself, and sorting for another row's sake takes nothing from it."""
    asked, scores = [Asked(str(place)) for place in range(64)], torch.randn(64, 500) * 8
    cut = [Sampling(seed=1), Sampling(top_p=0.5, seed=1)] * 32
    alone, beside = (
        Drawn(asked, rules, torch.device("cpu"))(torch.zeros(64, 1), scores) for rules in ([Sampling(seed=1)] * 64, cut)
    )
    assert torch.equal(alone[::2], beside[::2])


def test_tokens_come_as_often_as_they_are_likely() -> None:
    """Counts of 4000 draws are within five standard deviations; what top_p cuts off never comes."""
    logits = torch.tensor([2.0, -1.0, 1.0, 0.5, -float("inf")])
    asked = [Asked(str(number)) for number in range(4000)]
    drawn = Drawn(asked, [Sampling(0.7, 0.9)] * len(asked), torch.device("cpu"))
    counts = Counter(drawn(torch.empty(0), logits.expand(len(asked), -1)).argmax(-1).tolist())
    weights = {token: math.exp(float(logits[token]) / 0.7) for token in (0, 2, 3)}
    assert {*counts} == {0, 2}  # these two hold more than 0.9
    chance = weights[0] / (weights[0] + weights[2])
    assert abs(counts[0] - chance * 4000) < 5 * math.sqrt(4000 * chance * (1 - chance))


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": math.inf}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_what_cannot_be_sampled_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="give a number"):
        Sampling(**options)  # type: ignore[arg-type]
