"""Checks of a family of models: what it computes against `transformers` used plainly, on a tiny model of it.

Queries have no picture, one, two and three, in one padded batch; every number is compared with that of the same query
alone, its pixels and text given to the model as its processor makes them.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..contracts.sample import Asked
from ..errors import DataError, UsageError
from ..models.contract.edits import Weights
from ..models.contract.vlm import VLM, Batch
from ..models.files.card import ModelCard
from ..models.files.load import load
from ..models.files.outline import image_settings, outline
from ..models.files.source import card_for
from ..registry import families
from .expect import CheckError, expect, refused

CLOSE = 1e-4
"""How far log-probabilities in float32 may be from those of `transformers`: padding changes their last digits."""

SIDE = 224
"""Pixels of the square picture that is counted."""

SIZES = ((112, 112), (96, 64), (64, 128))
PICTURES: tuple[tuple[int, ...], ...] = ((0,), (), (1, 2), (0, 2, 0))
"""The pictures of each query, by number."""
TEXTS = ("Who is this?", "Say yes or no: is the sky blue?", "Do both show one person?", "Which one is another?")
ANSWERS = ("Yes", "The blood type is A.", "red", "No")


@dataclass(frozen=True)
class FamilyCase:
    """A model to be checked and what it is asked; whatever changes a model loads one of its own (`fresh`)."""

    card: ModelCard
    queries: list[Asked]

    @cached_property
    def model(self) -> VLM:
        """The model, for reading only."""
        return self.fresh()

    def fresh(self) -> VLM:
        """The model as its files have it."""
        return load(self.card, "cpu")

    @cached_property
    def batch(self) -> Batch:
        """All queries with their answers."""
        return self.model.prepare(self.queries, ANSWERS)

    @property
    def own(self) -> list[Tensor]:
        """The visual tokens of every picture of `batch`, unchanged."""
        return [picture.tokens for picture in self.batch.pictures]


def check_family(family: str | type[VLM], folder: Path | str) -> None:
    """Check a family, by its name or class, on the model in ``folder``: a tiny one with random weights will do.

    Its likelihoods, answers and attention must equal those of `transformers`; replaced visual tokens must be seen, and
    nothing else change; gradients, stored edits and counts must be right. Raises `CheckError` for the first that fails.
    """
    name = family if isinstance(family, str) else family.name
    with TemporaryDirectory() as drawn:
        case = FamilyCase(card_for(str(folder)), _queries(Path(drawn)))
        for check in CHECKS:
            try:
                check(case, name)
            except CheckError as error:
                raise CheckError(f"family {name}: {error}") from None


def _queries(folder: Path) -> list[Asked]:
    """Questions about pictures of noise, which no two models see alike."""
    for place, (width, height) in enumerate((*SIZES, (SIDE, SIDE))):
        noise = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(place))
        Image.fromarray(noise.to(torch.uint8).numpy()).save(folder / f"{place}.png")
    return [
        Asked(text, tuple(folder / f"{number}.png" for number in numbers))
        for text, numbers in zip(TEXTS, PICTURES, strict=True)
    ]


# -------------------------------------------------------------------------------------------------------- the class
def _contract(case: FamilyCase, name: str) -> None:
    expect(name in families and families.get(name) is type(case.model), f'register it with @family("{name}")')
    found = case.model.model.config.model_type
    expect(found == name, f"its name should be the model_type of its models' config.json, {found!r}")
    expect(case.model.tokenizer.padding_side == "left", "its processor's tokenizer should pad on the left")
    layers = case.model.attention_layers
    expect(layers and list(layers) == sorted({*layers}), "attention_layers should be numbers of layers, ascending")


def _parts(case: FamilyCase, name: str) -> None:
    model = case.model
    language, projector, vision = (
        {*parameters()}
        for parameters in (model.language_parameters, model.projector_parameters, model.vision_parameters)
    )
    every = {name for name, _ in model.model.named_parameters()}
    expect(language and projector and vision, "language model, projector and vision tower should have parameters")
    expect(language | projector | vision <= every, "parameters should bear their names in the whole model")
    apart = len(language | projector | vision) == len(language) + len(projector) + len(vision)
    expect(apart, "language model, projector and vision tower should share no parameter")
    linears = {f"{linear}.weight" for linear in model.language_linears()}
    expect(linears and linears <= language, "language_linears should be layers of the language model")
    expect(
        {"language.0", "vision.0"} <= {*model.blocks()}, "blocks should be named of the language model and the tower"
    )


def _counts(case: FamilyCase, name: str) -> None:
    model, (small, large) = case.model, (case.card.min_pixels, case.card.max_pixels)
    counted = outline(case.card)
    shapes = {name: parameter.shape for name, parameter in counted.model.named_parameters()}
    expect(
        shapes == {name: parameter.shape for name, parameter in model.model.named_parameters()},
        "a model of the configuration alone should have the parameters of the loaded one",
    )
    square = case.queries[0].images[0].with_name(f"{len(SIZES)}.png")
    picture, told = model.see(square), counted.count_picture(SIDE, image_settings(case.card), (small, large))
    expect(told.visual == picture.count, f"count_picture should say {picture.count} visual tokens, not {told.visual}")
    numbers = picture.features.numel()
    expect(told.features == numbers, f"count_picture should say {numbers} numbers of features, not {told.features}")
    streams = picture.tokens.numel() // (picture.count * model.width)
    expect(told.streams == streams, f"count_picture should say {streams} streams, not {told.streams}")
    with torch.no_grad():
        both = model.encode_all([model.pixels(square)] * 2)
    same = all(torch.allclose(each.tokens, picture.tokens, atol=CLOSE, rtol=0) for each in both)
    expect(len(both) == 2 and same, "encode_all should see pictures as encode sees each; override it where that is")


# -------------------------------------------------------------------------------------------- against transformers
def plain_inputs(model: VLM, query: Asked, answer: str = "") -> dict[str, Tensor]:
    """What the model's processor alone makes of a chat of one turn and its pictures, with an answer and its end."""
    content = [*[{"type": "image"}] * len(query.images), {"type": "text", "text": query.text}]
    text = model.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    text += answer + model.tokenizer.decode(model.end_token_id) if answer else ""
    begins = model.tokenizer.bos_token
    bare = begins is None or not text.startswith(begins)  # as `apply_chat_template` of a processor tokenises it
    images = [[Image.open(path).convert("RGB") for path in query.images]] if query.images else None
    taken = {*inspect.signature(model.model.forward).parameters, "pixel_values"}
    options: dict[str, Any] = {"return_token_type_ids": True} if "token_type_ids" in taken else {}
    inputs = model.processor(text=[text], images=images, return_tensors="pt", add_special_tokens=bare, **options)
    if "token_type_ids" in taken and "mm_token_type_ids" in inputs:  # one thing by two names
        inputs["token_type_ids"] = inputs.pop("mm_token_type_ids")
    return {name: value for name, value in inputs.items() if name in taken}


@torch.no_grad()
def _likelihoods(case: FamilyCase, name: str) -> None:
    model, batch = case.model, case.batch
    found = model.answer_log_probabilities(batch)
    for row, (query, answer) in enumerate(zip(case.queries, ANSWERS, strict=True)):
        inputs = plain_inputs(model, query, answer)
        ids = batch.input_ids[row][batch.attention_mask[row].bool()]
        about = f"of a query with {len(query.images)} pictures"
        expect(torch.equal(ids, inputs["input_ids"][0]), f"tokens {about} should be those of its processor")
        asked = model.tokenizer.decode(batch.input_ids[row][batch.question_mask[row]])
        expect(asked.strip() == query.text, f"the question's tokens should say {query.text!r}, not {asked!r}")
        logits = model.model(**inputs).logits[0].log_softmax(-1)
        count = len(found[row])
        expected = logits[range(len(ids) - count - 1, len(ids) - 1), ids[-count:]]
        close = torch.allclose(found[row], expected, atol=CLOSE, rtol=0)
        expect(close, f"likelihoods of answers {about} should equal those of transformers")


@torch.no_grad()
def _answers(case: FamilyCase, name: str) -> None:
    model = case.model
    said = model.generate(model.prepare(case.queries), max_new_tokens=6)
    expect(any(said), "it should say something: a model that ends at once cannot be checked (suppress_tokens)")
    for query, found in zip(case.queries, said, strict=True):
        inputs = plain_inputs(model, query)
        output = model.model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        expected = model.tokenizer.decode(output, skip_special_tokens=True).strip()
        about = f"to a query with {len(query.images)} pictures"
        expect(found == expected, f"an answer {about} should be transformers' {expected!r}, not {found!r}")
    backwards = model.generate(model.prepare(case.queries[::-1]), max_new_tokens=6)
    expect(backwards[::-1] == said, "answers should not depend on what is asked beside them")


@torch.no_grad()
def _shared(case: FamilyCase, name: str) -> None:
    """Two questions about the same pictures, or without any, in one batch."""
    model = case.model
    queries = [*case.queries, *(Asked("What is shown?", query.images) for query in case.queries)]
    batch, prompts = model.prepare(queries, [*ANSWERS, *ANSWERS[::-1]]), model.prepare(queries)
    plain, shared = (model.answer_log_probabilities(batch, shared=shared) for shared in (False, True))
    close = all(torch.allclose(one, other, atol=CLOSE, rtol=0) for one, other in zip(plain, shared, strict=True))
    expect(close, "likelihoods should be the same where pictures are read once; else set shares_prefixes = False")
    said, again = (model.generate(prompts, max_new_tokens=6, shared=shared) for shared in (False, True))
    otherwise = "else set shares_prefixes or static_cache = False"
    expect(said == again, f"answers should be the same where pictures are read once; {otherwise}")
    packed = model.answer_log_probabilities(batch, packed=True)
    close = all(torch.allclose(one, other, atol=CLOSE, rtol=0) for one, other in zip(plain, packed, strict=True))
    expect(close, "likelihoods should be the same where questions are one sequence; else set packs = False")


@torch.no_grad()
def _attention(case: FamilyCase, name: str) -> None:
    model, batch = case.model, case.batch
    implementation = model.model.config.get_text_config()._attn_implementation
    functions = dict(ALL_ATTENTION_FUNCTIONS.items())
    found = model.attention(batch, case.own)
    same = functions == dict(ALL_ATTENTION_FUNCTIONS.items())
    expect(same, "reading attention should leave the attention functions of transformers alone")
    model.model.set_attn_implementation("eager")
    try:
        for query, places in zip(case.queries, batch.by_row, strict=True):
            if places:
                matrices = model.model(**plain_inputs(model, query), output_attentions=True).attentions
                asked = model.prepare([query])
                rows = [matrices[layer][0].mean(0)[asked.question_mask[0]].mean(0) for layer in model.attention_layers]
                expected = torch.stack(rows) if model.layered else torch.stack(rows)[:, asked.image_mask[0]]
                close = torch.allclose(torch.cat([found[place] for place in places], 1), expected, atol=CLOSE, rtol=0)
                expect(close, "attention of questions to visual tokens should be that of the full matrices")
    finally:
        model.model.set_attn_implementation(implementation)


@torch.no_grad()
def _states(case: FamilyCase, name: str) -> None:
    model, batch = case.model, case.batch
    found = model.hidden(batch, ["language.0"])["language.0"]
    for query, answer, states in zip(case.queries, ANSWERS, found, strict=True):
        expected = model.model(**plain_inputs(model, query, answer), output_hidden_states=True).hidden_states[1][0]
        about = f"of a query with {len(query.images)} pictures"
        close = states.shape == expected.shape and torch.allclose(states, expected, atol=CLOSE, rtol=0)
        expect(close, f"hidden states {about} should equal those of transformers")


# ----------------------------------------------------------------------------------------- what is seen and trained
@torch.no_grad()
def _replaced(case: FamilyCase, name: str) -> None:
    model, batch, own = case.model, case.batch, case.own
    given = [tokens.clone() for tokens in own]
    before = model.answer_log_probabilities(batch)
    same = model.answer_log_probabilities(batch, given)
    expect(all(map(torch.equal, before, same)), "visual tokens that are given unchanged should change no number")
    model.generate(model.prepare(case.queries), given, max_new_tokens=2)
    expect(all(map(torch.equal, given, own)), "visual tokens that are given should be left as they are")
    after = model.answer_log_probabilities(batch, [-tokens for tokens in own])
    changed = [not torch.allclose(one, other, atol=CLOSE) for one, other in zip(before, after, strict=True)]
    expect(changed == [bool(query.images) for query in case.queries], "replaced visual tokens should be seen")
    projected = [model.project(picture) for picture in batch.pictures]
    close = all(torch.allclose(one, other, atol=CLOSE) for one, other in zip(projected, own, strict=True))
    expect(close, "project should give a picture's tokens from its features")
    joined = [*zip(model.project_all(batch.pictures), own, strict=True)]
    close = all(one.shape == other.shape and torch.allclose(one, other, atol=CLOSE) for one, other in joined)
    expect(close, "project_all should give each picture's tokens: features_along says how features are joined")
    for picture in batch.pictures:
        places = model.layout(picture)
        expect(places.ndim == 2 and int(places.max()) < picture.count, "layout should place visual tokens in a grid")


@torch.no_grad()
def _nothing_left(case: FamilyCase, name: str) -> None:
    """With all tokens replaced alike, two pictures of one shape cannot be told apart."""
    model, one = case.model, case.queries[0].images[0]
    flipped = one.with_name("flipped.png")
    Image.open(one).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(flipped)
    batches = [model.prepare([Asked(TEXTS[0], (path,))], ANSWERS[:1]) for path in (one, flipped)]
    expect(not torch.equal(*map(model.answer_logits, batches)), "two pictures should be told apart")
    same = [torch.ones_like(tokens) for tokens in (picture.tokens for picture in batches[0].pictures)]
    expect(
        torch.equal(*(model.answer_logits(batch, same) for batch in batches)),
        "nothing of a visual token that was replaced should be seen",
    )


def _gradients(case: FamilyCase, name: str) -> None:
    model = case.model
    visual = [tokens.clone().requires_grad_() for tokens in case.own]
    torch.cat(model.answer_log_probabilities(case.batch, visual)).sum().backward()  # type: ignore[no-untyped-call]
    reached = all(tokens.grad is not None and bool(tokens.grad.abs().sum() > 0) for tokens in visual)
    expect(reached, "gradients should reach the visual tokens of every picture")
    untouched = all(parameter.grad is None for parameter in model.model.parameters())
    expect(untouched, "a model that is not in training should be frozen")


def _trained(case: FamilyCase, name: str) -> None:
    """What training changes is stored, and makes another model the same."""
    mine, other = case.fresh(), case.fresh()
    batch = mine.prepare(case.queries, ANSWERS)
    other.prepare(case.queries)
    parts = (mine.language_parameters(), mine.projector_parameters(), mine.vision_parameters())
    named = {name: parameter for part in parts for name, parameter in part.items()}
    with mine.training(named) as parameters:
        visual = [mine.encode(mine.pixels(path)).tokens for path in batch.images]
        torch.cat(mine.answer_log_probabilities(batch, visual)).mean().backward()  # type: ignore[no-untyped-call]
        for part, words in zip(parts, ("language model", "projector", "vision tower"), strict=True):
            reached = any(each.grad is not None and bool(each.grad.abs().max() > 0) for each in part.values())
            expect(reached, f"training should reach the {words}")
        with torch.no_grad():
            for place, parameter in enumerate(parameters):
                noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(place))
                parameter.add_(noise, alpha=0.01)
    with TemporaryDirectory() as folder:
        Weights.of(named).save(Path(folder))
        Weights.load(Path(folder), other).apply(other)
    with torch.no_grad():
        first, second = (
            model.answer_log_probabilities(model.prepare(case.queries, ANSWERS)) for model in (mine, other)
        )
        unchanged = case.model.answer_log_probabilities(case.batch)
    expect(
        all(map(torch.equal, first, second)),
        "a stored edit should make the same model of another copy, which may have seen the pictures before",
    )
    expect(not any(map(torch.equal, first, unchanged)), "trained weights should be computed with")


def _errors(case: FamilyCase, name: str) -> None:
    nobody = case.queries[0].images[0].with_name("nobody.png")
    with refused(DataError, "a picture that is not there should be named", str(nobody)):
        case.model.prepare([Asked("Who is this?", (nobody,))])
    with refused(UsageError, "a layer that attends to no visual token should be refused", "9999"):
        case.model.attention(case.batch, case.own, [9999])


CHECKS: tuple[Callable[[FamilyCase, str], None], ...] = (
    _contract,
    _parts,
    _counts,
    _likelihoods,
    _answers,
    _shared,
    _attention,
    _states,
    _replaced,
    _nothing_left,
    _gradients,
    _trained,
    _errors,
)
