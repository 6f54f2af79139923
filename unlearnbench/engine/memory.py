"""The peak memory of a piece of work: of the GPU where it runs on one, else of this process."""

import threading
from types import TracebackType
from typing import Self

import psutil

_EVERY = 0.05
"""Seconds from one look at a process's memory to the next."""


class PeakMemory:
    """Measures while it is entered; `peak` is in bytes.

    On a GPU it is what torch had allocated; on a CPU the resident memory, looked at twenty times a second, so a shorter
    peak may be missed.
    """

    def __init__(self, device: str) -> None:
        self.peak = 0
        self._cuda = device.startswith("cuda")
        self._process = psutil.Process()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        else:
            self._look()
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cuda:
            import torch

            self.peak = int(torch.cuda.max_memory_allocated())
        else:
            self._over.set()
            self._watcher.join()
            self._look()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, self._process.memory_info().rss)
