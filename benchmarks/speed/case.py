"""A model, large pictures, questions with their true answers, and the plain ways of asking and training."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers.image_utils import SizeDict

from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.embedded import embedded_folder
from unlearnbench.models.families.mllama import Mllama
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read

from ..gpu import LARGE, build

SIDE = 588
"""Of a large picture, in pixels: 441 visual tokens in Qwen2.5-VL's way of counting."""

TILE = 280
"""Pixels of Llama-3.2-Vision's tiles in place of 84: four of them have 404 visual tokens in place of 40."""


class Case:
    """``pictures`` with ``questions`` each, asked of a model in one piece of memory.

    ``side`` is the pictures' in pixels; None: as they ship. Shapes of real models get random weights of ``dtype``.
    """

    def __init__(
        self, name: str, folder: Path, pictures: int, questions: int, side: int | None = SIDE, device: str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:  # fmt: skip
        self.name, self.device = name, torch.device(device)
        self.side, self._dtype = side, dtype
        self.renew()
        known = by_person(pictures)
        self.images = [resized(each[0].image, folder, side) for each in known]
        pairs = [(image, each[number % len(each)]) for image, each in zip(self.images, known, strict=True)
                 for number in range(questions)]  # fmt: skip
        self.queries = [Asked(sample.text, (image,)) for image, sample in pairs]
        self.answers = [sample.answer for _, sample in pairs]
        self.questions = questions

    def part(self, questions: int) -> "Case":
        """The same model and pictures with the first of their questions alone."""
        part = copy.copy(self)
        chosen = [place for place in range(len(self.queries)) if place % self.questions < questions]
        part.queries, part.answers = [self.queries[at] for at in chosen], [self.answers[at] for at in chosen]
        part.questions = questions
        return part

    def renew(self) -> None:
        """A model as nobody has changed it."""
        self.model: Any = None  # the old one goes before the new one comes
        self.model = fresh(self.name, self.device.type, self.side, self._dtype)

    @property
    def must_agree(self) -> bool:
        """Whether results must be equal; with weights of a real model's size they are compared, and told."""
        return self.name not in LARGE

    @property
    def visual_tokens(self) -> int:
        """Of one picture."""
        return int(self.model.see(self.images[0]).count)

    # ---------------------------------------------------------------------------------------------- transformers alone
    def generated(self, size: int, new_tokens: int) -> list[str]:
        """Answers through a processor and `generate`, pixels with every question, ``size`` at a time."""
        said: list[str] = []
        for start in range(0, len(self.queries), size):
            inputs = processed(self.model, self.queries[start : start + size])
            out = self.model.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
            new = out[:, inputs["input_ids"].shape[1] :]
            said += [text.strip() for text in self.model.tokenizer.batch_decode(new, skip_special_tokens=True)]
        return said

    def weighed(self, size: int) -> list[list[float]]:
        """Log-probabilities of the true answers' tokens from the logits of all tokens, ``size`` answers at a time."""
        found: list[list[float]] = []
        for start in range(0, len(self.queries), size):
            part = slice(start, start + size)
            found += [row.tolist() for row in log_probabilities(self.model, self.queries[part], self.answers[part])]
        return found


def fresh(name: str, device: str, side: int | None = None, dtype: torch.dtype = torch.bfloat16) -> Any:
    """A model as nobody has changed it; with a ``side``, one that takes large pictures at their full size."""
    model: Any = build(name, device, dtype) if name in LARGE else load(card_for(name), device)
    if side and model.name == "qwen2_5_vl" and name not in LARGE:
        model.processor.image_processor.size = SizeDict(shortest_edge=28 * 28, longest_edge=side * side)
    if side and model.name == "mllama" and name not in LARGE:
        return larger_tiles(model)
    return model


def larger_tiles(small: Any) -> Mllama:
    """The tiny Llama-3.2-Vision with tiles of `TILE` pixels; their embeddings of places are new and say nothing."""
    config = copy.deepcopy(small.model.config)
    config.vision_config.image_size = TILE
    torch.manual_seed(0)
    model = type(small.model)(config)
    own = model.state_dict()
    kept = {name: weight for name, weight in small.model.state_dict().items() if weight.shape == own[name].shape}
    model.load_state_dict(own | kept)
    model.generation_config = small.model.generation_config
    small.processor.image_processor.size = SizeDict(height=TILE, width=TILE)
    return Mllama(model, small.processor)


def by_person(people: int) -> list[list[Sample]]:
    """The questions that ship about each of the first people."""
    found: dict[str, list[Sample]] = {}
    for sample in samples(read(embedded_folder()).identities):
        found.setdefault(sample.cluster, []).append(sample)
    return [*found.values()][:people]


def resized(path: Path, folder: Path, side: int | None) -> Path:
    """A copy of the picture at ``path`` in a ``folder``, with a ``side``; the picture itself without one."""
    if side is None:
        return path
    target = folder / f"{side}-{path.stem}.png"
    Image.open(path).convert("RGB").resize((side, side)).save(target)
    return target


def processed(model: Any, queries: Sequence[Any], answers: Sequence[str] | None = None) -> Any:
    """What the processor alone makes of pictures and chats, padded to one length."""
    texts = []
    for place, query in enumerate(queries):
        turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": query.text}]}]
        text = model.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        texts.append(text if answers is None else text + answers[place] + model.tokenizer.decode(model.end_token_id))
    images = [[Image.open(query.images[0]).convert("RGB")] for query in queries]
    inputs = model.processor(text=texts, images=images, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    return inputs.to(model.device)


def log_probabilities(model: Any, queries: Sequence[Any], answers: Sequence[str]) -> list[Tensor]:
    """Of the answers' tokens, through the whole model: logits of every token of every row."""
    inputs = processed(model, queries, answers)
    scores = model.model(**inputs).logits[:, :-1].float().log_softmax(-1)
    ids = inputs["input_ids"].clamp_max(scores.shape[-1] - 1)  # a picture's id may have no logit
    chosen = scores.gather(2, ids[:, 1:, None])[..., 0]
    counts = [len(model.tokenizer(answer, add_special_tokens=False).input_ids) + 1 for answer in answers]
    return [row[-count:] for row, count in zip(chosen, counts, strict=True)]
