"""CUDA graphs as a CPU can have them: the operations of a step, played again on the very tensors that it was taken on.

What would not be played again on a GPU either is not here: Python's own numbers stay those of the recording.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unlearnbench.models.fusion.recording import Recorded

FORBIDDEN = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select")
"""What waits for the GPU, or copies from the CPU's memory, and so cannot be recorded."""

SHORT: tuple[str, ...] = ()
"""What there is no memory for while a step is recorded."""


class Stream:
    """Stands in for `torch.cuda.Stream`, and for all of the device's that a recording asks for."""

    now: "Stream"
    free = 2**40

    def wait_stream(self, other: "Stream") -> None:
        assert other is not self

    @contextmanager
    def entered(self) -> Iterator[None]:
        before, Stream.now = Stream.now, self
        try:
            yield
        finally:
            Stream.now = before


class Graph:
    """Stands in for `torch.cuda.CUDAGraph`; counts over all of them what was begun, ``made`` and ``played``."""

    begun, made, played, given_back = 0, 0, 0, 0

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.recording = Recording(self)

    def capture_begin(self, *, capture_error_mode: str) -> None:
        assert capture_error_mode == "thread_local", "else others could not read pictures meanwhile"
        Graph.begun += 1
        self.recording.__enter__()

    def capture_end(self) -> None:
        self.recording.__exit__(None, None, None)
        for tensor, before in self.recording.before.values():
            tensor.copy_(before)
        if self.recording.spoilt:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        Graph.made += 1

    def replay(self) -> None:
        Graph.played += 1
        for call, args, kwargs, given in self.calls:
            for its, again in zip(given, tensors(call(*args, **kwargs)), strict=True):
                if its is not again and its.untyped_storage().data_ptr() != again.untyped_storage().data_ptr():
                    its.copy_(again)


def tensors(found: Any) -> list[Tensor]:
    return [each for each in (found if isinstance(found, (tuple, list)) else [found]) if isinstance(each, Tensor)]


class Recording(TorchDispatchMode):
    """Writes down every operation; what existed before is left as it was, as recording takes no step."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph, self.before, self.spoilt = graph, dict[int, tuple[Tensor, Tensor]](), False

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(call) for name in FORBIDDEN):
            self.spoilt = True
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing: {call}")
        if any(name in str(call) for name in SHORT):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        if call._schema.is_mutable:
            for each in tensors(args):
                self.before.setdefault(each.untyped_storage().data_ptr(), (each, each.clone()))
        found = call(*args, **(kwargs or {}))
        self.graph.calls.append((call, args, kwargs or {}, tensors(found)))
        return found


def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> type[Graph]:
    """Let steps be recorded here."""
    Graph.begun = Graph.made = Graph.played = Graph.given_back = 0

    def give_back() -> None:
        Graph.given_back += 1

    monkeypatch.setattr(Stream, "now", Stream(), raising=False)
    monkeypatch.setattr(Recorded, "impossible", False)
    monkeypatch.setattr(Recorded, "_side", None)
    stand_ins = {
        "CUDAGraph": Graph, "Stream": Stream, "stream": Stream.entered, "current_stream": lambda: Stream.now,
        "mem_get_info": lambda: (Stream.free, 2**40), "empty_cache": give_back,
    }  # fmt: skip
    for name, its in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, its)
    return Graph
