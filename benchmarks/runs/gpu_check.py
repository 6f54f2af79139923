"""Whether a GPU does what the CPU does: ``python -m benchmarks.runs.gpu_check`` runs the main job on both and compares.

Prints one JSON object for both tiny models: the metrics of `METHODS` on cpu (float32) and cuda (bfloat16), their
differences, training seconds and peak memory. Needs one CUDA GPU and some minutes; without a GPU it says so and exits
with 1. It has not been run by us: no GPU was at hand.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

METHODS = ("finetune", "cagul", "ga-kl", "po-gd", "npo-gd")
"""A frozen model behind modules, and adapters: with a reference that is run, one that is remembered, and none."""

MODELS = ("tiny-qwen2.5-vl", "tiny-mllama")

METRICS = ("forget.exact_match", "forget.refusal_rate", "nonprivate.rouge_l", "retain.rouge_l", "retain.exact_match")


def main() -> int:
    """Run on both devices and compare."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA GPU that this torch can use")
        return 1
    report = {model: _compared(model) for model in MODELS}
    print(json.dumps({"device": torch.cuda.get_device_name(), "models": report}, indent=1))
    return 0


def _compared(model: str) -> dict[str, Any]:
    """Each method's figures on both devices."""
    with tempfile.TemporaryDirectory() as folder:
        rows = {device: _run(model, device, Path(folder)) for device in ("cpu", "cuda")}
    return {
        method: {
            **{
                name: {
                    **(values := {device: rows[device][method]["metrics"][name]["value"] for device in rows}),
                    "difference": values["cuda"] - values["cpu"],
                }
                for name in METRICS
            },
            **{
                cost: {device: rows[device][method]["cost"][cost] for device in rows}
                for cost in ("train_seconds", "peak_memory_bytes")
            },
        }
        for method in METHODS
    }


def _run(model: str, device: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The fiubench row of each method."""
    command = [sys.executable, "-m", "unlearnbench", "run", "--method", ",".join(METHODS), "--model", model]
    where = [
        "--task",
        "fiubench",
        "--device",
        device,
        "--results",
        str(folder / device),
        "--store",
        str(folder / "store"),
    ]
    done = subprocess.run([*command, *where, "--json", "--quiet"], check=True, capture_output=True, text=True)  # noqa: S603
    return {row["method"]["name"]: row for row in json.loads(done.stdout)}


if __name__ == "__main__":
    sys.exit(main())
