"""Asks exported models by `transformers` and PEFT alone: python alone.py ASKED.json prints what each has said.

ASKED.json holds ``exports``, folders, and ``questions``: picture, text and an answer whose tokens' log-likelihoods are
wanted.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def load(folder: Path) -> Any:
    if not (folder / "adapter_config.json").is_file():
        return AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True)
    base = AutoModelForImageTextToText.from_pretrained(folder / "base", trust_remote_code=True)
    return PeftModel.from_pretrained(base, folder)


def prompt(processor: Any, text: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))


@torch.no_grad()
def said(folder: Path, questions: list[dict[str, str]]) -> dict[str, Any]:
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    processor.tokenizer.padding_side = "left"
    model = load(folder).eval()
    pictures = [[Image.open(each["picture"])] for each in questions]
    texts = [prompt(processor, each["text"]) for each in questions]
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    answers = [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]
    likelihoods = []
    for text, picture, each in zip(texts, pictures, questions, strict=True):
        whole = text + each["answer"] + processor.tokenizer.eos_token
        inputs = processor(text=[whole], images=[picture], return_tensors="pt")
        ids = inputs["input_ids"][0]
        start = len(processor(text=[text], images=[picture], return_tensors="pt")["input_ids"][0])
        logs = model(**inputs).logits[0].float().log_softmax(-1)
        likelihoods.append([float(logs[place - 1, ids[place]]) for place in range(start, len(ids))])
    return {"answers": answers, "likelihoods": likelihoods}


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    found = [said(Path(folder), asked["questions"]) for folder in asked["exports"]]
    assert not any(name.partition(".")[0] == "unlearnbench" for name in sys.modules)
    print(json.dumps(found))
