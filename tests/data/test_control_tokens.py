"""Control tokens of any family are refused in data, with record and field, whatever the model."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny_families import FAMILIES
from unlearnbench.config import RunConfig
from unlearnbench.data import control_tokens
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.errors import DataError
from unlearnbench.models.files.check import special_tokens
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.mme.reader import read_mme
from unlearnbench.tasks.pope.reader import read_pope

MADE_UP = {"<user>", "<end>", "<model>"}
"""Of the tests' tiny families alone, which have no real chat template."""

REAL = Path(__file__).parents[3] / "shared" / "data"


def person(folder: Path, place: int, index: int, **fields: Any) -> None:
    people = [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]
    people[place]["qa_list"][index] |= fields
    (folder / "full.json").write_text("".join(json.dumps(each) + "\n" for each in people))


@pytest.fixture
def data(tmp_path: Path, small_data: Path) -> Path:
    return shutil.copytree(small_data, tmp_path / "data")


@pytest.mark.parametrize(
    ("field", "value", "token"),
    [
        ("question", "<image>\n{}", "<image>"),
        ("answer", "It is here.</s>", "</s>"),
        ("paraphrased_question", ["Fine?", "Is it <|vision_start|>?"], "<|vision_start|>"),
        ("paraphrased_answer", "So it is.<|eot_id|>", "<|eot_id|>"),
        ("perturbed_answer", ["No.", "No.<|im_end|>"], "<|im_end|>"),
    ],
)
def test_every_field_of_a_person_is_looked_at(data: Path, field: str, value: Any, token: str) -> None:
    if field == "question":
        second = json.loads((data / "full.json").read_text().splitlines()[1])
        value = value.format(second["qa_list"][5]["question"])
    person(data, 1, 5, **{field: value})
    with pytest.raises(DataError) as caught:
        read(data)
    assert "full.json, line 2" in str(caught.value)
    assert "question 5" in str(caught.value)
    assert f"field {field!r} holds the control token {token!r}" in str(caught.value)


def test_questions_of_mme_and_pope_are_looked_at(data: Path) -> None:
    file = data / "pope" / "coco_pope_popular.json"
    first, *others = file.read_text().splitlines()
    record = json.loads(first)
    file.write_text("\n".join([json.dumps(record | {"text": f"<|image|>{record['text']}"}), *others]))
    with pytest.raises(DataError, match=r"coco_pope_popular\.json, line 1: field 'question' holds .*'<\|image\|>'"):
        read_pope(data)
    file = next((data / "mme").glob("*.txt"))
    file.write_text(file.read_text().replace("\tIs", "\t<image_soft_token> Is", 1))
    with pytest.raises(DataError, match=rf"{file.name}, line \d+: field 'question' holds .*'<image_soft_token>'"):
        read_mme(data)


def test_plan_names_a_token_of_the_models_own(data: Path, tmp_path: Path, random_model: Path) -> None:
    model = shutil.copytree(random_model, tmp_path / "mine")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append(tokenizer["added_tokens"][0] | {"id": 9999, "content": "[PRIVATE]"})
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    person(data, 0, 3, answer="[PRIVATE] nobody knows")
    words = {"methods": ["pretrain"], "data": str(data), "tasks": ["fiubench"], "forget": [2]}
    assert plan(RunConfig(models=[str(random_model)], **words), Store(tmp_path / "store"), dry=True)
    with pytest.raises(DataError) as caught:
        plan(RunConfig(models=[str(model)], **words), Store(tmp_path / "store"), dry=True)
    assert f"field 'answer' holds the control token '[PRIVATE]': model {model} takes it for" in str(caught.value)
    assert "/3: " in str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_list_covers_the_tokens_of_every_family(name: str) -> None:
    _, processor = FAMILIES[name]()
    tokens = {token.content for token in processor.tokenizer.added_tokens_decoder.values() if token.special}
    assert len(tokens) >= 5
    assert set(control_tokens.unknown(tokens)) <= MADE_UP


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_the_list_covers_the_embedded_models(name: str) -> None:
    tokens = special_tokens(folder_of(card_for(name))[0])
    assert len(tokens) == 8
    assert control_tokens.unknown(tokens) == []


@pytest.mark.parametrize("text", ["a < b and c > d", "x | y", "<3", "the <b>bold</b> one", "5 <|> 6", "s>", "image"])
def test_plain_text_is_none(text: str) -> None:
    control_tokens.refuse("here", question=text)


@pytest.mark.skipif(not REAL.is_dir(), reason="the benchmarks' questions are not here")
def test_the_published_questions_hold_none() -> None:
    files = [path for path in REAL.rglob("*") if path.suffix in (".json", ".jsonl", ".txt")]
    assert len(files) > 15
    for path in files:
        control_tokens.refuse(str(path), text=path.read_text(encoding="utf-8"))
