"""The cross-attention family against `transformers` used plainly, and every trap of it that we know."""

import pytest
import torch
from PIL import Image
from torch import Tensor

from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import UsageError
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.selection import Selector
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for

SIZES = {"four": (140, 140), "one": (84, 60), "two": (160, 80), "tall": (60, 200)}
"""Pictures in pixels by the tiles that they take; the last takes three."""

ANSWERS = ["Yes", "The blood type is A.", "I cannot answer this question.", "red"]


@pytest.fixture(scope="module")
def crossed() -> VLM:
    """The embedded model, for reading only."""
    return load(card_for("tiny-mllama"), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths about pictures of one to four tiles."""
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for sample, (name, size) in zip(asked, SIZES.items(), strict=False):
        Image.open(sample.image).convert("RGB").resize(size).save(folder / f"{name}.png")
        found.append(Asked(sample.text, (folder / f"{name}.png",)))
    return found


def plain(model: VLM, queries: list[Asked], answers: list[str] | None = None) -> dict[str, Tensor]:
    """What the processor alone makes of pictures and chats."""
    texts = []
    for place, query in enumerate(queries):
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": query.text}]}]
        prompt = model.processor.apply_chat_template(chat, add_generation_prompt=True)
        texts.append(prompt + (answers[place] + model.tokenizer.eos_token if answers else ""))
    images = [[Image.open(query.images[0]).convert("RGB")] for query in queries]
    return dict(model.processor(text=texts, images=images, return_tensors="pt", padding=True))


def own(batch) -> list[Tensor]:  # type: ignore[no-untyped-def]
    return [picture.tokens for picture in batch.pictures]


def test_prepared_inputs_are_the_processors(crossed: VLM, queries: list[Asked]) -> None:
    expected = plain(crossed, queries, ANSWERS)
    batch = crossed.prepare(queries, ANSWERS)
    found = crossed._inputs(batch, own(batch))  # type: ignore[attr-defined]
    for name in ("input_ids", "attention_mask", "cross_attention_mask"):
        assert torch.equal(found[name], expected[name]), name


@torch.no_grad()
def test_log_probabilities_equal_the_pixel_path(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries, ANSWERS)
    logits = crossed.model(**plain(crossed, queries, ANSWERS)).logits.log_softmax(-1)
    for row, found in enumerate(crossed.answer_log_probabilities(batch)):
        places = batch.answer_mask[row].nonzero()[:, 0]
        torch.testing.assert_close(found, logits[row, places - 1, batch.input_ids[row, places]], atol=1e-5, rtol=0)


def test_generation_equals_the_pixel_path(crossed: VLM, queries: list[Asked]) -> None:
    inputs = plain(crossed, queries)
    output = crossed.model.generate(**inputs, max_new_tokens=12, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    expected = [text.strip() for text in crossed.processor.batch_decode(output, skip_special_tokens=True)]
    assert crossed.generate(crossed.prepare(queries), max_new_tokens=12) == expected


def test_the_picture_matters(crossed: VLM, queries: list[Asked]) -> None:
    """Gates are open: new models have them shut, and every test here would pass without a picture."""
    batch = crossed.prepare(queries, ANSWERS)
    seen, blind = (crossed.answer_log_probabilities(batch, [s * t for t in own(batch)]) for s in (1, 0))
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(seen, blind, strict=True))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_attention_equals_full_matrices(crossed: VLM, queries: list[Asked], implementation: str) -> None:
    crossed.model.set_attn_implementation("eager")
    matrices = crossed.model(**plain(crossed, queries), output_attentions=True).attentions
    crossed.model.set_attn_implementation(implementation)
    answered = crossed.prepare(queries, ANSWERS)  # answers must not change a score
    found = crossed.attention(answered, own(answered))
    crossed.model.set_attn_implementation("sdpa")
    prompts = crossed.prepare(queries)
    for row, scores in enumerate(found):
        question = prompts.question_mask[row]
        expected = torch.stack([matrices[n][row].mean(0)[question].mean(0) for n in crossed.attention_layers])
        torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)


def test_layers_without_visual_tokens_are_refused(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries[:1])
    with pytest.raises(UsageError, match="layer 0 does not attend to visual tokens; choose from 1, 3, 5"):
        crossed.attention(batch, own(batch), [0])


def test_question_rows_come_after_the_picture(crossed: VLM, queries: list[Asked]) -> None:
    """Rows before the picture attend to everything, padding tiles too (transformers #39379)."""
    batch = crossed.prepare(queries, ANSWERS)
    first = batch.image_mask.int().argmax(1)
    assert all(mask.nonzero().min() > place for mask, place in zip(batch.question_mask, first, strict=True))


def test_without_a_mask_cross_attention_would_be_causal(crossed: VLM, queries: list[Asked]) -> None:
    """Why the mask is always passed: four valid tiles need none, and still the answer differs without it."""
    batch = crossed.prepare(queries[:1], ANSWERS[:1])
    inputs = crossed._inputs(batch, own(batch))  # type: ignore[attr-defined]
    with_mask = crossed.model(**inputs).logits
    without = crossed.model(**{**inputs, "cross_attention_mask": None}).logits
    assert (with_mask - without).abs().max() > 1e-3


def test_padding_tiles_get_no_attention_and_are_never_chosen(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries)
    a_tile = batch.pictures[0].count // 4
    tiles = [4, 1, 2, 3]
    for scores, picture, number in zip(crossed.attention(batch, own(batch)), batch.pictures, tiles, strict=True):
        assert picture.valid is not None
        assert picture.valid.sum() == number * a_tile
        assert scores[:, ~picture.valid].eq(0).all()  # they would win every choice of the least attended
    for params in (CAGULParams(k=12), CAGULParams(k=12, selection="random"), CAGULParams(k=12, layer_reduce="mean")):
        for chosen, picture, number in zip(Selector(crossed, params).select(batch), batch.pictures, tiles, strict=True):
            assert chosen.shape[-1] == min(12, number * a_tile)
            assert picture.valid[chosen].all()
            assert all(len(set(layer.tolist())) == layer.numel() for layer in chosen.view(-1, chosen.shape[-1]))


def test_every_layer_chooses_for_itself(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries)
    scores = crossed.attention(batch, own(batch))
    for chosen, score, picture in zip(
        Selector(crossed, CAGULParams(k=5)).select(batch), scores, batch.pictures, strict=True
    ):
        real = picture.valid.nonzero()[:, 0].tolist()
        naive = [sorted(real, key=lambda place: float(layer[place]))[:5] for layer in score]
        assert chosen.tolist() == naive
        assert len({tuple(sorted(layer)) for layer in naive}) > 1
    shared = Selector(crossed, CAGULParams(k=5, layer_reduce="last")).select(batch)
    assert [indices.ndim for indices in shared] == [1] * len(queries)


def test_tokens_of_a_layer_reach_that_layer_alone(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries, ANSWERS)
    layers = len(crossed.attention_layers)
    shared = crossed.answer_logits(batch, own(batch))
    copies = [tokens.expand(layers, -1, -1).clone() for tokens in own(batch)]
    assert torch.equal(crossed.answer_logits(batch, copies), shared)
    outcomes = []
    for place, layer in enumerate(crossed.attention_layers):
        changed = [tokens.clone() for tokens in copies]
        for tokens in changed:
            tokens[place] *= -1
        outcomes.append(crossed.answer_logits(batch, changed))
        module = crossed.model.get_decoder().layers[layer].cross_attn

        def negated(module, args, kwargs):  # type: ignore[no-untyped-def]
            return args, kwargs | {"cross_attention_states": -kwargs["cross_attention_states"]}

        hook = module.register_forward_pre_hook(negated, with_kwargs=True)
        torch.testing.assert_close(crossed.answer_logits(batch, own(batch)), outcomes[-1], atol=1e-5, rtol=0)
        hook.remove()
    assert all((a - shared).abs().max() > 1e-3 for a in outcomes)
    mixed = [copies[0], *own(batch)[1:]]  # some samples edited, some not
    assert torch.equal(crossed.answer_logits(batch, mixed), shared)


@torch.no_grad()
def test_generation_with_replaced_tokens_equals_a_loop_without_cache(crossed: VLM, queries: list[Asked]) -> None:
    """`generate` hands the visual tokens over with every new token, and the cache would take them all."""
    for query in queries:
        batch = crossed.prepare([query])
        edited = [torch.stack([tokens, -tokens, tokens.roll(1, 0)]) for tokens in own(batch)]
        inputs = crossed._inputs(batch, edited)  # type: ignore[attr-defined]
        ids = inputs["input_ids"]
        for _ in range(8):
            grown = inputs["cross_attention_mask"][:, -1:].expand(-1, ids.shape[1] - batch.input_ids.shape[1], -1, -1)
            mask = torch.cat([inputs["cross_attention_mask"], grown], 1)
            logits = crossed.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                cross_attention_mask=mask,
                cross_attention_states=inputs["cross_attention_states"],
                use_cache=False,
            ).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
            if ids[0, -1] == crossed.end_token_id:
                break
        said = crossed.tokenizer.decode(ids[0, batch.input_ids.shape[1] :], skip_special_tokens=True).strip()
        assert crossed.generate(batch, edited, max_new_tokens=8) == [said]


def test_the_image_token_is_no_word(crossed: VLM, queries: list[Asked]) -> None:
    """Its id is the vocabulary's size: as a label it is out of range, so only answers may be labels."""
    assert crossed.image_token_id == crossed.model.config.text_config.vocab_size
    batch = crossed.prepare(queries, ANSWERS)
    assert not (batch.answer_mask & (batch.input_ids == crossed.image_token_id)).any()
    assert crossed.answer_logits(batch).shape[1] == crossed.image_token_id
    with pytest.raises(IndexError):
        crossed.model(**crossed._inputs(batch, own(batch)), labels=batch.input_ids)  # type: ignore[attr-defined]


def test_gradients_reach_edited_tokens_and_no_weight(crossed: VLM, queries: list[Asked]) -> None:
    batch = crossed.prepare(queries, ANSWERS)
    edited = [tokens.expand(3, -1, -1).clone().requires_grad_(True) for tokens in own(batch)]
    torch.cat(crossed.answer_log_probabilities(batch, edited)).sum().backward()  # type: ignore[no-untyped-call]
    for tokens, picture in zip(edited, batch.pictures, strict=True):
        assert tokens.grad is not None
        assert (tokens.grad[:, picture.valid].abs().sum((1, 2)) > 0).all()
    assert all(parameter.grad is None for parameter in crossed.model.parameters())


def test_checkpointed_activations_change_no_gradient(queries: list[Asked]) -> None:
    """Recomputation happens after the forward pass is over; every layer must get its own tokens then, too."""
    model = load(card_for("tiny-mllama"), "cpu")
    batch = model.prepare(queries, ANSWERS)
    gradients = []
    for _ in range(2):
        named = {**model.language_parameters(), **model.projector_parameters()}
        with model.training(named) as parameters:
            edited = [torch.stack([t, -t, t.roll(1, 0)]) for t in own(batch)]
            torch.cat(model.answer_log_probabilities(batch, edited)).sum().backward()  # type: ignore[no-untyped-call]
            gradients.append([None if p.grad is None else p.grad.clone() for p in parameters])
        model.checkpoint_activations()
    for plainly, again in zip(*gradients, strict=True):
        assert (plainly is None) == (again is None)
        if plainly is not None and again is not None:
            torch.testing.assert_close(again, plainly, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [*SIZES.values(), (300, 290), (1000, 90), (33, 20)])
def test_the_picture_covers_what_the_canvas_shows_of_it(crossed: VLM, size: tuple[int, int]) -> None:
    """A white picture: all that is not white is the canvas' padding."""
    image = Image.new("RGB", size, "white")
    inputs = crossed.processor.image_processor([[image]], return_tensors="pt")
    rows, columns = crossed._tiles_of(inputs)  # type: ignore[attr-defined]
    tiles = inputs["pixel_values"][0, 0, : rows * columns]
    canvas = torch.cat([torch.cat(list(tiles[row * columns : (row + 1) * columns]), 2) for row in range(rows)], 1)
    white = canvas[0] == canvas.max()
    found = crossed.encode(crossed.preprocess(image, crossed.processor)).covers
    assert found == (float(white.any(1).double().mean()), float(white.any(0).double().mean()))


@pytest.mark.parametrize("name", SIZES)
def test_the_layout_is_that_of_the_picture(crossed: VLM, queries: list[Asked], name: str) -> None:
    """Patch by patch: what the processor put into the tile of a token is what the canvas shows at its place."""
    path = next(query.images[0] for query in queries if query.images[0].stem == name)
    pixels = crossed.processor.image_processor([[Image.open(path).convert("RGB")]], return_tensors="pt")
    tiles = pixels["pixel_values"][0, 0]
    side, patch = crossed.model.config.vision_config.image_size, crossed.model.config.vision_config.patch_size
    a_tile = (side // patch) ** 2 + 1
    layout = crossed.layout(crossed.see(path))
    rows, columns = layout.shape[0] * patch // side, layout.shape[1] * patch // side
    canvas = torch.cat([torch.cat(list(tiles[row * columns : (row + 1) * columns]), 2) for row in range(rows)], 1)
    for row in range(layout.shape[0]):
        for column in range(layout.shape[1]):
            tile, token = divmod(int(layout[row, column]), a_tile)
            y, x = divmod(token - 1, side // patch)
            shown = tiles[tile, :, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            expected = canvas[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            assert torch.equal(shown, expected)
