"""Answers that are made to begin in some way: against plain generation of `transformers`, for every family."""

from typing import Any

import pytest
import torch

from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.data.pictures import open_picture
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.runtime.run import Run

BEGUN = ["Sure, it is", "the blood type", "", "a"]


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of every family; for reading only."""
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions on pictures of two shapes, two on the same, whose answers begin in different ways."""
    pictures = resized([each.images[0] for each in asked], [(112, 112), (96, 64)], tmp_path_factory.mktemp("pictures"))
    return [Asked(asked[n].text, (pictures[n % 2],), start) for n, start in enumerate(BEGUN)]


def prompted(model: Any, query: Asked) -> Any:
    """What the processor makes of the chat template's text with the answer's beginning behind it."""
    content = [{"type": "image"}, {"type": "text", "text": query.text}]
    chat = [{"role": "user", "content": content}]
    text = model.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) + query.begun
    bare = not (model.tokenizer.bos_token and text.startswith(model.tokenizer.bos_token))
    image = open_picture(query.images[0])
    return model.processor(text=[text], images=[[image]], return_tensors="pt", add_special_tokens=bare)


@torch.no_grad()
def test_answers_go_on_from_where_they_begin(model: Any, queries: list[Asked]) -> None:
    said = model.generate(model.prepare(queries), max_new_tokens=8)
    assert said == model.generate(model.prepare(queries), max_new_tokens=8, shared=True)
    for query, answer in zip(queries, said, strict=True):
        inputs = prompted(model, query)
        assert model.prepare([query]).input_ids.tolist() == inputs["input_ids"].tolist()
        plain = {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in inputs.items()}
        tokens = model.model.generate(**plain, max_new_tokens=8, do_sample=False, pad_token_id=0)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        assert answer == model.tokenizer.decode(new, skip_special_tokens=True).strip()


@torch.no_grad()
def test_a_likelihood_is_that_of_the_rest(model: Any, queries: list[Asked]) -> None:
    """The chance of two tokens is that of the first by that of the second after it; neither is the question's own."""
    query = Asked(queries[0].text, queries[0].images)
    [whole] = model.answer_log_probabilities(model.prepare([query], ["a b"]))
    spans = model.answer_spans("a b")
    start = "a b"[: spans[0][1]]
    batch = model.prepare([Asked(query.text, query.images, start)], ["a b"[spans[0][1] :]])
    [rest] = model.answer_log_probabilities(batch)
    assert rest.tolist() == pytest.approx(whole[1:].tolist(), abs=1e-4)
    assert not (batch.question_mask & batch.answer_mask).any()
    assert batch.question_mask.sum() == model.prepare([query]).question_mask.sum()


def test_a_journal_tells_beginnings_apart(model: Any, queries: list[Asked]) -> None:
    keys: list[list[Any]] = []

    class Heard:
        def once(self, question: Any, answer: Any) -> Any:
            keys.append(question)
            return answer()

    text, images = queries[0].text, queries[0].images
    for start in ("", "no", "yes"):
        query = Asked(text, images, start)
        ask(model, [Ask(0, query, 1)], Run(journal=Heard()), batch_size=1)
        ask(model, [Weigh(0, query, "a")], Run(journal=Heard()), batch_size=1)
    assert len({repr(key) for key in keys}) == 6
    assert keys[0][2] == [keys[0][2][0], text]  # no other than before answers could be begun
