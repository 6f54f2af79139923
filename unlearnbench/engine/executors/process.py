"""A worker as its parent sees it: its processes, the cell that it is at, what it says, and how it ended."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...results.row import utc_now
from ...runtime.device import alone
from ..planning import Plan

ALONE = "failed alone, all are ended"
"""What `unlearnbench.runtime.distributed.settle` says of a process that could not wait for the others."""

PYTHON = ("-P", "-X", "faulthandler")
"""How Python is started for a worker: no file of the working folder is taken for a module, and a crash says where."""

GRACE = 5.0
"""Seconds that a worker with nothing to do has to end by itself."""


@dataclass(frozen=True)
class Limits:
    """How many cells at once, how many processes for each, the seconds that one may take, and the GPUs there are."""

    jobs: int = 1
    processes: int = 1
    seconds: float | None = None
    gpus: tuple[str, ...] = ()


class Worker:
    """One worker: a process, or several that work together, of which the first reports.

    ``plan`` is the cell that it is at, ``last`` the one before; ``ready`` tells whether it has begun to work.
    """

    def __init__(self, job: Path, place: int, environment: dict[str, str], limits: Limits) -> None:
        self.place, self.ready = place, False
        self.plan: Plan | None = None
        self.last: Plan | None = None
        self.started = utc_now()
        self._limit, self._since, self._log, self._begins = limits.seconds, time.monotonic(), Path(os.devnull), 0
        self._rest = b""
        self._boot = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._boot_begins = 0
        self.events, write = os.pipe()
        os.set_blocking(self.events, False)
        command = [
            sys.executable,
            *PYTHON,
            "-m",
            "unlearnbench.engine.executors.worker",
            str(job),
            str(write),
            str(os.getpid()),
        ]
        try:
            self._processes = [
                subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.PIPE,
                    stdout=self._boot,
                    stderr=self._boot,
                    pass_fds=(write,),
                    start_new_session=True,  # an interruption at the terminal is the parent's to deal with
                    env=alone(os.environ) | environment | each,
                )
                for each in _ranks(limits.processes)
            ]
        finally:
            os.close(write)

    def take(self, plan: Plan, log: Path) -> None:
        """Hand over a cell."""
        self.plan, self._log, self.started, self._since = plan, log, utc_now(), time.monotonic()
        self._begins = log.stat().st_size if log.is_file() else 0
        self._boot_begins = os.fstat(self._boot.fileno()).st_size if self.ready else 0
        self._tell(plan.row_id)

    def leave(self) -> Plan:
        """The cell that is done."""
        assert self.plan is not None
        self.last, self.plan = self.plan, None
        return self.last

    def said(self) -> Iterator[dict[str, Any]]:
        """What it has reported since the last time."""
        with suppress(BlockingIOError):
            while data := os.read(self.events, 1 << 16):
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "ready":
                self.ready, self._since = True, time.monotonic()
            yield event

    def late(self) -> bool:
        """Whether its cell has taken longer than it may."""
        return bool(self.plan and self._limit and time.monotonic() - self._since > self._limit)

    def ended(self) -> bool:
        """Whether one of its processes has, which is the end of all."""
        return any(process.poll() is not None for process in self._processes)

    def why(self) -> str:
        """How it ended, and the last that it has said: in the cell's log, or else before it came to the cell."""
        code = next((process.returncode for process in self._processes if process.poll()), 0)
        logged = self._log.read_bytes()[self._begins :] if self._log.is_file() else b""
        return ending(code, _text(logged) or _text(self._aside()))

    def leave_word(self, why: str) -> None:
        """Let the cell's log end with how this worker did, and with what it has said beside it."""
        with suppress(OSError), self._log.open("ab") as log:  # a full disk must not hide what happened
            log.write(self._aside() + f"{why}\n".encode())

    def kill(self) -> None:
        """End it at once."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._bury()

    def end(self) -> None:
        """Let it end, as there is nothing more to do."""
        self._tell("end")
        deadline = time.monotonic() + GRACE
        with suppress(subprocess.TimeoutExpired):
            for process in self._processes:
                process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def _tell(self, line: str) -> None:
        for process in self._processes:
            with suppress(OSError):  # it has ended, as will be noticed
                assert process.stdin is not None
                process.stdin.write(f"{line}\n".encode())
                process.stdin.flush()

    def _aside(self) -> bytes:
        """What it has printed outside of cells since it was given its own."""
        self._boot.seek(self._boot_begins)
        return self._boot.read()

    def _bury(self) -> None:
        for process in self._processes:
            process.wait()
            with suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
        with suppress(OSError):
            os.close(self.events)
        self._boot.close()


def threads_each(processes: int) -> dict[str, str]:
    """An equal part of the CPU's threads for each of several processes, unless the user has said how many."""
    if processes == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}


def _ranks(processes: int) -> list[dict[str, str]]:
    """What tells processes that work together about each other, as ``torchrun`` does."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def ending(code: int, said: str) -> str:
    """How a process ended that had printed ``said``, in a sentence."""
    if code < 0:
        return f"the process was ended by {_signal(-code)}{_crashed(said)}"
    last = _reason(said)
    return f"the process ended with exit code {code}" + (f": {last}" if last else "")


def _signal(number: int) -> str:
    name = signal.Signals(number).name
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()


def _reason(text: str) -> str:
    """What a log says last; of processes that worked together, what the first one said that failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lone = next((line for line in lines if ALONE in line), None)
    last = lone.removeprefix("error: ") if lone else (lines[-1] if lines else "")
    return re.sub(r"^unlearnbench\.errors\.\w+: ", "", last)


def _crashed(text: str) -> str:
    """Where it was when it was ended, as Python's fault handler says, and what C++ has thrown."""
    place = re.search(r'Current thread [^\n]*:\n\s*File "([^"\n]+)", line (\d+) in (\S+)', text)
    thrown = re.search(r"^\s*what\(\):\s*(.+)$", text, re.MULTILINE)
    where = f" in {place[3]} ({place[1]}, line {place[2]})" if place else ""
    return where + (f": {thrown[1]}" if thrown else "")
