"""What ``run`` says and chooses for both large models on a pretended GPU, as the table in docs/models.md.

``python -m benchmarks.runs.what_fits`` prints it; nothing is downloaded, and no GPU is needed.
"""

from collections.abc import Iterator

from unlearnbench.config import RunConfig
from unlearnbench.engine.memory.choice import choose
from unlearnbench.engine.memory.machine import gpu_machine
from unlearnbench.errors import UsageError

MODELS = ("qwen2.5-vl-7b", "llama-3.2-11b-vision")
SIZES = (80, 48, 24)
METHODS = ("finetune", "retrain", "cagul", "po-gd")


def said(model: str, size: int) -> tuple[str, list[str]]:
    """The kind of base that is chosen for a GPU of so many GB, and the lines that are said."""
    config = RunConfig(methods=METHODS, models=(model,), tasks=("fiubench",))
    try:
        chosen, lines = choose(config, {model: gpu_machine(1, size)})
    except UsageError as error:
        return "refused", str(error).split("; ")
    kind = lines[0].removeprefix(f"{model}: base ").partition(" ")[0]
    assert chosen.of_model.get(model, {}).get("base") or kind == "full"
    return kind, lines


def table() -> Iterator[str]:
    """The table's lines."""
    yield "| model | GPU | base | `run` says |"
    yield "|---|---:|---|---|"
    for model in MODELS:
        for size in SIZES:
            kind, lines = said(model, size)
            shown = " <br> ".join(line.removeprefix(f"{model}: ") for line in lines)
            yield f"| `{model}` | {size} GB | {kind} | {shown} |"


if __name__ == "__main__":
    print("\n".join(table()))
