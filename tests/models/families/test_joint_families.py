"""Every further family of the joint kind, at full architecture and tiny size, against `transformers` used plainly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.models.tiny_families import FAMILIES, resized, save
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import ModelError
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.device import DTYPES
from unlearnbench.training.adaptation import projectors

ANSWERS = ["Yes", "The blood type is A.", "red"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    """A random model of each family, loaded from its files; for reading only."""
    folder = tmp_path_factory.mktemp("models") / request.param
    save(request.param, folder)
    return load(card_for(str(folder)), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths on pictures of different shapes."""
    sizes = [(112, 112), (96, 64), (64, 128)]
    pictures = resized([sample.image for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    return [Asked(sample.text[:40], (picture,)) for picture, sample in zip(pictures, asked, strict=False)]


def plain(model: VLM, query: Asked, answer: str = "") -> dict[str, Tensor]:
    """What the processor alone makes of a picture and a chat."""
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": query.text}]}]
    text = model.processor.apply_chat_template(chat, add_generation_prompt=True)
    text += answer + model.tokenizer.eos_token if answer else ""
    images = [[Image.open(query.images[0]).convert("RGB")]]
    options: dict[str, Any] = {"return_token_type_ids": True} if model.name == "gemma3" else {}
    inputs = model.processor(text=[text], images=images, return_tensors="pt", add_special_tokens=False, **options)
    if model.name == "gemma3":
        inputs["token_type_ids"] = inputs.pop("mm_token_type_ids", inputs.get("token_type_ids"))
    return {name: value for name, value in inputs.items() if name not in ("rows", "cols", "num_patches")}


def own(batch) -> list[Tensor]:  # type: ignore[no-untyped-def]
    return [picture.tokens for picture in batch.pictures]


@torch.no_grad()
def test_likelihoods_and_answers_equal_the_pixel_path(model: VLM, queries: list[Asked]) -> None:
    """In one padded batch as one by one."""
    batch = model.prepare(queries, ANSWERS)
    said = model.generate(model.prepare(queries), max_new_tokens=6)
    for row, (found, query, answer) in enumerate(
        zip(model.answer_log_probabilities(batch), queries, ANSWERS, strict=True)
    ):
        inputs = plain(model, query, answer)
        ids = batch.input_ids[row][batch.attention_mask[row].bool()]
        assert torch.equal(ids, inputs["input_ids"][0])
        logits = model.model(**inputs).logits[0].log_softmax(-1)
        expected = logits[range(len(ids) - len(found) - 1, len(ids) - 1), ids[-len(found) :]]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        prompt = plain(model, query)
        output = model.model.generate(**prompt, max_new_tokens=6, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        assert said[row] == model.tokenizer.decode(output, skip_special_tokens=True).strip()


@torch.no_grad()
def test_attention_equals_full_matrices(model: VLM, queries: list[Asked]) -> None:
    batch = model.prepare(queries, ANSWERS)  # padding and answers must not change a score
    found = model.attention(batch, own(batch))
    model.model.set_attn_implementation("eager")
    for query, scores in zip(queries, found, strict=True):
        matrices = model.model(**plain(model, query), output_attentions=True).attentions
        prompt = model.prepare([query])
        question, image = prompt.question_mask[0], prompt.image_mask[0]
        expected = torch.stack([matrix[0].mean(0)[question].mean(0)[image] for matrix in matrices])
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)
    model.model.set_attn_implementation("sdpa")


def test_replaced_tokens_change_generation_and_unreplaced_leave_it_equal(model: VLM, queries: list[Asked]) -> None:
    batch = model.prepare(queries)
    before = model.generate(batch, own(batch), max_new_tokens=12)
    assert model.generate(batch, [tokens.clone() for tokens in own(batch)], max_new_tokens=12) == before
    noise = [torch.randn(t.shape, generator=torch.Generator().manual_seed(1)) * t.std() for t in own(batch)]
    assert model.generate(batch, noise, max_new_tokens=12) != before


def test_cagul_replaces_selected_tokens_in_every_stream(model: VLM, queries: list[Asked]) -> None:
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams(k=2, encoder_init="random", discriminator="none"))
    batch = model.prepare(queries)
    edited, chosen = guard(batch, own(batch)), guard.selector.select(batch)
    for new, old, indices in zip(edited, own(batch), chosen, strict=True):
        changed = (new != old).any(-1).view(-1, old.shape[-2])
        for stream in changed:
            assert stream.nonzero()[:, 0].tolist() == sorted(indices.tolist())
    for fact, picture in zip(guard.explain(batch, edited), batch.pictures, strict=True):
        rows, columns = fact["grid"]
        assert rows * columns <= picture.count
        assert len(fact["scores"]) == rows * columns
        assert all(0 <= place < rows * columns for place in fact["chosen"])


def test_an_edit_leaves_nothing_of_a_token(model: VLM, queries: list[Asked]) -> None:
    """With all streams of all tokens replaced alike, two pictures of one shape cannot be told apart."""
    flipped = queries[0].images[0].with_name("flipped.png")
    Image.open(queries[0].images[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(flipped)
    one, other = (model.prepare([Asked("Who?", (path,))], ["Ada"]) for path in (queries[0].images[0], flipped))
    assert not torch.equal(model.answer_logits(one), model.answer_logits(other))
    same = [torch.ones_like(tokens) for tokens in own(one)]
    assert torch.equal(model.answer_logits(one, same), model.answer_logits(other, same))


def test_projecting_features_gives_the_tokens(model: VLM, queries: list[Asked]) -> None:
    picture = model.see(queries[0].images[0])
    torch.testing.assert_close(model.project(picture), picture.tokens, atol=1e-6, rtol=0)
    inputs = plain(model, queries[0])
    wanted = ("pixel_values", "image_grid_thw", "pixel_attention_mask")
    with torch.no_grad():
        seen = model.model.model.get_image_features(**{n: inputs[n] for n in wanted if n in inputs}, return_dict=True)
    output = seen.pooler_output
    flat = torch.cat([tokens.reshape(-1, model.width) for tokens in output])
    main = picture.tokens if picture.tokens.ndim == 2 else picture.tokens[0]
    torch.testing.assert_close(main, flat, atol=1e-5, rtol=0)


def test_training_names_language_model_and_projector_only(model: VLM) -> None:
    towers = ("vision_tower", "vision_model", "visual.blocks")
    named = [*model.language_parameters(), *model.projector_parameters(), *model.language_linears()]
    assert model.projector_parameters()
    assert len(model.language_linears()) == 21
    assert not [name for name in named if any(tower in name for tower in towers)]


@pytest.mark.parametrize(
    ("family", "reason"),
    [("instructblip", "depend on the question"), ("chameleon", "discrete tokens"), ("newcomer", "nobody has proved")],
)
def test_other_families_are_refused_by_name(tmp_path: Path, family: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{family}"}}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=f"family '{family}'.*{reason}"):
        load(card_for(str(tmp_path)), "cpu")


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_is_trained_in_full(
    name: str, tmp_path: Path, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in float32 beside a tower in bfloat16: each family takes its visual tokens as it can."""
    save(name, tmp_path)
    monkeypatch.setitem(DTYPES, "cpu", "bfloat16")
    model = load(card_for(str(tmp_path)), "cpu")
    batch = model.prepare(queries[:2], ["Yes", "No"])
    with model.training({**model.language_parameters(), **model.projector_parameters()}) as parameters:
        visual = [model.project(picture) for picture in batch.pictures]
        torch.cat(model.answer_log_probabilities(batch, visual)).mean().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in parameters)
        assert sum(p.grad is not None and bool(p.grad.abs().max() > 0) for p in parameters) > len(parameters) / 2


def test_the_projectors_modules_are_named_in_the_whole_model(model: VLM) -> None:
    modules = dict(model.model.named_modules())
    inside = {id(parameter) for name in projectors(model) for parameter in modules[name].parameters()}
    assert inside == {id(parameter) for parameter in model.projector_parameters().values()}
