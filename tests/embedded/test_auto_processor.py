"""`AutoProcessor` alone prepares questions for the shipped models as the package does, or says what it wants."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from unlearnbench.contracts.sample import Asked
from unlearnbench.models.contract.prompt import chat
from unlearnbench.models.families import processing_qwen_vl
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for, folder_of

QUESTION = "What is the blood type of this person?"


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_it_prepares_the_same(name: str, small_data: Path) -> None:
    picture = min((small_data / "SFHQ").iterdir())
    processor = AutoProcessor.from_pretrained(folder_of(card_for(name))[0], trust_remote_code=True)
    text = processor.apply_chat_template(chat(QUESTION), add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text], images=[[Image.open(picture)]], return_tensors="pt")
    model = load(card_for(name), "cpu")
    batch = model.prepare([Asked(QUESTION, (picture,))])
    assert torch.equal(inputs["input_ids"], batch.input_ids)
    said = model.model.generate(**inputs, max_new_tokens=12, do_sample=False)[:, batch.input_ids.shape[1] :]
    assert processor.batch_decode(said, skip_special_tokens=True) == model.generate(batch, max_new_tokens=12)


def test_without_trust_in_the_folder_it_says_so() -> None:
    folder, _ = folder_of(card_for("tiny-qwen2.5-vl"))
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    shipped = folder / "processing_qwen_vl.py"
    assert shipped.read_bytes() == Path(str(processing_qwen_vl.__file__)).read_bytes()
