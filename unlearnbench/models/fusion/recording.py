"""A step of work that is taken again and again: as it is, or on a GPU from a recording of what it does there.

A large model's step is a thousand small operations that Python starts one by one, which takes longer than the GPU takes
for them. A recording (a CUDA graph) is started as a whole. It is made of the very kernels that the step runs, so
results are the same. Compiling (`torch.compile`) would fuse some of them, but takes about a minute for every shape,
which is more than it would gain in a whole evaluation.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ...runtime.memory import is_short

_log = logging.getLogger(__name__)

BEFORE = 3
"""Steps that are taken as they are first: recording one takes about as long as two, and many answers end early."""

_told: set[str] = set()
"""Why recordings could not be made, each reason once."""


class Recorded:
    """Steps that read and write tensors which stay where they are, and return what may be another one each time.

    Without ``record``, as on a CPU, a step is just taken. A recording that cannot be made is told once, and steps are
    taken as they are from then on.
    """

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: Tensor | None = None

    def __call__(self, step: Callable[[], Tensor]) -> Tensor:
        """Take a step, which is the same one at every call; the next call may overwrite what it returns."""
        if self._record and self._graph is None and self._taken >= BEFORE:
            self._make(step)
        self._taken += 1
        if self._graph is None or self._given is None:
            return step()
        self._graph.replay()
        return self._given

    def _make(self, step: Callable[[], Tensor]) -> None:
        """Record a step without taking it; other threads may go on reading pictures meanwhile."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                given = step()
        except RuntimeError as error:
            torch.cuda.set_stream(torch.cuda.default_stream())  # torch may leave the recording's as the current one
            if is_short(error):
                raise
            self._record = False
            if (reason := str(error).partition("\n")[0]) not in _told:
                _told.add(reason)
                _log.warning("answers take longer than they might, as a GPU's work cannot be recorded: %s", reason)
            return
        self._graph, self._given = graph, given
