"""Starting a command again in several processes, one a GPU, that work on it together."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ...errors import UsageError
from ...runtime.device import ignored, launch, launched, leave_launch

_log = logging.getLogger(__name__)


def heed(gpus: int, executor: str) -> None:
    """Act on what the environment says of a launch: where it is none, say so and forget it.

    Raises `UsageError` for options that start processes, given to one of several that were launched.
    """
    if us := launch():
        if gpus > 1:
            raise UsageError(
                f"--gpus {gpus}: this is process {us.rank + 1} of {us.processes} that were launched together already; "
                "leave one of the two out"
            )
        if executor == "slurm":
            raise UsageError("--executor slurm: jobs are submitted by one process; start the command without torchrun")
        return
    if said := ignored():
        _log.warning("%s", said)
    leave_launch()


def check(gpus: int, device: str, jobs: int = 1) -> tuple[str, ...]:
    """The GPUs that there are, where more than one is to be used; raises `UsageError` if they are too few."""
    if device == "cpu" or gpus * jobs == 1:
        return ()
    import torch

    there = torch.cuda.device_count()
    if there < gpus or (gpus > 1 and there < gpus * jobs):
        wanted = f"--gpus {gpus}" if jobs == 1 or there < gpus else f"--gpus {gpus} with --jobs {jobs}"
        raise UsageError(f"{wanted}: this machine shows {there}; give --gpus {there}, fewer --jobs, or --device cpu")
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")) if named else tuple(map(str, range(there)))


@contextmanager
def joined(device: str, join_seconds: float) -> Iterator[bool]:
    """Work together with the processes that were launched with this one; whether this is the one that reports."""
    if not launched():
        yield True
        return
    from ...runtime import distributed

    distributed.start(device, join_seconds)
    try:
        yield distributed.is_first()
    finally:
        distributed.stop()


def relaunch(processes: int) -> None:
    """Run this very command in ``processes`` processes and end as they end.

    They find out about each other from the environment, as under ``torchrun``.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="unlearnbench",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    command = ["-m", "unlearnbench", *_without_gpus(sys.argv[1:]), "--gpus=1"]  # before what a file says
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:  # the process that failed has said why
        _, failure = error.get_first_failure()
        raise typer.Exit(failure.exitcode if failure.exitcode > 0 else 1) from None


def _without_gpus(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("--gpus="):
            skip = False
        elif argument == "--gpus":
            skip = True
        else:
            kept.append(argument)
    return kept
