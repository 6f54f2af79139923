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

FORBIDDEN = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select")
"""What waits for the GPU, or copies from the CPU's memory, and so cannot be recorded."""


class Graph:
    """Stands in for `torch.cuda.CUDAGraph`; counts over all of them what was recorded and ``played``."""

    made, played = 0, 0

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

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
        self.graph, self.before = graph, dict[int, tuple[Tensor, Tensor]]()
        self.new: list[Tensor] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(call) for name in FORBIDDEN):
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing: {call}")
        if call._schema.is_mutable:
            for each in tensors(args):
                self.before.setdefault(each.untyped_storage().data_ptr(), (each, each.clone()))
        found = call(*args, **(kwargs or {}))
        self.graph.calls.append((call, args, kwargs or {}, tensors(found)))
        return found


@contextmanager
def capture(graph: Graph, **options: Any) -> Iterator[None]:
    Graph.made += 1
    recording = Recording(graph)
    with recording:
        yield
    for tensor, before in recording.before.values():
        tensor.copy_(before)


def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> type[Graph]:
    """Let steps be recorded here."""
    Graph.made = Graph.played = 0
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: None)
    return Graph
