"""When to stop raising a loss: explicit bounds on what is forgotten and on what may be lost with it."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...contracts.sample import Sample, Sets
from ...runtime.run import Run
from ..params import Stopping

T = TypeVar("T")
_log = logging.getLogger(__name__)


class EarlyStopping:
    """Looks at both losses every so many steps and says when a bound is passed.

    ``measure`` gives the mean loss per token of some samples' true answers as the model answers now. The forget set and
    the validation set are looked at, evenly spaced samples of each; without the latter its bound does not bind.
    ``run`` knows what a model that never saw the forgotten people would lose (`Run.unseen`), and is charged the first
    look. `note` is what a row says of it: the rule, the bound on the forget loss and where it comes from, the losses at
    the start and at the last look.
    """

    def __init__(
        self, rule: Stopping, sets: Sets, measure: Callable[[Sequence[Sample]], float], run: Run | None = None
    ) -> None:
        self.rule, self._measure = rule, measure
        looked_at = {"forget": spread(sets.forget, rule.samples), "validation": spread(sets.validation, rule.samples)}
        self._looked_at = {name: samples for name, samples in looked_at.items() if samples}
        run, start = run or Run(), time.perf_counter()
        self.note: dict[str, Any] = {"rule": rule.model_dump(mode="json"), "limit": limit(rule, run)}
        self.note["start"] = self._look()
        run.cost["train_seconds"] = run.cost.get("train_seconds", 0.0) + time.perf_counter() - start

    def __call__(self, step: int) -> str | None:
        """Why to stop after this step; None to go on."""
        if step % self.rule.every:
            return None
        losses, bound = self._look(), self.note["limit"]["forget_loss"]
        self.note["last_look"] = {"step": step, **losses}
        if bound is not None and losses["forget"] >= bound:
            return "forget loss reached its bound"
        if self.rule.retain_rise is None or "validation" not in losses:
            return None
        rise = losses["validation"] - self.note["start"]["validation"]
        return "validation loss reached its bound" if rise >= self.rule.retain_rise else None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: what has been seen and which bound holds."""
        return self.note

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.note = state

    def _look(self) -> dict[str, float]:
        return {name: self._measure(samples) for name, samples in self._looked_at.items()}


def limit(rule: Stopping, run: Run) -> dict[str, Any]:
    """The bound on the forget loss, and where it comes from: strangers' loss, or nats alone where there are none."""
    if rule.forget_ratio is None:
        return {"forget_loss": rule.forget_loss, "estimate": "none: stop.forget_ratio is not set"}
    unseen = run.unseen(rule.samples)
    if unseen is None:
        alone = f"stop.forget_loss={rule.forget_loss:g} alone bounds" if rule.forget_loss else "nothing bounds"
        _log.warning(
            "the data have no strangers to tell what a model that never saw the forget set would lose: %s ascent; "
            "let the data have some (Sets.strangers), or set stop.forget_ratio=null",
            alone,
        )
        return {"forget_loss": rule.forget_loss, "estimate": "none: the data have no strangers"}
    relative = rule.forget_ratio * unseen.loss
    return {
        "forget_loss": relative if rule.forget_loss is None else min(relative, rule.forget_loss),
        "estimate": "the starting model's loss on strangers",
        "strangers": {"loss": unseen.loss, "people": unseen.people, "questions": unseen.questions},
    }


def spread(samples: Sequence[T], most: int) -> Sequence[T]:
    """At most so many samples, evenly spaced."""
    return samples[:: -(-len(samples) // most)] if samples else samples
