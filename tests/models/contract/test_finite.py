"""Weights that are not finite: whatever way a question is asked, there is an error and no answer."""

from typing import Any

import pytest
import torch

from tests.models.in_order import answers, log_probabilities
from unlearnbench.contracts.sample import Sample
from unlearnbench.errors import ModelError
from unlearnbench.models.contract.decoding import SHOWN
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama"])
def own(request: pytest.FixtureRequest) -> VLM:
    """A model that may be changed and is put right again."""
    return load(card_for(request.param), "cpu")


@pytest.fixture(params=[float("nan"), float("inf")], ids=["nan", "inf"])
def broken(request: pytest.FixtureRequest, own: VLM) -> Any:
    """The same with a norm of its last layer that is not finite."""
    [weight] = [p for name, p in own.language_parameters().items() if name.endswith("language_model.norm.weight")]
    before = weight.detach().clone()
    weight.data.fill_(request.param)
    yield own
    weight.data.copy_(before)


@pytest.mark.parametrize("shares", [True, False], ids=["shared prefixes", "each from its start"])
def test_a_question_without_finite_logits_is_named(broken: VLM, asked: list[Sample], shares: bool) -> None:
    about = [sample for sample in asked if sample.image == asked[0].image] * 2  # two that could share their beginning
    pairs = [(sample, sample.answer) for sample in about]
    broken.shares_prefixes = shares
    for ask in (
        lambda: answers(broken, about, Run(), max_new_tokens=3),
        lambda: log_probabilities(broken, pairs, Run()),
        lambda: broken.generate(broken.prepare(about), max_new_tokens=3, shared=shares),
    ):
        with pytest.raises(ModelError) as error:
            ask()
        said = str(error.value)
        assert any(sample.text[:SHOWN] in said for sample in about)
        assert f"about {about[0].image.name}, so there is no answer: training diverged (lower the learning" in said


def test_one_row_among_sound_ones_is_the_one_that_is_named(own: VLM, asked: list[Sample]) -> None:
    others = [sample for sample in asked if sample.image != asked[0].image][:2]
    own.visual_edit = lambda batch, visual: [
        tokens * float("nan") if query.images[0] == asked[0].image else tokens
        for query, tokens in zip(batch.queries, visual, strict=True)
    ]
    try:
        assert len(answers(own, others, Run(), max_new_tokens=2)) == 2
        with pytest.raises(ModelError, match=asked[0].image.name):
            answers(own, [*others, asked[0]], Run(), max_new_tokens=2)
    finally:
        own.visual_edit = None


def test_suppressed_tokens_and_what_is_minus_infinity_leave_answers(own: VLM, asked: list[Sample]) -> None:
    plain = answers(own, asked[:4], Run(), max_new_tokens=2)
    own.model.generation_config.suppress_tokens = [own.tokenizer.vocab_size - 1]
    try:
        assert answers(own, asked[:4], Run(), max_new_tokens=2) == plain
    finally:
        own.model.generation_config.suppress_tokens = None


def test_answers_without_text_are_counted(own: VLM, asked: list[Sample], caplog: pytest.LogCaptureFixture) -> None:
    ended = own.end_token_id
    head = own.model.get_output_embeddings().weight
    before = head.detach().clone()
    run = Run()
    answers(own, asked[:3], run, max_new_tokens=2, what="asking")
    assert "empty_answers" not in run.notes
    others = torch.arange(len(head)) != ended
    try:
        own.model.generation_config.suppress_tokens = others.nonzero()[:, 0].tolist()
        assert answers(own, asked[:3], run, max_new_tokens=2, what="asking") == [""] * 3
    finally:
        own.model.generation_config.suppress_tokens = None
    assert torch.equal(before, head)
    assert run.notes["empty_answers"] == {"asking": 3}
    assert "asking: all 3 answers are empty" in caplog.text
