"""Train the embedded models from nothing: ``python -m unlearnbench.embedded.models.build OUT [MODEL ...] [--seed 0]``.

All questions on a picture share one row: the picture once, then each question with its answer, which sees the
picture and itself but not its neighbours. The mathematics is that of one row a question at a third of the cost.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ...engine.keys import weights_digest
from .architecture import Architecture
from .lessons import TEXT_EVERY, Lesson, Phase, lessons, text_lessons
from .mllama import TinyMllama
from .qwen2_5_vl import TinyQwen2_5_VL
from .sight import examine

ARCHITECTURES: dict[str, type[Architecture]] = {"tiny-qwen2.5-vl": TinyQwen2_5_VL, "tiny-mllama": TinyMllama}
IGNORED = -100


@dataclass
class LessonBatch:
    """A batch: pictures and, per row, the shared prefix and its questions one after the other."""

    seen: dict[str, Tensor]
    """The vision tower's inputs; nothing where the batch has no pictures."""
    prefix: int
    """Tokens that all questions of a row share."""
    ids: Tensor
    turn: Tensor
    offset: Tensor
    targets: Tensor


class LessonRows(IterableDataset):  # type: ignore[type-arg]
    """Endless batches of `LessonBatch` of ``images`` pictures each, or now and then of as many rows without one."""

    def __init__(self, architecture: Architecture, reader: Any, images: int, phase: Phase, seed: int) -> None:
        self.architecture, self.reader, self.images, self.phase, self.seed = architecture, reader, images, phase, seed
        self.prefix, self.text_prefix, self.tail = (
            reader.tokenizer(text, add_special_tokens=False).input_ids
            for text in (architecture.prefix, architecture.text_prefix, architecture.tail)
        )

    def __iter__(self) -> Iterator[LessonBatch]:
        torch.set_num_threads(1)
        pictures, texts = lessons(self.seed, self.phase), text_lessons(self.seed, self.phase.turns)
        for number in count(1):
            yield self._rows(list(islice(texts if number % TEXT_EVERY == 0 else pictures, self.images)))

    def _rows(self, batch: list[Lesson]) -> LessonBatch:
        images = [lesson.image for lesson in batch if lesson.image is not None]
        seen = self.architecture.see(self.reader, images) if images else {}
        columns = [self._row(lesson) for lesson in batch]
        longest = max(len(ids) for ids, *_ in columns)
        ids, turn, offset, targets = (
            torch.tensor([column + [fill] * (longest - len(column)) for column in parts])
            for parts, fill in zip(zip(*columns, strict=True), (0, -1, 0, IGNORED), strict=True)
        )
        return LessonBatch(seen, len(self.prefix if images else self.text_prefix), ids, turn, offset, targets)

    def _row(self, lesson: Lesson) -> tuple[list[int], ...]:
        """Token ids, turn number (0 = the picture), place within its turn, and the next token to predict."""
        prefix = self.text_prefix if lesson.image is None else self.prefix
        ids, turn, offset = list(prefix), [0] * len(prefix), [0] * len(prefix)
        targets = [IGNORED] * len(prefix)
        encode = self.reader.tokenizer
        for number, (question, answer) in enumerate(lesson.turns, start=1):
            asked = encode(question, add_special_tokens=False).input_ids + self.tail
            said = [*encode(answer, add_special_tokens=False).input_ids, encode.eos_token_id]
            both = asked + said
            ids += both[:-1]
            turn += [number] * (len(both) - 1)
            offset += range(len(both) - 1)
            targets += [IGNORED] * (len(asked) - 1) + said
        return ids, turn, offset, targets


def loss_of(model: Any, architecture: Architecture, rows: LessonBatch) -> Tensor:
    """Cross-entropy of answer tokens, weighted by one over the root of their answer's length.

    Equal tokens would starve one-word answers, equal answers the words of a description, which teach to see.
    """
    place = torch.arange(rows.ids.shape[1])
    sees = (place[:, None] >= place[None]) & (
        (rows.turn[:, None, :] == 0) | (rows.turn[:, :, None] == rows.turn[:, None, :])
    )
    keep = rows.targets != IGNORED
    logits = model(
        input_ids=rows.ids,
        attention_mask=sees[:, None],
        **rows.seen,
        **architecture.read(model, rows.ids, rows.offset, rows.prefix, rows.seen),
        use_cache=False,
        logits_to_keep=keep,
    ).logits
    nll = F.cross_entropy(logits.float(), rows.targets[keep], reduction="none")
    answer = (torch.arange(len(rows.ids))[:, None] * 64 + rows.turn)[keep]
    _, index, length = torch.unique(answer, return_inverse=True, return_counts=True)
    weight = length[index].rsqrt()
    loss: Tensor = (nll * weight).sum() / weight.sum()
    return loss


def train(name: str, out: Path, *, seed: int, images: int, every: int, last: bool) -> None:
    """Pretrain phase by phase; save to ``out`` as float16 safetensors with tokenizer, processor and record.

    One thread, so that the same seed gives the same bytes on the same kind of machine. ``last`` goes through the phases
    alone that begin with what was saved, with the same outcome.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    architecture, start = ARCHITECTURES[name](), time.monotonic()
    tokens = architecture.tokenizer()
    reader, model = architecture.processor(tokens), architecture.untrained(tokens, seed)
    for number, phase in enumerate(architecture.phases, start=1):
        if last and not phase.resumes:
            continue
        if phase.resumes:
            model = type(model).from_pretrained(out, dtype=torch.float32)
        print(f"phase {number} of {len(architecture.phases)}: {phase}", flush=True)
        rows = LessonRows(architecture, reader, images, phase, seed + number - 1)
        for step in _phase(model, rows, phase):
            if step % every == 0 or step == phase.steps:
                seen = examine(model.eval(), reader)
                print(" ".join(f"{kind} {value:.2f}" for kind, value in seen.items()), flush=True)
                save(model, reader, out, {"seed": seed, "phase": number, "step": step, "sight": seen})
    minutes = (time.monotonic() - start) / 60
    print(f"{name}: {minutes:.1f} minutes, weights {weights_digest(out, out, remember=False)}", flush=True)


def _optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for matrices within the blocks, which learns to see in less than half of AdamW's steps; AdamW for the rest.

    Rates are 1.0, to be multiplied by the schedule's.
    """
    inner = {
        id(parameter): parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
    }
    others = [parameter for parameter in model.parameters() if id(parameter) not in inner]
    return [
        torch.optim.Muon([*inner.values()], 1.0, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, 1.0, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def _rate(phase: Phase, step: int) -> float:
    """The learning rate: a warm-up, and a part of a cosine."""
    first, last = phase.rate
    way = first + (last - first) * step / phase.steps
    return phase.peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * way)) / 2)


def _phase(model: Any, rows: LessonRows, phase: Phase) -> Iterator[int]:
    """Train through one phase; yields the number of each step as it is done."""
    batches = iter(DataLoader(rows, batch_size=None, num_workers=1, prefetch_factor=4))
    optimizers = _optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, partial(_rate, phase)) for each in optimizers]
    start, recent = time.monotonic(), 0.0
    for step in range(1, phase.steps + 1):
        loss = loss_of(model.train(), rows.architecture, next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad()
        recent += loss.item()
        if step % 50 == 0:
            print(f"step {step}/{phase.steps} loss {recent / 50:.3f} {time.monotonic() - start:.0f} s", flush=True)
            recent = 0.0
        yield step


def save(model: Any, reader: Any, out: Path, record: dict[str, object]) -> None:
    """Write the model's folder; weights in float16, half the size and exact enough to load in float32."""
    state = {name: value.half() for name, value in model.state_dict().items()}
    model.config.dtype = torch.float16
    model.save_pretrained(out, state_dict=state)
    reader.save_pretrained(out)
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


def positive(text: str) -> int:
    """A number of at least 1; raises ValueError, which argparse words, for anything else."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def main() -> None:
    """Parse the command line and train, one model after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder that gets a folder a model")
    parser.add_argument("names", nargs="*", metavar="MODEL", help="some of " + ", ".join(ARCHITECTURES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=positive, default=16, help="pictures a step")
    parser.add_argument("--last", action="store_true", help="only what begins with what OUT holds")
    parser.add_argument("--every", type=positive, default=500, help="steps between examinations")
    given = parser.parse_args()
    if unknown := {*given.names} - {*ARCHITECTURES}:
        parser.error(f"no embedded model {min(unknown)!r}: choose from {', '.join(ARCHITECTURES)}")
    names = [*dict.fromkeys(given.names or ARCHITECTURES)]
    if given.last and (lacking := [name for name in names if not (given.out / name / "config.json").is_file()]):
        parser.error(
            f"--last goes on with what {given.out} holds, and there is no {lacking[0]}: build it without --last"
        )
    for name in names:
        try:  # not after an hour
            (given.out / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"{error.filename} cannot be written ({error.strerror}): give another folder")
    for name in names:
        train(name, given.out / name, seed=given.seed, images=given.images, every=given.every, last=given.last)


if __name__ == "__main__":
    main()
