"""Which device a run uses, and whether several processes share it, told without importing torch.

The device decides the weights' precision and so a cell's key. Processes are told of each other by variables of the
environment, as ``torchrun`` tells them; schedulers and shells leave such variables behind too, so that they count only
where all of them are there and agree.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

DTYPES = {"cpu": "float32", "cuda": "bfloat16"}
"""The precision that models compute in on each kind of device."""

LAUNCH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher sets for every process that it starts: all of these."""

_OTHERS = ("GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "LOCAL_WORLD_SIZE", "ROLE_WORLD_SIZE", "GROUP_WORLD_SIZE")
"""What ``torchrun`` sets besides."""

_STARTERS = {
    "SLURM_STEP_NUM_TASKS": ("srun", "SLURM_PROCID"),
    "OMPI_COMM_WORLD_SIZE": ("mpirun", "OMPI_COMM_WORLD_RANK"),
    "PMI_SIZE": ("mpirun", "PMI_RANK"),
}
"""Who starts a command several times without telling its processes how to meet: by what says how many there are."""


@dataclass(frozen=True)
class Launch:
    """A process among those launched together: its number of all, its number on its machine, how many there are."""

    rank: int
    local_rank: int
    processes: int
    meeting: str
    """HOST:PORT at which they find each other."""


def launch() -> Launch | None:
    """What the environment says of processes launched together; None for one process, whatever else it says."""
    found = _told(os.environ)
    return found if isinstance(found, Launch) and found.processes > 1 else None


def launched() -> bool:
    """Whether a launcher, ours or ``torchrun``, has started this process together with others."""
    return launch() is not None


def ignored() -> str:
    """What the environment says of a launch that is none, in a sentence; empty where there is nothing to tell."""
    found = _told(os.environ)
    if isinstance(found, str):
        return found
    if found is None or found.processes == 1:
        for variable, (starter, place) in _STARTERS.items():
            if (count := _number(os.environ.get(variable))) > 1:
                return (
                    f"{starter} runs this command {count} times (this is {os.environ.get(place, '?')}): each takes "
                    "cells of its own; for processes that share a cell, start it once with --gpus, or with torchrun"
                )
    return ""


def alone(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what launchers say: a process that gets it is on its own until it is told otherwise."""
    return {name: value for name, value in environment.items() if not _is_of_a_launch(name)}


def leave_launch() -> None:
    """Take what launchers say out of this process' own environment: libraries read it too, and stumble over parts."""
    for name in [name for name in os.environ if _is_of_a_launch(name)]:
        del os.environ[name]


def _is_of_a_launch(name: str) -> bool:
    return name in LAUNCH or name in _OTHERS or name.startswith("TORCHELASTIC_")


def _told(environment: Mapping[str, str]) -> Launch | str | None:
    """The launch, why what is said of one is none, or None where nothing is said."""
    given = {name: environment[name].strip() for name in LAUNCH if environment.get(name, "").strip()}
    rank, local_rank, processes, port = (
        _number(given.get(name)) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")
    )
    among = min(rank, local_rank) >= 0 and max(rank, local_rank) < processes
    if among and "MASTER_ADDR" in given and 0 < port < 1 << 16:
        return Launch(rank, local_rank, processes, f"{given['MASTER_ADDR']}:{port}")
    usual = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}  # what one process has by itself
    odd = [name for name in usual if name in environment and environment[name].strip() not in ("", usual[name])]
    if not odd:
        return None
    said = ", ".join(f"{name}={environment[name]}" for name in odd)
    missing = [name for name in LAUNCH if name not in given]
    lack = f"without {', '.join(missing)}" if missing else "whose values do not agree"
    return f"{said} in the environment, {lack}, is no launch and counts for nothing; --gpus N or torchrun starts one"


def _number(text: str | None) -> int:
    """What a variable says; -1 where that is no whole number."""
    return int(text) if text and text.isascii() and text.isdecimal() else -1


def choose(wanted: str | None) -> str:
    """``wanted`` if given ("cpu" or "cuda"), else "cuda" where the driver shows a GPU that may be used."""
    if wanted is not None:
        if wanted not in DTYPES:
            raise UsageError(f"--device {wanted}: choose one of: {', '.join(DTYPES)}")
        return wanted
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "cuda" if Path("/dev/nvidia0").exists() and visible not in ("", "-1") else "cpu"
