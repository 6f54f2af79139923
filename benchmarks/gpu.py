"""What methods cost at real size: ``python -m benchmarks.gpu [--out FILE.json] [--models NAME..]``, in one command.

On a GPU: the shapes of Qwen2.5-VL-7B and Llama-3.2-11B-Vision with random bfloat16 weights and pictures of 1024 pixels
(1369 and 6404 visual tokens), meant to end within 10 minutes on 80 GB. On a CPU: the embedded models. Random weights
cost what trained ones do; what is said means nothing. Every figure stands beside the floor of its operations at the
device's peak, or of reading the weights once. `benchmarks/results/h200.json` is a run on an H200.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from unlearnbench import Counts
from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Sets
from unlearnbench.embedded.data.make import make
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import forward_operations
from unlearnbench.engine.memory.times import BANDWIDTH, PEAK
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, training_cases
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.models.contract.edits import Adapter
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load, load_processor
from unlearnbench.models.files.outline import config_of
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.registry import families, methods
from unlearnbench.runtime.memory import PeakMemory
from unlearnbench.runtime.provenance import environment
from unlearnbench.runtime.run import Run
from unlearnbench.runtime.startup import computing
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE

LARGE = {"qwen2.5-vl-7b": "tiny-qwen2.5-vl", "llama-3.2-11b-vision": "tiny-mllama"}
"""Real shapes, and the embedded models whose tokenizers stand in for theirs."""
METHODS = ("ga", "ga-gd", "ga-kl", "po-gd")
FACE, BATCH, STEPS, NEW_TOKENS = 1024, 4, 4, 20


class StepTimes:
    """A progress that notes when each step was done."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.times: list[float] = []

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator["StepTimes"]:
        """A bar that nobody sees."""
        self.times = [self._now()]
        yield self

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Note the time."""
        self.times.append(self._now())

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @property
    def step(self) -> float:
        """The median seconds of a step, the first aside: it warms up."""
        spans = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        later = sorted(spans[1:] or spans)
        return later[len(later) // 2]


# ----------------------------------------------------------------------------------------------------------- models
def build(
    name: str, device: str, dtype: torch.dtype = torch.bfloat16, altered: Callable[[Any], None] | None = None
) -> VLM:
    """The embedded model, or a real shape with random weights, seeing pictures at their real resolution.

    The configuration of a real shape may be ``altered`` first.
    """
    if name not in LARGE:
        return load(card_for(name), device)
    computing()  # as `load` does: runs that are measured choose among torch's kernels as real ones do
    card, stand_in = card_for(name), card_for(LARGE[name])
    family = families.get(card.family)
    processor = load_processor(family, card, folder_of(stand_in)[0])
    config = config_of(card)
    if altered:
        altered(config)
    tokens = processor.tokenizer
    if card.family == "mllama":
        side = config.vision_config.image_size
        processor.image_processor.size = type(processor.image_processor.size)(height=side, width=side)
        config.image_token_index = tokens.convert_tokens_to_ids(processor.image_token)
    else:
        config.image_token_id = tokens.convert_tokens_to_ids(processor.image_token)
    from transformers import AutoModelForImageTextToText

    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("_gate"):  # shut in new models
            torch.nn.init.constant_(parameter, 0.5)
    model.generation_config.eos_token_id = -1  # no token: answers are of equal length
    return family(model, processor)


def data(folder: Path, *, large: bool) -> Sets:
    """Five people, one to be forgotten; faces at FIUBench's size for real shapes."""
    make(folder, identities=5, scenes=1)
    for path in (folder / "SFHQ").iterdir() if large else ():
        with Image.open(path) as image:
            grown = image.convert("RGB").resize((FACE, FACE))
        grown.save(path)
    return split_sets(read(folder), 1, PRIVATE)


# ------------------------------------------------------------------------------------------------------- measuring
class Bench:
    """One model's measurements."""

    def __init__(self, model: VLM, count: Counts, sets: Sets, device: str, rates: tuple[float, float]) -> None:
        self.model, self.count, self.sets, self.device = model, count, sets, device
        self.operations, self.bytes = rates
        batch = model.prepare(sets.all, [sample.answer for sample in sets.all])
        answer = float(batch.answer_mask.sum() / len(batch))
        prompt = float(batch.attention_mask.sum() / len(batch)) - answer - float(batch.image_mask.sum() / len(batch))
        self.forward = forward_operations(count, answer, prompt)
        self.asking = forward_operations(count, 0, prompt)
        self.weights = sum(p.nbytes for p in model.model.parameters())
        self.table: dict[str, dict[str, Any]] = {}

    def note(self, what: str, seconds: float, operations: float, peak: int, *, reads: int = 1, **more: Any) -> None:
        """One line of the table; ``reads`` is how often the weights are read through at least."""
        floor = max(operations / self.operations, reads * self.weights / self.bytes)
        self.table[what] = {
            "seconds": round(seconds, 5),
            "floor_seconds": round(floor, 5),
            "times_floor": round(seconds / floor, 2),
            "peak_memory_bytes": peak,
            **more,
        }
        print(f"  {what:34} {seconds:9.4f} s  floor {floor:9.4f} s  peak {peak / 1e9:6.2f} GB", flush=True)

    def timed(self, work: Callable[[], Any], repeats: int = 3) -> tuple[float, int]:
        """The median seconds of ``work`` after one warm-up, and the peak memory."""
        clock = StepTimes(self.device)
        with PeakMemory(self.device) as memory, clock.bar("", repeats):
            for _ in range(repeats + 1):
                work()
                clock.advance()
        return clock.step, memory.peak

    def all(self) -> dict[str, dict[str, Any]]:
        """Everything, the frozen model first."""
        self.vision()
        self.selection()
        self.cagul()
        self.evaluation()
        for method in METHODS:
            self.adapter(method)
        return self.table

    def vision(self) -> None:
        """The vision tower and the projector on one picture."""
        path = self.sets.forget[0].image

        def see() -> None:
            self.model.let_go([path])
            self.model.see(path)

        seconds, peak = self.timed(see)
        patches = self.model.see(path).features.shape[0]
        operations = 2 * self.count.tower * patches + 2 * self.count.projector * self.count.visual
        self.note("vision encoding, 1 picture", seconds, operations, peak, visual_tokens=self.count.visual)

    def selection(self) -> None:
        """Scores of eq. 7 for a batch of questions."""
        batch = self.model.prepare(self.sets.forget[:BATCH])
        own = [picture.tokens for picture in batch.pictures]
        seconds, peak = self.timed(lambda: self.model.attention(batch, own))
        self.note(f"attention selection, {BATCH} questions", seconds, BATCH * self.asking, peak)

    def cagul(self) -> None:
        """A joint step whose samples all pass the gate: computing everything anew, and with what is frozen cached."""
        params = CAGULParams(batch_size=BATCH, gate="label", discriminator_epochs=0)
        guard = Guard(self.model, params)
        trainer = CAGULTrainer(self.model, guard)
        cases = [case for case in training_cases(self.sets, params.refusals, Run(0)) if case.flagged][:BATCH]
        optimizer = torch.optim.AdamW([p for module in guard.modules.values() for p in module.parameters()])

        def step() -> None:
            optimizer.zero_grad()
            torch.stack(list(trainer.losses(cases).values())).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def plain_step() -> None:
            self.model.let_go([case.sample.image for case in cases])
            guard.selector._known.clear()
            step()

        forward = BATCH * self.forward
        seconds, peak = self.timed(plain_step)
        self.note(f"CAGUL step, nothing cached, batch {BATCH}", seconds, 3 * forward, peak)
        cached, peak = self.timed(step)
        self.note(
            f"CAGUL step, cached, batch {BATCH}", cached, 2 * forward, peak, times_faster=round(seconds / cached, 2)
        )

    def evaluation(self) -> None:
        """Answers and likelihoods of cached pictures."""
        asked = list(self.sets.all)[: 4 * BATCH]

        def generate() -> None:
            ask(self.model, [Ask(each.id, each, NEW_TOKENS) for each in asked], Run(0), batch_size=4 * BATCH)

        def weigh() -> None:
            ask(self.model, [Weigh(each.id, each, each.answer) for each in asked], Run(0), batch_size=4 * BATCH)

        for what, work in {"generation": generate, "answer likelihoods": weigh}.items():
            seconds, peak = self.timed(work)
            operations, reads = len(asked) * self.forward, NEW_TOKENS if work is generate else 1
            self.note(
                f"{what}, {len(asked)} questions",
                seconds,
                operations,
                peak,
                reads=reads,
                per_second=round(len(asked) / seconds, 2),
            )

    def adapter(self, name: str) -> None:
        """Steps of a method that trains an adapter, through the method's own code."""
        kind = methods.get(name)
        scale = "tiny" if self.device == "cpu" else "large"
        settings = {
            "batch_size": BATCH,
            "micro_batch_size": BATCH,
            "epochs": -(-STEPS * BATCH // len(self.sets.forget)),
        }
        params = resolve(kind.Params, name, scale, settings)
        if hasattr(params, "stop"):
            never = params.stop.model_copy(
                update={"forget_ratio": None, "forget_loss": None, "retain_rise": None, "every": 10**6}
            )
            params = params.model_copy(update={"stop": never})
        clock = StepTimes(self.device)
        with PeakMemory(self.device) as memory:
            edit = kind(params).unlearn(self.model, self.sets, Run(0, progress=clock))
        samples = BATCH * (1 if name == "ga" else 2)
        operations = 3 * samples * self.forward
        facts = {"trainable_parameters": edit.trainable_parameters}
        self.note(f"{name} step with LoRA, batch {BATCH}", clock.step, operations, memory.peak, **facts)
        if isinstance(edit, Adapter):
            edit.peft.unload()


def rates_of(device: str, name: str) -> tuple[float, float]:
    """Operations and bytes a second: a GPU's as its maker states them, a CPU's as a product and a copy show them."""
    if device == "cuda":
        kind = next((kind for kind in PEAK if kind in name), "H100")
        return PEAK[kind], BANDWIDTH[kind]
    matrix, clock = torch.rand(2048, 2048), time.perf_counter
    best = {"product": float("inf"), "copy": float("inf")}
    for _ in range(5):
        for what, work in {"product": lambda: matrix @ matrix, "copy": lambda: matrix.clone()}.items():
            start = clock()
            work()
            best[what] = min(best[what], clock() - start)
    return 2 * 2048**3 / best["product"], 2 * matrix.nbytes / best["copy"]


def asked(about: str) -> tuple[argparse.Namespace, str]:
    """What a command, with what it is ``about``, was told: ``models``, ``device``, ``out``; and the device's name."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--models", nargs="+", help="default: real shapes on a GPU, embedded models on a CPU")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    return options, torch.cuda.get_device_name() if on_gpu else f"cpu, {torch.get_num_threads()} threads"


def main() -> None:
    """Measure what there is a device for."""
    options, name = asked(__doc__)
    device = options.device
    rates = rates_of(device, name)
    floors = {"operations_per_second": rates[0], "bytes_per_second": rates[1]}
    found: dict[str, Any] = {"environment": environment(name), "floors": floors}
    found["models"], start = {}, time.perf_counter()
    for model_name in options.models or (list(LARGE) if device == "cuda" else list(LARGE.values())):
        print(model_name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            sets = data(Path(folder) / "data", large=model_name in LARGE)
            torch.manual_seed(0)
            bench = Bench(build(model_name, device), counts(card_for(model_name)), sets, device, rates)
            found["models"][model_name] = bench.all()
        del bench
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    found["seconds"] = round(time.perf_counter() - start, 1)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{found['seconds']} s")


if __name__ == "__main__":
    main()
