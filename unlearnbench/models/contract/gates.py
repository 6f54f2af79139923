"""Edits of visual tokens that decide by the picture whether to act: what an audit of such a gate must be able to do.

A gate is *closed* to a picture that it flags, whose tokens are edited, and *open* to any other, which passes as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

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


def gate_of(model: Any) -> Gate | None:
    """The gate through which a model sees, the last where there are several; None where it has none."""
    return next(reversed(_gates(model.visual_edit)), None)


def _gates(edit: Any) -> list[Gate]:
    """All gates of an edit, in the order in which they are passed."""
    if isinstance(edit, Stacked):
        return [gate for each in edit.edits for gate in _gates(each)]
    return [edit] if isinstance(edit, Gate) else []


@contextmanager
def held(model: Any, at: Held | None) -> Iterator[None]:
    """Hold all gates of a model open or closed meanwhile; nothing happens where it has none."""
    gates = _gates(model.visual_edit) if at else []
    before = [gate.held for gate in gates]
    for gate in gates:
        gate.held = at
    try:
        yield
    finally:
        for gate, own in zip(gates, before, strict=True):
            gate.held = own
