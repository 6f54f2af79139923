"""Where a run shows what it is at, whoever computes its cells; and what stands there if nothing is shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..grid import Finished
    from ..planning import Plan


class Display(Protocol):
    """What is told of a run. ``place`` says which of the workers it is about, from 0."""

    def begins(self, place: int, plan: "Plan") -> None:
        """A worker has been given a cell."""

    def bar(self, place: int, what: str, total: int) -> None:
        """It has begun something of ``total`` steps."""

    def advance(self, place: int, steps: int, figures: dict[str, float]) -> None:
        """It has moved on; ``figures`` are its losses, say."""

    def over(self, place: int, *, done: bool) -> None:
        """That is over: ``done``, be it after fewer steps than could have been, or cut off."""

    def ended(self, finished: "Finished") -> None:
        """A cell has its row; some had it before the run."""

    def say(self, line: str) -> None:
        """Something that the user should know."""

    def close(self) -> None:
        """Leave the terminal as it was; nothing more is shown but what is said."""


class NoDisplay:
    """Shows nothing; what is said goes to standard error."""

    def begins(self, place: int, plan: "Plan") -> None:
        """Do nothing."""

    def bar(self, place: int, what: str, total: int) -> None:
        """Do nothing."""

    def advance(self, place: int, steps: int, figures: dict[str, float]) -> None:
        """Do nothing."""

    def over(self, place: int, *, done: bool) -> None:
        """Do nothing."""

    def ended(self, finished: "Finished") -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Write it down."""
        sys.stderr.write(f"{line}\n")

    def close(self) -> None:
        """Do nothing."""


class InThisProcess:
    """Progress (`unlearnbench.runtime.run`) of the first place, for a run that has no workers."""

    def __init__(self, display: Display) -> None:
        self._display = display

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator["InThisProcess"]:
        """A bar that is shown."""
        self._display.bar(0, what, total)
        done = False
        try:
            yield self
            done = True
        finally:
            self._display.over(0, done=done)

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on."""
        self._display.advance(0, steps, {name: float(value) for name, value in figures.items()})
