"""Outcomes of attacks on simulated models, which answer by chance, people apart."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from unlearnbench.analysis.attacks.costs import Costs
from unlearnbench.analysis.attacks.outcome import AttackOutcome, together
from unlearnbench.analysis.attacks.over_seeds import Variant
from unlearnbench.analysis.attacks.shares import Three, exchanged

PEOPLE, QUESTIONS = 8, 12

Values = Mapping[str, Mapping[str, Sequence[float]]]


def answers(rng: np.random.Generator, known: float, metrics: Sequence[str] = ("said.right",)) -> Values:
    """0 or 1 for every question, right in about the share ``known``: of some people more is known than of others.

    What one metric finds another finds in half of the cases too.
    """
    of_person = rng.beta(4 * known + 1e-6, 4 * (1 - known) + 1e-6, PEOPLE) if 0 < known < 1 else np.full(PEOPLE, known)
    common = rng.random((PEOPLE, QUESTIONS))
    found = {}
    for name in metrics:
        drawn = np.where(rng.random(common.shape) < 0.5, common, rng.random(common.shape))
        right = (drawn < of_person[:, None]).astype(float)
        found[name] = {f"p{person}": [*map(float, own)] for person, own in enumerate(right)}
    return found


def beside(own: Values, ideal: Values) -> Values:
    """What is left of what the ideal lacks: of values that mean something beside its own alone, as of `depth`."""
    return {
        f"{metric}_kept": {
            who: [float(mine > other) for mine, other in zip(values, ideal[metric][who], strict=True)]
            for who, values in of.items()
        }
        for metric, of in own.items()
    }


def three(own: Values, nothing: Values, ideal: Values, compare: Callable[[Values, Values], Values] | None) -> Three:
    """As attacks compare them."""
    if compare is None:
        return Three(own, nothing, ideal)

    def made(mine: Values, other: Values) -> Three:
        return Three(
            compare(mine, other),
            compare(nothing, ideal),
            compare(other, other),
            lambda people: made(exchanged(own, ideal, people), exchanged(ideal, own, people)),
        )

    return made(own, ideal)


def outcome(
    found: Three, seed: int, metrics: Sequence[str], *, clean: Three | None = None, two_sided: bool = False, **more: Any
) -> AttackOutcome:
    """Of one variant on one seed; utility was looked at and kept, unless ``more`` says otherwise."""
    trio = cast("Any", SimpleNamespace(own=SimpleNamespace(seed=seed, base_seed=seed)))
    rule, kept = {"text": metrics}, Costs((), ("retain.exact_match",))
    whole: dict[str, Any] = {"costs": kept, "before": kept, "two_sided": two_sided} | more
    return AttackOutcome(trio, rule, rule, found, clean, **whole)


def variant(by_seed: Sequence[Sequence[AttackOutcome]]) -> Variant:
    """The worst case of the variants of each seed."""
    return Variant(tuple(together(of) for of in by_seed))
