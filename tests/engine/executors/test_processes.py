"""How a worker's end is told, and how a job of SLURM's is started."""

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from unlearnbench.engine.executors.process import _ranks, ending
from unlearnbench.engine.executors.slurm import _executor

CRASH = """
some output
Fatal Python error: Segmentation fault

Thread 0x00007f2bbd7fa6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x00007f2bc3a7d740 (most recent call first):
  File "/home/me/my method.py", line 12 in unlearn
  File "/x/stages.py", line 90 in make

Extension modules: numpy._core._multiarray_umath (total: 1)
"""


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (-11, CRASH, "the process was ended by SIGSEGV in unlearn (/home/me/my method.py, line 12)"),
        (-9, "all is well", "the process was ended by SIGKILL (out of memory?)"),
        (
            -6,
            "terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: an illegal access\n",
            "the process was ended by SIGABRT: CUDA error: an illegal access",
        ),
        (3, "one\n two \n\n", "the process ended with exit code 3: two"),
        (0, "", "the process ended with exit code 0"),
        (
            1,
            "Traceback\nunlearnbench.errors.DataError: x.json is missing",
            "the process ended with exit code 1: x.json is missing",
        ),
        (
            1,
            "error: process 2 of 2 failed alone, all are ended: MemoryError: no room\nConnection closed by peer",
            "the process ended with exit code 1: process 2 of 2 failed alone, all are ended: MemoryError: no room",
        ),
    ],
)
def test_an_end_in_a_sentence(code: int, said: str, told: str) -> None:
    assert ending(code, said) == told


def test_processes_of_a_worker_have_a_whole_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnbench.runtime.device import LAUNCH, launch

    for rank, told in enumerate(_ranks(3)):
        assert told.keys() == set(LAUNCH)
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        found = launch()
        assert found is not None
        assert (found.rank, found.local_rank, found.processes) == (rank, rank, 3)


def test_a_job_takes_no_file_of_the_working_folder_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that SLURM would be given, run where random.py is the user's."""
    pytest.importorskip("submitit")
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = _executor(tmp_path / "jobs", {}, ())
    words = shlex.split(made._executor._submitit_command_str)
    assert words[0] == sys.executable
    assert words[-3:] == ["-m", "submitit.core._submit", str(tmp_path / "jobs")]
    (tmp_path / "random.py").write_text("raise SystemExit('this is not the module random')")
    done = subprocess.run([*words[:-1], "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
