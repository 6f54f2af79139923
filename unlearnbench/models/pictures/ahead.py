"""Work that is known to come, done in other threads before its result is asked for."""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

WORKERS = min(8, max(1, (os.cpu_count() or 1) // 2))
"""Threads, on half of the cores: decoding, resizing and most of NumPy run beside each other,
but beyond 8 what Python does between them would keep a GPU waiting that is told what to do by one more thread."""

AHEAD = max(8, 2 * WORKERS)
"""How many results are made or wait at the most: pixels of a picture of 1024 x 1024 take 15 to 26 MB."""

FAILED = object()


def tried(work: Callable[[Path], Any], path: Path) -> Any:
    """What ``work`` returns, or `FAILED`: an exception that waits would keep all that its frames hold in memory."""
    try:
        return work(path)
    except Exception:  # whatever it is, it is raised when the path is taken
        return FAILED


class Ahead:
    """Results of ``work`` on paths, computed in the order in which they are expected to be taken."""

    def __init__(self, work: Callable[[Path], Any]) -> None:
        self.work = work
        self._waiting: deque[Path] = deque()
        self._running: dict[Path, Future[Any]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def expect(self, paths: Iterable[Path]) -> None:
        """These are taken next, in this order; what was expected before is forgotten."""
        wanted = dict.fromkeys(paths)
        for path in [*self._running]:
            if path not in wanted:
                self._running.pop(path).cancel()
        self._waiting = deque(path for path in wanted if path not in self._running)
        self._go_on()

    def take(self, path: Path) -> Any:
        """The result for ``path``; raises what ``work`` raised. Whatever was expected before it is given up."""
        self._skip_to(path)
        future = self._running.pop(path, None)
        self._go_on()
        found = future.result() if future and not future.cancelled() else FAILED
        return self.work(path) if found is FAILED else found

    def _skip_to(self, path: Path) -> None:
        """Give up what should have been taken before ``path`` and was not, as where an answer was known already."""
        if path in self._running:
            for other in [*self._running]:
                if other == path:
                    return
                self._running.pop(other).cancel()
        elif path in self._waiting:
            for other in [*self._running]:
                self._running.pop(other).cancel()
            while self._waiting.popleft() != path:
                pass

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < AHEAD:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="pictures")
                weakref.finalize(self, self._threads.shutdown, wait=False, cancel_futures=True)
            path = self._waiting.popleft()
            self._running[path] = self._threads.submit(tried, self.work, path)
