"""What a token of an answer takes: ``python -m benchmarks.speed.generation [--questions 16,64] [--out FILE.json]``.

On a GPU at the shapes of Qwen2.5-VL-7B and Llama-3.2-11B-Vision with random bfloat16 weights, which fit 80 GB; on a CPU
the tiny models. Three ways in turns, all of which read a picture once for its 16 questions: with a cache that grows, as
`transformers` has it; with the package's static one, each step started by Python; and, on a GPU, recorded. Beside them
the floor: reading the weights, and all keys and values, once for every token.
"""

import argparse
import gc
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from unlearnbench.models.contract.vlm import Batch
from unlearnbench.models.fusion import prefix
from unlearnbench.runtime.memory import PeakMemory
from unlearnbench.runtime.provenance import environment

from ..gpu import FACE, LARGE, rates_of
from .case import SIDE, Case
from .measure import Clock

NEW_TOKENS, REPEATS, EACH = 32, 3, 16
"""Tokens of an answer, turns, and questions about a picture."""


@torch.no_grad()
def growing(model: Any, batch: Batch, new_tokens: int) -> list[str]:
    """Greedy answers from a cache that grows, as the package read them before."""
    begin = prefix.begin(model, batch, model.look(batch))
    begin.cache.batch_select_indices(begin.index)
    ids, mask, positions = begin.rest.input_ids, begin.mask, begin.positions
    said = []
    for _ in range(new_tokens):
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        further = {prefix.cache_name(model): begin.cache, **model._further(batch, mask[:, -ids.shape[1] :])}
        logits = model.model(**inputs, **further, use_cache=True, logits_to_keep=1).logits[:, -1]
        ids = logits.float().argmax(-1, keepdim=True)
        said.append(ids)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        positions = positions[..., -1:] + 1
    return model._read(torch.cat(said, dim=1))  # type: ignore[no-any-return]


def static(model: Any, batch: Batch, new_tokens: int, *, records: bool) -> list[str]:
    """The package's way, with and without recordings."""
    own = model.may_record
    model.may_record = own if records else lambda: False
    try:
        return model.generate(batch, max_new_tokens=new_tokens, shared=True)  # type: ignore[no-any-return]
    finally:
        del model.may_record


def measured(case: Case, questions: int, bandwidth: float) -> dict[str, Any]:
    """Figures of every way of answering the first of the case's questions, so many.

    Raises AssertionError where answers differ in float32, on a CPU.
    """
    model, device = case.model, case.device
    model.model.generation_config.eos_token_id = -1  # no token: answers are of equal length
    batch = model.prepare(case.queries[:questions])
    ways: dict[str, Callable[[int], list[str]]] = {
        "growing cache": lambda count: growing(model, batch, count),
        "static cache": lambda count: static(model, batch, count, records=False),
    }
    if device.type == "cuda":
        ways["recorded"] = lambda count: static(model, batch, count, records=True)
    said: dict[str, list[str]] = {}
    turns: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    peaks = dict.fromkeys(ways, 0)
    for _ in range(REPEATS + 1):
        for name, way in ways.items():
            with PeakMemory(device.type) as memory:
                said[name], seconds = _turn(way, model, device)
            turns[name].append(seconds)
            peaks[name] = max(peaks[name], memory.peak)
    lines = {name: _line(taken[1:], len(batch), peaks[name]) for name, taken in turns.items()}  # the first warms up
    with model.unchanged():
        static(model, batch, NEW_TOKENS, records=False)
        layers = model.unchanging.decoding.cache.layers
        cached = sum(each.keys.nbytes + each.values.nbytes for each in layers)
    weights = _read_weights(model)
    floors = {"weights_ms": weights / bandwidth * 1000, "keys_and_values_ms": cached / bandwidth * 1000}
    equal = {name: sum(map(str.__eq__, answers, said["static cache"])) / len(batch) for name, answers in said.items()}
    assert device.type == "cuda" or {*equal.values()} == {1.0}, f"answers differ: {equal}"
    facts = {"model": case.name, "visual_tokens": case.visual_tokens, "questions": len(batch)}
    return facts | {"ways": lines, "floor": {k: round(v, 3) for k, v in floors.items()}, "equal_answers": equal}


def _turn(
    way: Callable[[int], list[str]], model: Any, device: torch.device
) -> tuple[list[str], tuple[float, float, float]]:
    """What it says; seconds of a first batch, recording and all, of a second one, and of one with a single token."""
    said, seconds = [""], []
    with model.unchanged():
        for count in (NEW_TOKENS, NEW_TOKENS, 1):
            with Clock(device) as clock:
                found = way(count)
            seconds.append(clock.seconds)
            said = found if count > 1 else said
    return said, (seconds[0], seconds[1], seconds[2])


def _line(turns: list[tuple[float, float, float]], questions: int, peak: int) -> dict[str, float]:
    """Medians over turns: of a batch, and of a token once prompts are read."""
    first, later, reading = (statistics.median(each) for each in zip(*turns, strict=True))
    token = (later - reading) / (NEW_TOKENS - 1)
    figures = {
        "ms_a_token": 1000 * token, "tokens_per_second": questions / token,
        "seconds": later, "first_seconds": first, "reading_seconds": reading, "peak_gb": peak / 1e9,
    }  # fmt: skip
    return {name: round(value, 4) for name, value in figures.items()}


def _read_weights(model: Any) -> int:
    """Bytes of what a token goes through: of the embeddings one row, unless the head has the same weights."""
    head, embedded = model.model.get_output_embeddings().weight, model.model.get_input_embeddings().weight
    layers = model.language_model().layers
    return int(sum(parameter.nbytes for parameter in layers.parameters()) + head.nbytes) + embedded[0].nbytes


def main() -> None:
    """Measure what there is a device for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", help="default: real shapes on a GPU, embedded models on a CPU")
    parser.add_argument("--questions", default="16,64", help="asked at a time, 16 about each picture")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    bandwidth = rates_of(device, name)[1]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model_name in options.models or (list(LARGE) if device == "cuda" else list(LARGE.values())):
            sizes = [*map(int, options.questions.split(","))]
            side = FACE if model_name in LARGE else SIDE
            case = Case(model_name, Path(folder), max(sizes) // EACH, EACH, side, device)
            for questions in sizes:
                gc.collect()
                if device == "cuda":
                    torch.cuda.empty_cache()
                found.append(measured(case, questions, bandwidth))
                _show(found[-1])
                if options.out:
                    report = {"environment": environment(name), "bytes_per_second": bandwidth, "generation": found}
                    options.out.write_text(json.dumps(report, indent=1) + "\n")
            del case  # before the next model is built


def _show(found: dict[str, Any]) -> None:
    floor = sum(found["floor"].values())
    about = {key: found[key] for key in ("model", "visual_tokens", "questions", "floor", "equal_answers")}
    table = Table("way", "ms a token", "times the floor", "tokens/s", "a batch, s", "the first, s", "peak GB")
    for name, line in found["ways"].items():
        of = (line["ms_a_token"], line["ms_a_token"] / floor, line["tokens_per_second"], line["seconds"])
        table.add_row(name, *(f"{value:.4g}" for value in (*of, line["first_seconds"], line["peak_gb"])))
    print(json.dumps(about))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
