"""What SLURM says of jobs, asked of ``squeue``: a cluster without accounting answers that too."""

import shutil
import subprocess
from collections.abc import Iterable

_SECONDS = 20


def states(jobs: Iterable[str]) -> dict[str, str]:
    """The states (``RUNNING``, ``PENDING``) of those ``jobs`` that the queue still knows; none where there is none."""
    wanted = set(jobs)
    if not wanted or not (squeue := shutil.which("squeue")):
        return {}
    command = [squeue, "--noheader", "--array", "--format=%i %T %A"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in done.stdout.splitlines():
        name, state, *_ = line.split()
        if name in wanted:
            found[name] = state
    return found
