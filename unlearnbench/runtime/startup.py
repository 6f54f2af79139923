"""What is set for a whole process: here and nowhere else, and at its start.

`console` is for the process that somebody has typed a command into, `worker` for one that computes what another hands
to it, and `computing` for wherever torch computes, a notebook's first model included.
"""

import getpass
import io
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

_lent = False
_command: tuple[str, ...] | None = None


# ------------------------------------------------------------------------------------------------------ at the start
def console() -> None:
    """Let this process and its children have a home folder and a name, where the system knows none.

    Some libraries cannot even be imported without one (NLTK, which scores text). The folder is that of temporary files,
    which is no place for trained models: `home` does not count it. Their threads sleep while they wait for each other.
    """
    global _lent
    _hush()
    _let_threads_sleep()
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"], _lent = tempfile.gettempdir(), True
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"user{os.getuid()}"


def worker(parent: int, hurry: Callable[[], None]) -> None:
    """End with ``parent``, however that ends (Linux); heed SLURM's warnings; print no letter that fails.

    In a SLURM job, warnings go to every process and are the parent's to deal with: at the one that comes before the end
    (`SIGUSR2`, with submitit) ``hurry`` is called.
    """
    _hush()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before that
            os._exit(1)
    if "SLURM_JOB_ID" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, lambda *_: hurry())
    for stream in (sys.stdout, sys.stderr):  # logs are UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _let_threads_sleep() -> None:
    """Let torch's threads on a CPU sleep while they wait for each other, not spin; it reads this as it is imported.

    A thread that spins for another one wastes a core which that one may be waiting for, once anybody else computes
    here too (`benchmarks/runs/beside_others.py`).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _hush() -> None:
    """Let torchao, which `transformers` imports where it is, not tell of its kernels for GPUs that are not here."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)


def computing() -> None:
    """Choose among torch's kernels: cuDNN's attention, which it prefers on Hopper, gives NaN gradients under a mask.

    (pytorch/pytorch#196678)
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def carry(command: Sequence[str]) -> None:
    """Name the ``command`` that was typed in the process that this one works for."""
    global _command
    _command = tuple(command)


# --------------------------------------------------------------------------------------------------------- from then
def home() -> Path | None:
    """The user's own home folder, if there is one."""
    try:
        return None if _lent else Path.home()
    except RuntimeError:
        return None


def command() -> list[str]:
    """What was typed, here or in the process that this one works for."""
    return [*(sys.argv if _command is None else _command)]
