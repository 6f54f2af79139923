"""Reading what questions share once gives what reading every prompt from its start does, for every family."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.models.tiny_families import EMBEDDED, FAMILIES, internvl, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.families.internvl import InternVL
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.fusion import prefix


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A trained model of both kinds, a random one of every further family."""
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Several questions on each of three pictures of different shapes, in no order; a fourth has one question."""
    sizes = [(112, 112), (96, 64), (64, 128), (112, 84)]
    pictures = resized([sample.image for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    places = [0, 1, 0, 2, 1, 0, 3, 2, 0, 1]
    return [Asked(sample.text, (pictures[place],)) for place, sample in zip(places, asked, strict=False)]


@contextmanager
def exactly(model: Any) -> Iterator[None]:
    """Every prompt read from its start."""
    before = model.shares_prefixes, model.static_cache
    model.shares_prefixes = model.static_cache = False
    try:
        yield
    finally:
        model.shares_prefixes, model.static_cache = before


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """How many tokens the language model's blocks read."""
    counts: list[int] = []

    def count(module: Any, args: Any, kwargs: Any) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        counts.append(given.shape[0] * given.shape[1])

    handle = model.language_model().layers[0].register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield counts
    finally:
        handle.remove()


@torch.no_grad()
def weighed(model: VLM, queries: list[Asked], answers: list[str]) -> tuple[torch.Tensor, ...]:
    return model.answer_log_probabilities(model.prepare(queries, answers), shared=True)


def alike(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> None:
    for each, its in zip(one, other, strict=True):
        torch.testing.assert_close(each, its, atol=1e-4, rtol=0)


def answers_for(queries: list[Asked]) -> list[str]:
    return [("Yes", "The blood type is A.", "red")[place % 3] for place in range(len(queries))]


def test_likelihoods_are_the_same_and_cost_less(model: Any, queries: list[Asked]) -> None:
    with counted(model) as fast:
        shared = weighed(model, queries, answers_for(queries))
    with exactly(model), counted(model) as slow:
        plain = weighed(model, queries, answers_for(queries))
    alike(shared, plain)
    shares = model.shares_prefixes and model.name != "mllama"  # whose pictures are read by other layers
    assert sum(fast) < sum(slow) if shares else sum(fast) <= sum(slow)


def test_answers_are_the_same(model: Any, queries: list[Asked]) -> None:
    shared = model.generate(model.prepare(queries), max_new_tokens=12, shared=True)
    with exactly(model):
        assert model.generate(model.prepare(queries), max_new_tokens=12, shared=True) == shared
    assert any(shared)


def test_several_answers_to_one_question(model: Any, queries: list[Asked]) -> None:
    """As true, paraphrased and perturbed answers are weighed."""
    pairs = [(query, answer) for query in queries[:2] for answer in ("Yes", "No, it is not.", "red", "Anna")]
    asked, texts = map(list, zip(*pairs, strict=True))
    shared = weighed(model, asked, texts)
    with exactly(model):
        alike(shared, weighed(model, asked, texts))


def test_the_same_sequence_of_pictures_is_read_once(model: Any, queries: list[Asked]) -> None:
    """The same ones in another order are another beginning; queries without a picture have none in common."""
    one, other = queries[0].images[0], queries[1].images[0]
    pictures = [(one, other), (), (other, one), (one, other), (one,), (one, other), ()]
    asked = [Asked(query.text, its) for query, its in zip(queries, pictures, strict=False)]
    batch = model.prepare(asked, answers_for(asked))
    read = prefix.shareable(model, batch, model.look(batch))
    assert read == ([] if model.model.config.model_type == "gemma3" else [0, 3, 5])  # whose layers look at a window
    shared = weighed(model, asked, answers_for(asked))
    said = model.generate(model.prepare(asked), max_new_tokens=8, shared=True)
    with exactly(model):
        alike(shared, weighed(model, asked, answers_for(asked)))
        assert model.generate(model.prepare(asked), max_new_tokens=8, shared=True) == said


def test_replaced_tokens_are_read_and_others_shared(model: Any, queries: list[Asked]) -> None:
    """An edit of one picture, as CAGUL makes for those to be forgotten."""
    chosen = queries[0].images[0]

    def edit(batch: Any, visual: list[torch.Tensor]) -> list[torch.Tensor]:
        return [
            tokens * -2.0 if query.images[0] == chosen else tokens
            for query, tokens in zip(batch.queries, visual, strict=True)
        ]

    edited = copy.copy(model)
    edited.visual_edit = edit
    shared = (
        weighed(edited, queries, answers_for(queries)),
        edited.generate(edited.prepare(queries), max_new_tokens=8, shared=True),
    )
    with exactly(edited):
        plain = (
            weighed(edited, queries, answers_for(queries)),
            edited.generate(edited.prepare(queries), max_new_tokens=8, shared=True),
        )
    alike(shared[0], plain[0])
    assert shared[1] == plain[1]
    unedited = weighed(model, queries, answers_for(queries))
    assert not torch.allclose(unedited[0], shared[0][0])


def test_a_question_that_holds_the_pictures_token_is_read_plainly(model: Any, queries: list[Asked]) -> None:
    """As in data of LLaVA's kind: families refuse it or read it, and the shared way does as the plain one."""
    strange = [*queries[:2], Asked(f"What is {model.processor.image_token} here?", queries[0].images), queries[5]]

    def outcome() -> Any:
        try:
            return weighed(model, strange, ["Yes"] * len(strange))
        except (ValueError, RuntimeError, IndexError) as error:
            return type(error)

    shared = outcome()
    with exactly(model):
        plain = outcome()
    if isinstance(plain, tuple):
        alike(shared, plain)
    else:
        assert shared is plain


@torch.no_grad()
def test_nothing_is_shared_unasked(model: Any, queries: list[Asked]) -> None:
    """Training compares what it weighs to the last digit."""
    batch = model.prepare(queries, answers_for(queries))
    with exactly(model):
        plain = model.answer_log_probabilities(batch)
    assert all(torch.equal(one, other) for one, other in zip(model.answer_log_probabilities(batch), plain, strict=True))


@pytest.mark.parametrize("setting", [{"repetition_penalty": 9.0}, {"no_repeat_ngram_size": 1}, {"eos_token_id": None}])
def test_the_models_own_settings_of_generation_hold(queries: list[Asked], setting: dict[str, Any]) -> None:
    """Qwen2.5-VL ships with a repetition penalty; what is not reproduced is left to `transformers`."""
    model: Any = load(card_for("tiny-qwen2.5-vl"), "cpu")
    before = model.generate(model.prepare(queries), max_new_tokens=12, shared=True)
    for name, value in setting.items():
        setattr(model.model.generation_config, name, value)
    shared = model.generate(model.prepare(queries), max_new_tokens=12, shared=True)
    with exactly(model):
        assert model.generate(model.prepare(queries), max_new_tokens=12, shared=True) == shared
    assert shared != before


def test_a_saved_family_is_read_from_its_files(tmp_path: Path) -> None:
    """Paths play no part in what is shared: two names of one picture are two pictures, and read twice."""
    Image.new("RGB", (112, 112), "red").save(tmp_path / "a.png")
    Image.new("RGB", (112, 112), "red").save(tmp_path / "b.png")
    model: Any = load(card_for("tiny-qwen2.5-vl"), "cpu")
    asked = [Asked("What is it?", (tmp_path / name,)) for name in ("a.png", "b.png", "a.png", "b.png")]
    one, other, *_ = weighed(model, asked, ["red"] * 4)
    torch.testing.assert_close(one, other)


def test_what_stands_before_the_picture_may_differ(
    model: Any, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No template that ships does so; each such beginning is read for itself."""
    own = model._prompts.prompt

    def hinted(question: str, pictures: Any) -> Any:
        hint = model.tokenizer(question[:4], add_special_tokens=False).input_ids
        ids, inside = own(question, pictures)
        return [*hint, *ids], [*[False] * len(hint), *inside]

    monkeypatch.setattr(model._prompts, "prompt", hinted)
    shared = weighed(model, queries, answers_for(queries))
    with exactly(model):
        alike(shared, weighed(model, queries, answers_for(queries)))


@pytest.mark.parametrize("window", [24, 100_000])
def test_layers_that_look_at_a_window_read_every_prompt_from_its_start(window: int, queries: list[Asked]) -> None:
    """Padding between a beginning and what follows it would push tokens out of the window."""
    torch.manual_seed(0)
    pretrained, processor = internvl(use_sliding_window=True, sliding_window=window, max_window_layers=0)
    model: Any = InternVL(pretrained.float(), processor)
    assert set(pretrained.config.text_config.layer_types) == {"sliding_attention"}
    with counted(model) as fast:
        shared = weighed(model, queries, answers_for(queries))
    with exactly(model), counted(model) as slow:
        alike(shared, weighed(model, queries, answers_for(queries)))
    assert (sum(fast) < sum(slow)) == (window > 24)
