"""Edits of visual tokens that decide by the picture whether to act: what an audit of such a gate must be able to do.

A gate is *closed* to a picture that it flags, whose tokens are edited, and *open* to any other, which passes as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..pictures.cache import Picture
from .batch import Stacked

Held = Literal["open", "closed"]


@runtime_checkable
class Gate(Protocol):
    """A `VisualEdit` with a gate. Nothing else is asked of it to be audited."""

    held: Held | None
    """At what it is held, whatever the picture; None: it decides by itself."""

    @property
    def threshold(self) -> float:
        """The score from which a picture is flagged."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The networks that were trained for it and for what is behind it."""

    def gate_scores(self, pictures: Sequence[Picture]) -> Tensor:
        """A score for each picture [pictures], higher where it is likelier to be flagged; differentiable."""


class Together:
    """Several gates before one model, which a picture passes unedited only if none of them flags it.

    A picture's score is the most by which one is above its threshold; what holds it holds them all.
    """

    threshold = 0.0

    def __init__(self, gates: Sequence[Gate]) -> None:
        self.gates = gates

    @property
    def held(self) -> Held | None:
        """At what all are held; None where one decides by itself."""
        at = {gate.held for gate in self.gates}
        return at.pop() if len(at) == 1 else None

    @held.setter
    def held(self, at: Held | None) -> None:
        for gate in self.gates:
            gate.held = at

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Those of all, by the place of their gate."""
        return {f"{place}.{name}": of for place, gate in enumerate(self.gates) for name, of in gate.modules.items()}

    def gate_scores(self, pictures: Sequence[Picture]) -> Tensor:
        """By how much the gate that is surest of each picture is above its threshold [pictures]."""
        if not pictures:
            return torch.zeros(0)
        return torch.stack([gate.gate_scores(pictures) - gate.threshold for gate in self.gates]).amax(0)


def gate_of(model: Any) -> Gate | None:
    """The gate through which a model sees, `Together` where there are several; None where it has none."""
    found = [*_gates(model.visual_edit)]
    return Together(found) if len(found) > 1 else next(iter(found), None)


def _gates(edit: Any) -> Iterator[Gate]:
    if isinstance(edit, Stacked):
        for each in edit.edits:
            yield from _gates(each)
    elif isinstance(edit, Gate):
        yield edit


@contextmanager
def held(model: Any, at: Held | None) -> Iterator[None]:
    """Hold every gate of a model open or closed meanwhile; nothing happens where it has none."""
    gates = [*_gates(model.visual_edit)] if at else []
    before = [gate.held for gate in gates]
    for gate in gates:
        gate.held = at
    try:
        yield
    finally:
        for gate, was in zip(gates, before, strict=True):
            gate.held = was
