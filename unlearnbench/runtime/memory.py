"""Memory: what is free, what is held, and the peak of a piece of work; of the GPU where it runs on one, else here."""

import threading
from types import TracebackType
from typing import ClassVar, Self

import psutil

_EVERY = 0.05
"""Seconds from one look at a process's memory to the next."""

_ALSO_SHORT = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What CUDA and its libraries say where not torch but they themselves get no memory, which accelerate does not know."""


class PeakMemory:
    """Measures while it is entered; `peak` is in bytes. One may measure within another.

    On a GPU it is what torch had allocated; on a CPU the resident memory, looked at twenty times a second, so a shorter
    peak may be missed.
    """

    _running: ClassVar[list["PeakMemory"]] = []
    """Those that count a GPU's memory: whoever resets torch's own count tells them what it was."""

    def __init__(self, device: str) -> None:
        self.peak = 0
        self._cuda = device.startswith("cuda")
        self._process = psutil.Process()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self._cuda:
            self._tell()
            self._running.append(self)
        else:
            self._look()
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cuda:
            try:
                self._tell()
            finally:
                self._running.remove(self)
        else:
            self._over.set()
            self._watcher.join()
            self._look()

    @classmethod
    def _tell(cls) -> None:
        """Tell those that run what torch's count is, and begin it anew."""
        import torch

        highest = int(torch.cuda.max_memory_allocated())
        for each in cls._running:
            each.peak = max(each.peak, highest)
        torch.cuda.reset_peak_memory_stats()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, self._process.memory_info().rss)


def is_short(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a GPU or of the CPU."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    from accelerate.utils.memory import should_reduce_batch_size

    return should_reduce_batch_size(error) or any(each in str(error) for each in _ALSO_SHORT)


def held_memory(device: str) -> int:
    """Bytes that are held now, counted as `PeakMemory` counts."""
    if not device.startswith("cuda"):
        return int(psutil.Process().memory_info().rss)
    import torch

    return int(torch.cuda.memory_allocated())


def free_memory(device: str) -> int:
    """Bytes that are free, those among them that torch keeps of a GPU's memory for itself."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().available)
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
