"""A guard and its model, exported and loaded by `transformers`, do what they do here; and what cannot be exported."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from PIL import Image
from transformers import AutoModelForImageTextToText

from tests.export.alone import said
from tests.models.tiny_families import FAMILIES, loaded
from unlearnbench.contracts.sample import Asked
from unlearnbench.errors import UsageError
from unlearnbench.export.folder import write_beside
from unlearnbench.export.processor import write_processor
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.export import FUSION
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.models.contract.explanation import Explanation
from unlearnbench.models.contract.prompt import chat
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for, folder_of

QUESTIONS = ("What is the blood type of this person?", "Who is this?", "Does this person smoke, and how much?", "Name?")
ANSWERS = ("Type AB.", "A nurse.", "No.", "Anna")


def guarded(name: str, data: Path, **params: Any) -> tuple[VLM, list[Asked]]:
    """A model behind a random encoder, and questions about pictures of which the gate flags half."""
    return behind(load(card_for(name), "cpu"), data, **params)


def behind(model: VLM, data: Path, **params: Any) -> tuple[VLM, list[Asked]]:
    pictures = sorted((data / "SFHQ").iterdir())[::7][: len(QUESTIONS)]
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams.model_validate({"k": 12} | params))
    assert guard.encoder is not None
    guard.encoder.layer.weight.data = torch.randn_like(guard.encoder.layer.weight) / 8
    if guard.discriminator is not None:
        with torch.no_grad():
            logits = guard.discriminator([model.see(picture).tokens for picture in pictures]).sort().values
            head = guard.discriminator.head
            getattr(head, "radius", getattr(head, "bias", None)).sub_((logits[1] + logits[2]) / 2)
    guard.apply(model)
    return model, [Asked(text, (picture,)) for text, picture in zip(QUESTIONS, pictures, strict=True)]


def exported(model: VLM, name: str, folder: Path) -> Path:
    folder.mkdir()
    guard = model.visual_edit
    assert isinstance(guard, Guard)
    write_beside(model, guard.beside(model), folder)
    write_processor(model, card_for(name), folder_of(card_for(name))[0], folder)
    return folder


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("tiny-qwen2.5-vl", {}),
        ("tiny-qwen2.5-vl", {"layer_reduce": (-1, 1), "discriminator": "none"}),
        ("tiny-mllama", {}),
        ("tiny-mllama", {"layer_reduce": "last", "discriminator_head": "linear"}),
    ],
)
def test_it_answers_as_it_does_here(name: str, params: dict[str, Any], small_data: Path, tmp_path: Path) -> None:
    compare(*guarded(name, small_data, **params), name, params, tmp_path)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name in FUSION])
def test_it_does_so_in_each_family(name: str, small_data: Path, tmp_path: Path) -> None:
    model, asked = behind(loaded(name, tmp_path), small_data, k=3)
    compare(model, asked, str(tmp_path / name), {}, tmp_path)


def test_pictures_that_are_cut_up_are_told_apart(small_data: Path, tmp_path: Path) -> None:
    """Two pictures of five crops each, of which one is flagged."""
    model, asked = behind(loaded("internvl", tmp_path), small_data, k=3)
    pairs = [Asked(QUESTIONS[0], (one.images[0], two.images[0])) for one in asked for two in asked]
    both = next(pair for pair in pairs if [each["flagged"] for each in told_of(model, pair)] == [False, True])
    folder = exported(model, str(tmp_path / "internvl"), tmp_path / "out")
    alone = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True)
    text = model.processor.apply_chat_template(chat(both.text, 2), add_generation_prompt=True, tokenize=False)
    inputs = model.processor(text=[text], images=[[*map(Image.open, both.images)]], return_tensors="pt")
    theirs = alone(**inputs).logits[0, -1].log_softmax(-1)
    ours = model.answer_log_distributions(model.prepare([both], ["A"]))[0][0]
    assert theirs.tolist() == pytest.approx(ours.tolist(), abs=1e-4)


def test_other_families_say_which_can(small_data: Path, tmp_path: Path) -> None:
    model, _ = behind(loaded("smolvlm", tmp_path), small_data)
    with pytest.raises(UsageError, match="of the family smolvlm cannot be exported; it can on models of qwen2_5_vl, "):
        exported(model, str(tmp_path / "smolvlm"), tmp_path / "out")


def compare(model: VLM, asked: list[Asked], name: str, params: dict[str, Any], tmp_path: Path) -> None:
    """What it says here and elsewhere, which is not what it says unguarded."""
    flags = [told["flagged"] for told in model.explain(model.prepare(asked)) or ()]
    assert flags.count(True) == (4 if params.get("discriminator") == "none" else 2)
    questions = [
        {"picture": str(each.images[0]), "text": each.text, "answer": answer}
        for each, answer in zip(asked, ANSWERS, strict=True)
    ]
    told = said(exported(model, name, tmp_path / "out"), questions)
    assert told["answers"] == model.generate(model.prepare(asked), max_new_tokens=12)
    ours = model.answer_log_probabilities(model.prepare(asked, ANSWERS))
    for theirs, its in zip(told["likelihoods"], ours, strict=True):
        assert its.tolist() == pytest.approx(theirs, abs=1e-4)
    unguarded = model.answer_log_probabilities(
        batch := model.prepare(asked, ANSWERS), [picture.tokens for picture in batch.pictures]
    )
    assert any((its - plain).abs().max() > 1e-2 for its, plain in zip(ours, unguarded, strict=True))


def test_it_loads_as_nothing_without_its_code_and_refuses_prompts_without_a_question(
    small_data: Path, tmp_path: Path
) -> None:
    model, asked = guarded("tiny-qwen2.5-vl", small_data)
    folder = exported(model, "tiny-qwen2.5-vl", tmp_path / "out")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=False)
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        type(model.model).from_pretrained(folder)  # which would see pictures unguarded
    alone = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True)
    processor, flagged = model.processor, next(each for each in asked if told_open(model, each))
    text = processor.apply_chat_template(chat(flagged.text), tokenize=False)
    inputs = processor(text=[text], images=[[Image.open(flagged.images[0])]], return_tensors="pt")
    with pytest.raises(ValueError, match="finds no question behind the pictures: make prompts with"):
        alone.generate(**inputs, max_new_tokens=2)
    embeddings = alone.get_input_embeddings()(inputs.pop("input_ids"))
    with pytest.raises(ValueError, match="give input_ids, not embeddings"):
        alone(inputs_embeds=embeddings, **inputs)
    words = model.processor.tokenizer("What is this?", return_tensors="pt")
    assert torch.equal(alone(**words).logits, model.model(**words).logits)


def test_a_large_one_lies_in_several_files_and_is_saved_again_as_it_was(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.save_torch_state_dict", partial(save_torch_state_dict, max_shard_size="2MB"))
    model, _ = guarded("tiny-qwen2.5-vl", small_data)
    first = exported(model, "tiny-qwen2.5-vl", tmp_path / "out")
    assert len([*first.glob("*.safetensors")]) > 1
    alone = AutoModelForImageTextToText.from_pretrained(first, trust_remote_code=True)
    alone.save_pretrained(tmp_path / "again")
    again = AutoModelForImageTextToText.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert isinstance(model.visual_edit, Guard)
    weights = model.model.state_dict() | dict(model.visual_edit.beside(model).tensors)
    for found in (alone.state_dict(), again.state_dict()):
        assert found.keys() == weights.keys()
        assert all(torch.equal(tensor, weights[name]) for name, tensor in found.items())
    for folder in (first, tmp_path / "again"):
        with pytest.raises(OSError, match=r"no file named model\.safetensors"):
            type(model.model).from_pretrained(folder)


def told_of(model: VLM, asked: Asked) -> list[Explanation]:
    return model.explain(model.prepare([asked])) or []


def told_open(model: VLM, asked: Asked) -> bool:
    return any(told["flagged"] for told in told_of(model, asked))


def test_the_guard_stays_in_float32_in_a_model_of_half_precision(small_data: Path, tmp_path: Path) -> None:
    model, asked = guarded("tiny-qwen2.5-vl", small_data, discriminator="none")
    folder = exported(model, "tiny-qwen2.5-vl", tmp_path / "out")
    alone = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True, dtype=torch.bfloat16)
    assert alone.guard.encoder.layer.weight.dtype == torch.float32
    assert alone.lm_head.weight.dtype == torch.bfloat16
    text = model.processor.apply_chat_template(chat("Who?"), add_generation_prompt=True, tokenize=False)
    inputs = model.processor(text=[text], images=[[Image.open(asked[0].images[0])]], return_tensors="pt")
    assert alone(**inputs).logits.isfinite().all()


@pytest.mark.parametrize(("name", "value"), [("selection", "random"), ("encoder", "noise")])
def test_what_draws_by_file_names_is_not_exported(model: VLM, name: str, value: str) -> None:
    guard = Guard(model, CAGULParams.model_validate({name: value}))
    with pytest.raises(UsageError, match=f"cagul with {name}={value} draws by the names of pictures' files"):
        guard.beside(model)
