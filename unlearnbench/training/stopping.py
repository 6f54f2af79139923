"""When to stop raising a loss: explicit bounds on what is forgotten and on what may be lost with it."""

from collections.abc import Callable, Sequence
from typing import Any

from ..data.questions import Sample, Sets
from .params import Stopping


class EarlyStopping:
    """Looks at both losses every so many steps and says when a bound is passed.

    ``measure`` gives the mean loss per token of some samples' true answers as the model answers now. The forget set and
    the people held out are looked at, evenly spaced samples of each; without the latter their bound does not bind.
    `note` is what a row says of it: the rule, the losses at the start and at the last look.
    """

    def __init__(self, rule: Stopping, sets: Sets, measure: Callable[[Sequence[Sample]], float]) -> None:
        self.rule, self._measure = rule, measure
        looked_at = {"forget": spread(sets.forget, rule.samples), "held_out": spread(sets.held_out, rule.samples)}
        self._looked_at = {name: samples for name, samples in looked_at.items() if samples}
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
        return {name: self._measure(samples) for name, samples in self._looked_at.items()}


def spread(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """At most so many samples, evenly spaced."""
    return samples[:: -(-len(samples) // most)] if samples else samples
