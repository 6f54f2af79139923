"""``python -m benchmarks.speed [--repeats N] [--only PART,..] [--out FILE.json] [--profile] [--full-size]``.

Without ``--full-size`` both tiny models on a CPU, in float32; results are asserted to be equal. With it, on a GPU,
random weights at the shapes of Qwen2.5-VL-7B and Llama-3.2-11B-Vision, in bfloat16 or, to see how equal results are, in
float32; how equal is told.
"""

import argparse
import gc
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from unlearnbench.runtime.provenance import environment

from ..gpu import BATCH, FACE, LARGE
from . import evaluation, growth, training
from .case import SIDE, Case
from .measure import Clock, product_rate

TINY = ("tiny-qwen2.5-vl", "tiny-mllama")
Measurements = dict[str, list[Callable[[], dict[str, Any]]]]
"""Measurements by what they are of."""

PARTS = ("evaluation", "base", "lora", "packed base", "packed lora", "cagul", "large cagul", "growth")

TOGETHER = 8
"""Questions about a picture that stand together in a batch, where that is measured."""


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="turns, of which medians are taken")
    parser.add_argument("--pictures", type=int, default=2, help="that questions are asked about")
    parser.add_argument("--questions", type=int, default=20, help="about each picture")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--full-size", action="store_true", help="real shapes with random weights, on a GPU")
    parser.add_argument("--float32", action="store_true", help="with --full-size: weights in float32")
    parser.add_argument("--models", default=",".join(LARGE), help="with --full-size: which shapes")
    parser.add_argument("--profile", action="store_true", help="print what evaluation's time goes to")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON; other parts in it stay")
    options = parser.parse_args()
    device = torch.device("cuda" if options.full_size else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--full-size needs a CUDA GPU that this torch can use")
    name = torch.cuda.get_device_name() if options.full_size else f"cpu, {torch.get_num_threads()} threads"
    options.dtype = torch.bfloat16 if options.full_size and not options.float32 else torch.float32
    rate = product_rate(device, options.dtype)
    before = json.loads(options.out.read_text()) if options.out and options.out.is_file() else {}
    report = before | {"environment": environment(name), "dtype": str(options.dtype).removeprefix("torch.")}
    print(f"{name}: matrix products at {rate / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        parts = (at_full_size if options.full_size else on_tiny_models)(options, Path(folder), rate)
        for part in options.only.split(","):
            about = {"product_gflop_per_second": round(rate / 1e9, 1)}
            report[part] = []
            for measure in parts.get(part, ()):
                report[part].append(show(part, measure()) | about)
                if options.out:
                    options.out.write_text(json.dumps(report, indent=1) + "\n")
        if options.profile:
            large = (1, options.questions, FACE, "cuda", options.dtype)
            names = options.models.split(",") if options.full_size else TINY[:1]
            for each in names:
                known = large if options.full_size else (options.pictures, options.questions)
                profile(Case(each, Path(folder), *known))


def on_tiny_models(options: Any, folder: Path, rate: float) -> Measurements:
    """Every part's measurements, with large pictures and with those that ship."""
    repeats = options.repeats

    def case(name: str, *, large: bool, pictures: int, questions: int) -> Case:
        return Case(name, folder, pictures, questions, SIDE if large else None)

    def asked(name: str, *, large: bool) -> dict[str, Any]:
        with_all = case(name, large=large, pictures=options.pictures, questions=options.questions)
        return evaluation.compared(with_all, repeats, rate)

    def epochs(name: str, *, full: bool, large: bool, questions: int = 1) -> dict[str, Any]:
        taught = case(name, large=large, pictures=5 if large else 20, questions=20)
        return training.compared(taught, repeats, rate, full=full, questions=questions)

    def packed(*, full: bool) -> list[Callable[[], dict[str, Any]]]:
        return [lambda n=name: epochs(n, full=full, large=True, questions=TOGETHER) for name in TINY]

    kinds = [(name, large) for name in TINY for large in (True, False)]
    return {
        "evaluation": [lambda n=name, at=large: asked(n, large=at) for name, large in kinds],
        "base": [lambda n=name, at=large: epochs(n, full=True, large=at) for name, large in kinds],
        "lora": [lambda n=name, at=large: epochs(n, full=False, large=at) for name, large in kinds],
        "packed base": packed(full=True),
        "packed lora": packed(full=False),
        "cagul": [lambda name=name: training.cagul(name, 1, rate) for name in TINY],
        "large cagul": [
            lambda name=name: training.cagul(name, 1, rate, training.PEOPLE, 1, SIDE, every=2) for name in TINY
        ],
        "growth": [
            *(lambda name=name: growth.in_questions(name, folder, repeats, "cpu", 2, SIDE) for name in TINY),
            lambda: growth.in_visual_tokens(TINY[0], folder, repeats),
        ],
    }


def at_full_size(
    options: Any, folder: Path, rate: float, device: str = "cuda"
) -> dict[str, list[Callable[[], dict[str, Any]]]]:
    """Evaluation, an adapter's epochs and growth at real shapes."""

    def case(name: str, pictures: int, questions: int) -> Case:
        gc.collect()
        torch.cuda.empty_cache()
        return Case(name, folder, pictures, questions, FACE, device, options.dtype)

    def asked(name: str) -> dict[str, Any]:
        return evaluation.compared(case(name, 1, options.questions), options.repeats, rate)

    def epoch(name: str) -> dict[str, Any]:
        taught = case(name, 2, -(-options.questions // 2))
        return training.compared(taught, options.repeats, rate, full=False, batch_size=BATCH)

    def packed(name: str) -> dict[str, Any]:
        taught = case(name, 2, 2 * TOGETHER)
        return training.compared(taught, options.repeats, rate, full=False, batch_size=TOGETHER, questions=TOGETHER)

    def grown(name: str) -> dict[str, Any]:
        return growth.in_questions(name, folder, options.repeats, device, 1, FACE, options.dtype)

    measures = {"evaluation": asked, "lora": epoch, "packed lora": packed, "growth": grown}
    names = options.models.split(",")
    return {part: [lambda m=measure, n=name: m(n) for name in names] for part, measure in measures.items()}


def show(part: str, found: dict[str, Any]) -> dict[str, Any]:
    """Print one measurement."""
    for what, lines in [(part, found), *((key, value) for key, value in found.items() if isinstance(value, dict))]:
        if "ways" not in lines:
            continue
        about = {key: value for key, value in (found | lines).items() if not isinstance(value, dict)}
        table = Table("way", "seconds", "x", "TFLOP", "GFLOP/s", "of products", title=f"{what} {json.dumps(about)}")
        for way, line in lines["ways"].items():
            table.add_row(way, *(f"{value:g}" for value in line.values()))
        Console(width=140).print(table)
    if not any("ways" in each for each in (found, *(v for v in found.values() if isinstance(v, dict)))):
        print(part, json.dumps(found))
    return found


def profile(case: Case) -> None:
    """What the fast way's time goes to, by operator."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    for what in ("generation", "likelihoods"):
        run = evaluation.ours(case, what, shared=True)
        run(Clock(case.device))
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (case.device.type == "cuda")]
        with profiling(activities=activities) as found:
            run(Clock(case.device))
        print(what, case.name)
        where = "cuda" if case.device.type == "cuda" else "cpu"
        print(found.key_averages().table(sort_by=f"self_{where}_time_total", row_limit=12))


if __name__ == "__main__":
    main()
