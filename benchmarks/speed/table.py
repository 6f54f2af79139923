"""The tables of docs/performance.md: ``python -m benchmarks.speed.table benchmarks/results/speed-cpu.json``.

``speed-h200.json`` makes those of a GPU.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .growth import QUESTIONS

NAMES = {
    "base": "base, epoch", "lora": "adapter, epoch", "packed base": "base, packed epoch",
    "packed lora": "adapter, packed epoch", "cagul": "CAGUL, joint epoch", "large cagul": "CAGUL, joint epoch",
}  # fmt: skip


def tables(report: dict[str, Any]) -> str:
    """Evaluation, training and growth as Markdown, as far as they were measured."""
    parts = (evaluation(report), training(report), growth(report) if "growth" in report else ())
    return "\n\n".join(text for text in map("\n".join, parts) if text)


def evaluation(report: dict[str, Any]) -> Iterator[str]:
    """Four ways of asking."""
    yield "| evaluation | model, visual tokens | one at a time | batched | `--exact` | as it runs | TFLOP | reached |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for found in report["evaluation"]:
        for what in ("generation", "likelihoods"):
            one, batched, exact, fast = found[what]["ways"].values()
            yield _line(
                what, _of(found) + _few(found),
                *(f"{_s(way)} ({way['times']:.1f}x)" for way in (one, batched, exact)), _s(fast),
                f"{_tflop(batched)} → {_tflop(fast)}", f"{fast['share']:.0%}",
            )  # fmt: skip


def training(report: dict[str, Any]) -> Iterator[str]:
    """The plain loop and ours."""
    yield "| training | model, visual tokens | plain loop | as it runs | TFLOP | reached | weights differ by |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for part, name in NAMES.items():
        for found in report.get(part, ()):
            plain, fast = found["ways"].values()
            tflop = " → ".join(f"{way['tflop']:.{3 if way['tflop'] < 10 else 0}f}" for way in (plain, fast))
            differ = f"{found['largest_difference']:.0e}"
            yield _line(name, _of(found), f"{_s(plain)} ({plain['times']:.1f}x)", _s(fast), tflop,
                        f"{fast['share']:.0%}", differ)  # fmt: skip


def growth(report: dict[str, Any]) -> Iterator[str]:
    """What more work costs."""
    yield "| growth | | | |"
    yield "|---|---:|---:|---:|"
    for found in report["growth"]:
        if "seconds_by_visual_tokens" in found:
            each = [f"{count} tokens: {seconds:.2f} s" for count, seconds in found["seconds_by_visual_tokens"].items()]
            yield _line(f"`{found['model']}`, visual tokens", *each)
        else:
            counted = zip(found["seconds_by_questions"].items(), found["peak_megabytes_by_questions"].values(),
                          strict=True)  # fmt: skip
            each = [f"{count} questions: {seconds:.2f} s, {peak} MB" for (count, seconds), peak in counted]
            yield _line(f"`{found['model']}`, questions", *each)


def _of(found: dict[str, Any]) -> str:
    tokens = found.get("visual_tokens")
    return f"`{found['model']}`, {tokens}" if tokens else f"`{found['model']}`, as it ships"


def _few(found: dict[str, Any]) -> str:
    """How many questions, where they are fewer than a picture has."""
    return f" ({found['questions']} questions)" if found["questions"] < QUESTIONS else ""


def _tflop(way: dict[str, float]) -> str:
    return f"{way['tflop']:.4f}" if way["tflop"] < 1 else f"{way['tflop']:.0f}"


def _s(way: dict[str, float]) -> str:
    return f"{way['seconds']:.2f} s"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())))
