"""Several processes, one a GPU, that do one run's work together; every function here does nothing for a single one.

All processes go through the same cells. Frozen models and adapters stand in each of them, and they share out the
samples of a batch and the batches of an evaluation; a model whose own weights are trained is cut up among them (FSDP2).
The sums are those of one process, so results agree with its results up to the order of additions.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from ..errors import UnlearnbenchError
from .device import Launch, launch

T = TypeVar("T")
_log = logging.getLogger(__name__)

JOIN_SECONDS = 600.0
"""How long a process waits for those that were launched with it to start."""

SAID_AFTER = 10.0
"""Seconds of such waiting after which it is said."""

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first may compute a stage's quarantine or a lock alone."""

SETTLING = timedelta(seconds=60)
"""How long a process that failed waits for the others to fail alike."""

_talk: Any = None
"""The group through which processes exchange plain objects, on CPUs whatever the device."""

_failed: Any = None
"""The group in which those that failed meet; its connections are its own, whatever the others wait for."""


def start(device: str, join_seconds: float = JOIN_SECONDS) -> None:
    """Join the processes that a launcher has started, if one has (it says so in the environment).

    Raises `UnlearnbenchError` where they are not all there after ``join_seconds``.
    """
    global _talk, _failed
    us = launch()
    if us is None or dist.is_initialized():
        return
    if device == "cuda":
        _take_gpu(us)
    store = _met(us, join_seconds)
    kind = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(kind, store=store, rank=us.rank, world_size=us.processes, timeout=PATIENCE)
    _talk = dist.new_group(backend="gloo", timeout=PATIENCE)
    _failed = dist.new_group(backend="gloo", timeout=SETTLING)


def _take_gpu(us: Launch) -> None:
    there = torch.cuda.device_count()
    if us.local_rank >= there:
        raise UnlearnbenchError(
            f"process {us.rank + 1} of {us.processes} is the {us.local_rank + 1}. of this machine, which shows {there} "
            "GPUs: start as many processes as there are GPUs, or give --device cpu"
        )
    torch.cuda.set_device(us.local_rank)


def _met(us: Launch, seconds: float) -> Any:
    """The store in which all processes have signed in, of which the last did so within ``seconds``."""
    who, limit = f"process {us.rank + 1} of {us.processes}", timedelta(seconds=seconds)
    waiting = f"{who} waits for the others at {us.meeting}, for up to {seconds / 60:g} minutes (--join-minutes)"
    teller = threading.Timer(SAID_AFTER, _log.warning, (waiting,))
    teller.daemon = True
    teller.start()
    try:
        store, *_ = next(rendezvous("env://", timeout=limit))
        store.set(f"unlearnbench/{us.rank}", "here")
        store.wait([f"unlearnbench/{rank}" for rank in range(us.processes)], limit)
    except (RuntimeError, ValueError, OSError) as error:  # torch has its own kinds, all of them RuntimeErrors
        taken = "EADDRINUSE" in str(error) or "address already in use" in str(error)
        why = "that address is taken" if taken else f"not all had come after {seconds / 60:g} minutes"
        raise UnlearnbenchError(
            f"{who} could not meet the others at {us.meeting}: {why}; start all of them with torchrun or --gpus, or "
            "unset RANK and WORLD_SIZE for one alone (--join-minutes changes how long they wait)"
        ) from error
    finally:
        teller.cancel()
    return store


def stop() -> None:
    """Part from the others."""
    if dist.is_initialized():
        dist.destroy_process_group()


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def place() -> int:
    """The number of this process, from zero."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes results."""
    return place() == 0


# ------------------------------------------------------------------------------------------------------- exchanging
def agreed(value: T) -> T:
    """The first process' value."""
    if processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, group=_talk)
    return box[0]


def gathered(value: T) -> list[T]:
    """Every process' value, in their order."""
    if processes() == 1:
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value, group=_talk)
    return values


def settle(why: str) -> None:
    """After a failure: go on if all processes failed alike, else end this one, so that the launcher ends them all.

    The others may wait for this one in the middle of a computation, so nothing but the end can reach them.
    """
    if processes() == 1:
        return
    try:
        dist.barrier(group=_failed)
    except RuntimeError:
        sys.stderr.write(f"error: process {place() + 1} of {processes()} failed alone, all are ended: {why}\n")
        sys.stderr.flush()
        os._exit(1)


def shared_out(items: Sequence[T]) -> Sequence[T]:
    """The part of ``items`` that falls to this process."""
    return items[place() :: processes()]


def stretches(items: Sequence[T]) -> list[Sequence[T]]:
    """The parts of ``items`` that fall to each process where neighbours are to stay together; the last may be empty."""
    each = -(-len(items) // processes())
    return [items[number * each : (number + 1) * each] for number in range(processes())]


# --------------------------------------------------------------------------------------------------------- training
def same_start(parameters: Sequence[nn.Parameter]) -> None:
    """Give ``parameters`` that are not cut up the first process' values."""
    if processes() > 1:
        for parameter in whole(parameters):
            dist.broadcast(parameter.data, src=0)


def add_up_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sum the gradients of parameters that are not cut up over all processes; FSDP sums those of the others."""
    if processes() > 1:
        for parameter in whole(parameters):
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)


def add_up(parts: Mapping[str, float]) -> dict[str, float]:
    """Sums of every process' parts."""
    if processes() == 1:
        return dict(parts)
    everyone = gathered(dict(parts))
    return {name: sum(part.get(name, 0.0) for part in everyone) for name in everyone[0]}


def norm_of_gradients(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients, of parameters cut up and whole."""
    norms = [
        torch.nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])
        for group in (whole(parameters), cut_up(parameters))
        if group
    ]
    total: Tensor = torch.stack([full(norm) for norm in norms]).norm()
    return total


def is_cut_up(tensor: Tensor) -> bool:
    """Whether a process holds only its part of a tensor."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def whole(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Those that stand in every process."""
    return [parameter for parameter in parameters if not is_cut_up(parameter)]


def cut_up(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Those of which every process holds a part."""
    return [parameter for parameter in parameters if is_cut_up(parameter)]


def like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A whole ``tensor``, the same in all processes, where and cut up as ``parameter`` of the same shape is."""
    if not is_cut_up(parameter):
        return tensor.to(parameter.device)
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = parameter.device_mesh, parameter.placements  # type: ignore[attr-defined]
    return distribute_tensor(tensor.to(parameter.device), mesh, placements, src_data_rank=None)


def full(tensor: Tensor) -> Tensor:
    """The tensor that its parts make up."""
    return tensor.full_tensor() if is_cut_up(tensor) else tensor  # type: ignore[attr-defined]


def cut(model: nn.Module, layers: Sequence[nn.Module], kept: Sequence[nn.Parameter], dtype: torch.dtype) -> None:
    """Cut ``model`` up among the processes, layer by layer (FSDP2), ``kept`` parameters aside.

    Parts are held in float32, and gathered and computed with in ``dtype``; gradients add up in float32. A layer is
    cut before the next one is widened to float32, so that no process ever holds all weights in it.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    # What the model returns is only read: a view that is written to is what the warning is about.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor", category=UserWarning)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    mesh = init_device_mesh(next(model.parameters()).device.type, (processes(),))  # a GPU may be there and not wanted
    for part in (*layers, model):
        for parameter in set(whole(list(part.parameters()))) - set(kept):
            parameter.data = parameter.data.float()
        fully_shard(part, mesh=mesh, mp_policy=policy, ignored_params=set(kept))
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
