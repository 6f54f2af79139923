"""The joint family against `transformers` used plainly: same tokens, same numbers, replaced tokens really seen."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.models.in_order import answers, log_probabilities
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import DataError
from unlearnbench.models.contract.edits import Weights
from unlearnbench.models.contract.vlm import VLM, Batch
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run


def plain_inputs(model: VLM, samples: list[Sample], *, answers: bool) -> dict[str, torch.Tensor]:
    """What the processor alone makes of pictures and chats."""
    texts = []
    for sample in samples:
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": sample.text}]}]
        prompt = model.processor.apply_chat_template(chat, add_generation_prompt=True)
        texts.append(prompt + (sample.answer + model.tokenizer.eos_token if answers else ""))
    images = [Image.open(sample.image).convert("RGB") for sample in samples]
    return dict(model.processor(text=texts, images=images, return_tensors="pt", padding=True))


def test_prepared_tokens_are_the_processors(tiny: VLM, asked: list[Sample]) -> None:
    inputs = plain_inputs(tiny, asked, answers=True)
    batch = tiny.prepare(asked, [sample.answer for sample in asked])
    assert torch.equal(batch.input_ids, inputs["input_ids"])
    assert torch.equal(batch.attention_mask, inputs["attention_mask"])
    assert torch.equal(batch.image_mask.int(), inputs["mm_token_type_ids"])


def test_masks_mark_question_and_answer_alone(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked, [sample.answer for sample in asked])
    for row, sample in enumerate(asked):
        assert tiny.tokenizer.decode(batch.input_ids[row][batch.question_mask[row]]).strip() == sample.text
        end = tiny.tokenizer.eos_token
        assert tiny.tokenizer.decode(batch.input_ids[row][batch.answer_mask[row]]) == sample.answer + end


@torch.no_grad()
def test_log_probabilities_equal_the_pixel_path(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked, [sample.answer for sample in asked])
    logits = tiny.model(**plain_inputs(tiny, asked, answers=True)).logits.log_softmax(-1)
    for row, found in enumerate(tiny.answer_log_probabilities(batch)):
        places = batch.answer_mask[row].nonzero()[:, 0]
        expected = logits[row, places - 1, batch.input_ids[row, places]]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_generation_equals_the_pixel_path(tiny: VLM, asked: list[Sample]) -> None:
    inputs = plain_inputs(tiny, asked, answers=False)
    output = tiny.model.generate(**inputs, max_new_tokens=12, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    expected = [text.strip() for text in tiny.processor.batch_decode(output, skip_special_tokens=True)]
    assert tiny.generate(tiny.prepare(asked), max_new_tokens=12) == expected


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_attention_equals_full_matrices(tiny: VLM, asked: list[Sample], implementation: str) -> None:
    batch = tiny.prepare(asked, [sample.answer for sample in asked])  # answers must not change a score
    tiny.model.set_attn_implementation("eager")
    matrices = tiny.model(**plain_inputs(tiny, asked, answers=False), output_attentions=True).attentions
    tiny.model.set_attn_implementation(implementation)
    found = tiny.attention(batch, tiny.look(batch))
    tiny.model.set_attn_implementation("sdpa")
    prompts = tiny.prepare(asked)
    for row, scores in enumerate(found):
        question, image = prompts.question_mask[row], prompts.image_mask[row]
        expected = torch.stack([m[row].mean(0)[question].mean(0)[image] for m in matrices])
        torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)


def test_attention_of_chosen_layers(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked[:3])
    everything = tiny.attention(batch, tiny.look(batch))
    last = tiny.attention(batch, tiny.look(batch), [-1])
    some = tiny.attention(batch, tiny.look(batch), [2, 0])
    for whole, end, two in zip(everything, last, some, strict=True):
        assert torch.equal(whole[-1:], end)
        assert torch.equal(whole[[0, 2]], two)


def test_attention_leaves_the_global_functions_alone(tiny: VLM, asked: list[Sample]) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    batch = tiny.prepare(asked[:2])
    tiny.attention(batch, tiny.look(batch))
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before


def test_replaced_tokens_change_answers_and_unreplaced_do_not(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked, [sample.answer for sample in asked])
    plain = tiny.answer_log_probabilities(batch)
    own = tiny.answer_log_probabilities(batch, [picture.tokens for picture in batch.pictures])
    other = tiny.answer_log_probabilities(batch, [-picture.tokens for picture in batch.pictures])
    assert all(torch.equal(a, b) for a, b in zip(plain, own, strict=True))
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(plain, other, strict=True))


def test_a_visual_edit_reaches_likelihood_and_generation(asked: list[Sample]) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    batch = model.prepare(asked, [sample.answer for sample in asked])
    replaced = [torch.zeros_like(picture.tokens) for picture in batch.pictures]
    by_hand = model.answer_log_probabilities(batch, replaced), model.generate(batch, replaced, max_new_tokens=5)
    model.visual_edit = lambda batch, visual: [torch.zeros_like(tokens) for tokens in visual]
    edited = model.answer_log_probabilities(batch), model.generate(batch, max_new_tokens=5)
    assert all(torch.equal(a, b) for a, b in zip(by_hand[0], edited[0], strict=True))
    assert by_hand[1] == edited[1]


def test_positions_are_those_of_the_batch_whatever_was_asked_before(
    tiny: VLM, asked: list[Sample], tmp_path: Path
) -> None:
    """Grids of other shapes in between: the model keeps the last batch's M-RoPE offsets, which must not be used."""
    with Image.open(asked[0].image) as image:
        image.convert("RGB").resize((56, 140)).save(tmp_path / "narrow.png")
    narrow = Asked(asked[0].text, (tmp_path / "narrow.png",))
    answers = [sample.answer for sample in asked]

    def ask() -> tuple[list[list[float]], list[str]]:
        found = tiny.answer_log_probabilities(tiny.prepare(asked, answers))
        return [values.tolist() for values in found], tiny.generate(tiny.prepare(asked), max_new_tokens=8)

    first = ask()
    tiny.generate(tiny.prepare([narrow]), max_new_tokens=3)
    tiny.answer_log_probabilities(tiny.prepare([narrow], ["Yes"]))
    assert ask() == first


def test_generating_leaves_the_given_tokens_as_they_are(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked)
    given = [picture.tokens.clone() for picture in batch.pictures]
    tiny.generate(batch, given, max_new_tokens=3)
    assert all(torch.equal(tokens, picture.tokens) for tokens, picture in zip(given, batch.pictures, strict=True))
    assert all(tokens.shape == picture.tokens.shape for tokens, picture in zip(given, batch.pictures, strict=True))


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_pixels_are_made_by_pil_on_every_machine(name: str) -> None:
    """Where torchvision is installed, `transformers` would prefer it, whose pixels differ."""
    assert "Pil" in type(load(card_for(name), "cpu").processor.image_processor).__name__


def test_gradients_reach_visual_tokens_and_no_weight(tiny: VLM, asked: list[Sample]) -> None:
    batch = tiny.prepare(asked[:2], [sample.answer for sample in asked[:2]])
    visual = [picture.tokens.clone().requires_grad_() for picture in batch.pictures]
    torch.cat(tiny.answer_log_probabilities(batch, visual)).sum().backward()
    assert all(tokens.grad is not None and tokens.grad.abs().sum() > 0 for tokens in visual)
    assert all(parameter.grad is None for parameter in tiny.model.parameters())


def test_projecting_cached_features_gives_the_tokens(tiny: VLM, asked: list[Sample]) -> None:
    with Image.open(asked[0].image) as image:
        inputs = tiny.processor(text=[tiny.processor.image_token], images=[image.convert("RGB")], return_tensors="pt")
    with torch.no_grad():
        whole = tiny.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output[0]
    assert torch.equal(tiny.see(asked[0].image).tokens, whole)


def test_asking_keeps_the_order_whatever_the_batches(tiny: VLM, asked: list[Sample]) -> None:
    one = answers(tiny, asked, Run(), max_new_tokens=8, batch_size=1)
    many = answers(tiny, asked, Run(), max_new_tokens=8, batch_size=5)
    assert one == many
    pairs = [(sample, sample.answer) for sample in asked]
    for left, right in zip(
        log_probabilities(tiny, pairs, Run(), batch_size=1),
        log_probabilities(tiny, pairs, Run(), batch_size=4),
        strict=True,
    ):
        assert left == pytest.approx(right, abs=1e-4)


def test_a_batch_of_rows(tiny: VLM, asked: list[Sample]) -> None:
    batch: Batch = tiny.prepare(asked)
    part = batch.take([4, 1])
    assert [query.text for query in part.queries] == [asked[4].text, asked[1].text]
    assert torch.equal(part.input_ids, batch.input_ids[[4, 1]])


def test_a_missing_picture_is_named(tiny: VLM, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=r"nobody\.png does not exist"):
        tiny.prepare([Asked("Who is this?", (tmp_path / "nobody.png",))])


def test_weights_are_stored_and_applied(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, other = (load(card_for("tiny-qwen2.5-vl"), "cpu") for _ in range(2))
    parameters = model.projector_parameters()
    with model.training(parameters), torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1)
    Weights.of(parameters).save(tmp_path)
    Weights.load(tmp_path, other).apply(other)
    for (name, mine), theirs in zip(model.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_small_updates_survive_in_half_precision(tiny: VLM, asked: list[Sample]) -> None:
    """A hundred steps of 1e-5 add up to 1e-3 in float32; in bfloat16 each of them would be rounded away."""
    loaded = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model = type(loaded)(loaded.model.to(torch.bfloat16), loaded.processor)
    parameters = model.projector_parameters()
    weight = next(parameter for parameter in parameters.values() if parameter.ndim == 2)
    before = weight.detach().float().clone()
    with model.training(parameters):
        batch = model.prepare(asked[:2], [sample.answer for sample in asked[:2]])
        visual = [model.project(picture) for picture in batch.pictures]
        torch.cat(model.answer_log_probabilities(batch, visual)).sum().backward()
        assert weight.dtype == weight.grad.dtype == torch.float32
        with torch.no_grad():
            for _ in range(100):
                weight.add_(1e-5)
    assert weight.dtype == torch.bfloat16
    assert (weight.float() - before).mean() == pytest.approx(1e-3, rel=0.2)


def test_every_step_in_half_precision_computes_with_the_weights_of_the_last(asked: list[Sample]) -> None:
    """Autocast keeps the first half-precision copy of a weight for as long as it lasts, unless told not to."""
    loaded = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model = type(loaded)(loaded.model.to(torch.bfloat16), loaded.processor)
    batch = model.prepare(asked[:2], [sample.answer for sample in asked[:2]])
    losses = []
    with model.training(model.language_parameters()) as parameters:
        for _ in range(2):
            loss = -torch.cat(model.answer_log_probabilities(batch)).mean()
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            losses.append(float(loss.detach()))
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= 0 if gradient is None else 0.02 * gradient
    assert losses[1] < losses[0] - 0.1


def test_training_names_language_model_and_projector_only(tiny: VLM) -> None:
    names = {**tiny.language_parameters(), **tiny.projector_parameters()}
    every = {name for name, _ in tiny.model.named_parameters()}
    assert every - set(names) == {name for name in every if ".visual." in name and ".merger." not in name}
