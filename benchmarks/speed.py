"""How fast evaluation is, against the plain ways, in one process with equal results: ``python -m benchmarks.speed``.

For 20 questions about each of a few large pictures it times, in turns, greedy answers and likelihoods of true answers
- through ``transformers`` alone, one question at a time, as the published evaluations do;
- through ``transformers`` alone, all questions about a picture in a batch;
- through unlearnbench with every shortcut off (``--exact``): each picture is seen once;
- through unlearnbench: the beginning of the prompt is read once a picture too.

Then it shows how the last one's time grows with questions and with visual tokens, and what time goes to (--profile).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.image_utils import SizeDict

from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.fiubench import read
from unlearnbench.data.questions import samples
from unlearnbench.models.load import load
from unlearnbench.models.source import card_for
from unlearnbench.models.vlm import Asked
from unlearnbench.training.losses import answer_nll

MODELS = ("tiny-qwen2.5-vl", "tiny-mllama")
SIDE = 588
"""Of a picture, in pixels: 441 visual tokens in Qwen2.5-VL's way of counting."""
NEW_TOKENS = 24
PRECISION = 1e-4


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print what the fast way's time goes to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name in MODELS:
            case = Case(name, Path(folder), options.pictures, options.questions)
            print(json.dumps(compare(case, options.repeats)))
            print(json.dumps(growth(name, Path(folder), options.repeats)))
            print(json.dumps(base_epoch(name)))
            if options.profile:
                profile(case)


def processed(model: Any, queries: Sequence[Any], answers: Sequence[str] | None = None) -> Any:
    """What the processor alone makes of pictures and chats, padded to one length."""
    texts = []
    for place, query in enumerate(queries):
        turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": query.text}]}]
        text = model.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        texts.append(text if answers is None else text + answers[place] + model.tokenizer.decode(model.end_token_id))
    images = [[Image.open(query.image).convert("RGB")] for query in queries]
    return model.processor(text=texts, images=images, return_tensors="pt", padding=True, add_special_tokens=False)


class Case:
    """A model, large pictures, and questions with their true answers."""

    def __init__(self, name: str, folder: Path, pictures: int, questions: int, side: int = SIDE) -> None:
        self.model: Any = load(card_for(name), "cpu")
        if self.model.family == "qwen2_5_vl":
            self.model.processor.image_processor.size = SizeDict(shortest_edge=28 * 28, longest_edge=side * side)
        self.name = name
        known = [*samples(read(embedded_folder()).identities)]
        self.images, self.queries, self.answers = [], [], []
        for place in range(pictures):
            path = folder / f"{side}-{place}.png"
            Image.open(known[20 * place].image).convert("RGB").resize((side, side)).save(path)
            self.images.append(path)
            for number in range(questions):
                self.queries.append(Asked(path, known[number % 20].text))
                self.answers.append(known[number % 20].answer)
        self.questions = questions

    @property
    def visual_tokens(self) -> int:
        """Of one picture."""
        return int(self.model.see(self.images[0]).count)

    # ------------------------------------------------------------------------------------------------- our own ways
    def ours(self, shared: bool) -> Callable[[], tuple[list[str], list[torch.Tensor]]]:
        """Answers and likelihoods, a batch a picture."""

        def run() -> tuple[list[str], list[torch.Tensor]]:
            self.model.let_go(self.images)
            said: list[str] = []
            weighed: list[torch.Tensor] = []
            for start in range(0, len(self.queries), self.questions):
                part = slice(start, start + self.questions)
                said += self.model.generate(
                    self.model.prepare(self.queries[part]), max_new_tokens=NEW_TOKENS, shared=shared
                )
                weighed += self.model.answer_log_probabilities(
                    self.model.prepare(self.queries[part], self.answers[part]), shared=shared
                )
            return said, weighed

        return run

    # --------------------------------------------------------------------------------------------- transformers alone
    def theirs(self, size: int) -> Callable[[], tuple[list[str], list[torch.Tensor]]]:
        """The same through a processor, `generate` and `forward`, pixels with every question."""

        def run() -> tuple[list[str], list[torch.Tensor]]:
            said: list[str] = []
            weighed: list[torch.Tensor] = []
            for start in range(0, len(self.queries), size):
                part = slice(start, start + size)
                said += self._generated(self.queries[part])
                weighed += self._weighed(self.queries[part], self.answers[part])
            return said, weighed

        return run

    def _generated(self, queries: Sequence[Asked]) -> list[str]:
        inputs = processed(self.model, queries)
        out = self.model.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        texts = self.model.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _weighed(self, queries: Sequence[Asked], answers: Sequence[str]) -> list[torch.Tensor]:
        inputs = processed(self.model, queries, answers)
        scores = self.model.model(**inputs).logits[:, :-1].float().log_softmax(-1)
        ids = inputs["input_ids"].clamp_max(scores.shape[-1] - 1)  # a picture's id may have no logit
        chosen = scores.gather(2, ids[:, 1:, None])[..., 0]
        counts = [len(self.model._answer(answer)) for answer in answers]
        return [row[-count:] for row, count in zip(chosen, counts, strict=True)]


def compare(case: Case, repeats: int) -> dict[str, Any]:
    """Median seconds of each way, and how many times as fast the fast way is; raises where results differ."""
    ways = {
        "transformers, one at a time": case.theirs(1),
        "transformers, batched": case.theirs(case.questions),
        "exact": case.ours(False),
        "shared": case.ours(True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - start)
    worst = max(agree(found["shared"], other) for other in found.values())
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        "model": case.name,
        "visual_tokens": case.visual_tokens,
        "questions": len(case.queries),
        "seconds": {name: round(each, 3) for name, each in medians.items()},
        "times_as_fast": {name: round(each / medians["shared"], 2) for name, each in medians.items()},
        "largest_difference_of_log_probabilities": worst,
    }


def agree(one: Any, other: Any) -> float:
    """The largest difference of log-probabilities; raises AssertionError where answers differ, or these by too much."""
    assert one[0] == other[0], "answers differ"
    worst = max(float((x - y).abs().max()) for x, y in zip(one[1], other[1], strict=True))
    assert worst < PRECISION, f"log-probabilities differ by {worst}"
    return worst


def base_epoch(name: str, samples_asked: int = 96, size: int = 32) -> dict[str, Any]:
    """Seconds of one epoch that finetunes language model and projector, pixels and all logits against what `fit` does.

    Raises AssertionError where the weights differ afterwards.
    """
    chosen = [*samples(read(embedded_folder()).identities)][:samples_asked]
    seconds, weights = {}, {}
    for way in ("plain", "ours"):
        model: Any = load(card_for(name), "cpu")
        for sample in chosen if way == "ours" else ():
            model.see(sample.image)  # once for all epochs
        with (
            torch.enable_grad(),
            model.training({**model.language_parameters(), **model.projector_parameters()}) as weighed,
        ):
            optimiser = torch.optim.AdamW(weighed, lr=1e-4)
            start = time.perf_counter()
            for place in range(0, len(chosen), size):
                part = chosen[place : place + size]
                loss = (_plain_loss if way == "plain" else _our_loss)(model, part)
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
            seconds[way] = time.perf_counter() - start
            weights[way] = [each.detach().clone() for each in weighed]
    worst = max(float((x - y).abs().max()) for x, y in zip(weights["plain"], weights["ours"], strict=True))
    assert worst < 1e-5, f"weights differ by {worst}"
    return {
        "model": name,
        "base_epoch_seconds": {way: round(each, 3) for way, each in seconds.items()},
        "times_as_fast": round(seconds["plain"] / seconds["ours"], 2),
        "largest_difference_of_weights": worst,
    }


def _our_loss(model: Any, part: Sequence[Any]) -> torch.Tensor:
    batch = model.prepare(part, [sample.answer for sample in part])
    visual = [model.project(picture) for picture in batch.pictures]
    return answer_nll(model.answer_log_probabilities(batch, visual)).mean()


def _plain_loss(model: Any, part: Sequence[Any]) -> torch.Tensor:
    """The mean loss per token of each answer, from the logits of all tokens and the pixels of every sample."""
    inputs = processed(model, part, [sample.answer for sample in part])
    scores = model.model(**inputs).logits[:, :-1].float().log_softmax(-1)
    ids = inputs["input_ids"].clamp_max(scores.shape[-1] - 1)
    chosen = scores.gather(2, ids[:, 1:, None])[..., 0]
    counts = [len(model._answer(sample.answer)) for sample in part]
    return -torch.stack([row[-count:].mean() for row, count in zip(chosen, counts, strict=True)]).mean()


def growth(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of the fast way with more questions about a picture, and with more visual tokens."""

    def seconds(case: Case) -> float:
        run = case.ours(True)
        run()
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        return round(statistics.median(taken), 3)

    questions = {count: seconds(Case(name, folder, 1, count)) for count in (20, 40, 80)}
    sides = (294, 420, 588) if name == "tiny-qwen2.5-vl" else (588,)
    tokens = {}
    for side in sides:
        case = Case(name, folder, 1, 20, side)
        tokens[case.visual_tokens] = seconds(case)
    return {"model": name, "seconds_by_questions": questions, "seconds_by_visual_tokens": tokens}


def profile(case: Case) -> None:
    """What the fast way's time goes to, by operator."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    run = case.ours(True)
    run()
    with profiling(activities=[ProfilerActivity.CPU]) as found:
        run()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


if __name__ == "__main__":
    main()
