"""A step of work that is taken again and again: as it is, or on a GPU from a recording of what it does there.

A large model's step is a thousand small operations that Python starts one by one, which takes longer than the GPU takes
for them. A recording (a CUDA graph) is started as a whole. It is made of the very kernels that the step runs, so
results are the same. Compiling (`torch.compile`) would fuse some of them, but takes about a minute for every shape,
which is more than it would gain in a whole evaluation.
"""

import logging
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from ...runtime.memory import is_short

_log = logging.getLogger(__name__)

BEFORE = 3
"""Steps that are taken as they are first: recording one takes about as long as two, and many answers end early."""

ROOM = 2**30
"""Free bytes that recording wants, as memory that torch keeps for later cannot be turned to its use meanwhile."""


class Recorded:
    """Steps that read and write tensors which stay where they are, and return what may be another one each time.

    Without ``record``, as on a CPU, a step is just taken. Where memory does not suffice for a recording, steps are
    taken as they are; a recording that cannot be made is told, and then none is tried again in this process.
    """

    impossible: ClassVar[bool] = False
    """Whether one could not be made: that leaves memory behind, which torch looks through at any later one."""

    _side: ClassVar[torch.cuda.Stream | None] = None
    """Where steps are recorded. A product of matrices has its workspace by stream, so recordings share one: no two of
    them may be played at a time (pytorch/pytorch#193402), and none are, as a model keeps one and waits for its end.
    """

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: Tensor | None = None

    @property
    def made(self) -> bool:
        """Whether steps are played from a recording by now."""
        return self._graph is not None

    def __call__(self, step: Callable[[], Tensor]) -> Tensor:
        """Take a step, which is the same one at every call; the next call may overwrite what it returns."""
        if self._record and self._graph is None and self._taken >= BEFORE and not Recorded.impossible:
            self._make(step)
        self._taken += 1
        if self._graph is None or self._given is None:
            return step()
        self._graph.replay()
        return self._given

    def _make(self, step: Callable[[], Tensor]) -> None:
        """Record a step without taking it, if that can be done."""
        graph = torch.cuda.CUDAGraph()
        try:
            given = _capture(graph, step)
        except RuntimeError as error:
            self._record = False
            if is_short(error) and not Recorded.impossible:  # a smaller batch's may well fit
                return
            Recorded.impossible = True
            reason = str(error).partition("\n")[0]
            _log.warning("answers take longer than they might, as a GPU's work cannot be recorded: %s", reason)
            return
        self._graph, self._given = graph, given


def _capture(graph: torch.cuda.CUDAGraph, step: Callable[[], Tensor]) -> Tensor:
    """Record a step, other threads going on to read pictures; raises what the step raises, or recording itself.

    `torch.cuda.graph` would give all memory back first that torch keeps, which the next prompts would have to ask for
    again, and leave this thread on the other stream where recording fails.
    """
    if torch.cuda.mem_get_info()[0] < ROOM:
        torch.cuda.empty_cache()
    side = Recorded._side = Recorded._side or torch.cuda.Stream()  # type: ignore[no-untyped-call]
    here = torch.cuda.current_stream()
    side.wait_stream(here)
    with torch.cuda.stream(side):
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            given = step()
        except BaseException:
            try:
                graph.capture_end()
            except RuntimeError:  # only says that something has gone wrong before
                Recorded.impossible = True
            raise
        graph.capture_end()
    here.wait_stream(side)
    return given
