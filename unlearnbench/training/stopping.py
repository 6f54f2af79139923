"""When to stop raising a loss: explicit bounds on what is forgotten and on what may be lost with it."""

from collections.abc import Callable, Sequence
from typing import Any

from .params import Stopping


class EarlyStopping:
    """Looks at both losses every so many steps and says when a bound is passed.

    ``forget_loss`` and ``held_out_loss`` measure nats per token; the second is None where nobody is held out. `note`
    is what a row says of it: the losses at the start and at the last look.
    """

    def __init__(
        self, rule: Stopping, forget_loss: Callable[[], float], held_out_loss: Callable[[], float] | None
    ) -> None:
        self.rule, self._measures = rule, {"forget": forget_loss, "held_out": held_out_loss}
        self.note: dict[str, Any] = {"rule": rule.model_dump(mode="json"), "start": self._look()}

    def __call__(self, step: int) -> str | None:
        """Why to stop after this step; None to go on."""
        if step % self.rule.every:
            return None
        losses = self._look()
        self.note["last_look"] = {"step": step, **losses}
        if self.rule.forget_loss is not None and losses["forget"] >= self.rule.forget_loss:
            return "forget loss reached its bound"
        if self.rule.retain_rise is None or "held_out" not in losses:
            return None
        rise = losses["held_out"] - self.note["start"]["held_out"]
        return "held-out retain loss reached its bound" if rise >= self.rule.retain_rise else None

    def _look(self) -> dict[str, float]:
        return {name: measure() for name, measure in self._measures.items() if measure}


def spread(samples: Sequence[Any], most: int) -> list[Any]:
    """At most so many samples, evenly spaced."""
    return list(samples[:: -(-len(samples) // most)]) if samples else []
