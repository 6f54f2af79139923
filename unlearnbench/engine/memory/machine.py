"""The machine that a run is counted for: its GPUs as they are or as they are pretended to be, else its own memory."""

from collections.abc import Iterable
from importlib import import_module

from .estimate import CONTEXT, Machine
from .times import PEAK

GB = 1e9


def gpus_here(device: str | None) -> int:
    """How many GPUs there are and may be used."""
    if device == "cpu":
        return 0
    import torch

    return int(torch.cuda.device_count())


def gpu_machine(processes: int, gpu_memory: float | None, device: str | None = None) -> Machine:
    """So many GPUs of ``gpu_memory`` GB, by default of what the smallest here has, or 80 GB where there are none.

    The CPU's memory beside them is only checked where they are here: pretended ones may be anywhere.
    """
    import psutil
    import torch

    there = gpus_here(device)
    name = torch.cuda.get_device_name() if there else "H100"
    kind = next((kind for kind in PEAK if kind in name), "H100")
    own = min((float(torch.cuda.get_device_properties(n).total_memory) for n in range(there)), default=80 * GB)
    host = float(psutil.virtual_memory().total) if there and gpu_memory is None else None
    return Machine(processes, gpu_memory * GB if gpu_memory else own, kind, CONTEXT, host, there)


def cpu_machine(models: Iterable[str], processes: int = 1) -> Machine:
    """The machine itself, without GPUs: what a process holds before a model is there is measured."""
    import psutil

    from ...models.files.source import card_for
    from .counts import counts

    import_module("unlearnbench.engine.runner")  # a run holds this in memory too
    for name in models:
        counts(card_for(name))
    total = float(psutil.virtual_memory().total)
    return Machine(processes, total / processes, "cpu", held=float(psutil.Process().memory_info().rss))
