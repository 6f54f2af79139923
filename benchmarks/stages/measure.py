"""What measures of single stages share: the machine to count for, and a report of several models."""

import gc
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import LARGE, asked, data
from unlearnbench.contracts.sample import Sets
from unlearnbench.engine.memory.estimate import Machine
from unlearnbench.engine.memory.machine import cpu_machine, gpu_machine
from unlearnbench.runtime.provenance import environment

Measured = Callable[[str, str, Sets], dict[str, Any]]
"""What is found of a model on a device, with sets of few people."""


def machine(name: str, device: str) -> Machine:
    """The machine that is here, for which a model is counted."""
    return gpu_machine(1, None, device) if device == "cuda" else cpu_machine([name])


def report(about: str, measured: Measured, models: Mapping[str, Sequence[str]]) -> None:
    """Measure the ``models`` of the device that is here, or those that are asked for, and print what was found."""
    options, name = asked(about)
    device = options.device
    found: dict[str, Any] = {"environment": environment(name), "models": {}}
    for model in options.models or models[device]:
        with tempfile.TemporaryDirectory() as folder:
            sets = data(Path(folder) / "data", large=model in LARGE)
            torch.manual_seed(0)
            found["models"][model] = measured(model, device, sets)
        print(json.dumps({"model": model} | found["models"][model]), flush=True)
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
        if options.out:  # after every model: a limit may end this before the last
            options.out.write_text(json.dumps(found, indent=1) + "\n")
