"""What is tried of each method: four points, each of which may see as many examples in training as any other's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

Pass = Literal["forget", "pairs", "everything"]
"""What an epoch of a method sees: the forget set, a retain sample beside each of it, or all that methods may see."""

RATES = [1e-3, 3e-3]
"""Learning rates of every adapter."""

PASSES = 8
"""The budget of a training, in passes over all that methods may see; CAGUL's paper takes 2 + 10 epochs."""

ALONE = 1 / 6
"""The share of CAGUL's budget in which its discriminator is trained alone: 2 of 12 epochs."""


@dataclass(frozen=True)
class Space:
    """A grid of four points, and what one epoch sees.

    ``shares`` are parameters whose values are shares of a picture's visual tokens, as the models have not equally many.
    """

    sees: Pass
    grid: Mapping[str, list[Any]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    shares: frozenset[str] = frozenset()

    def points(self, visual_tokens: int) -> list[dict[str, Any]]:
        """Every point of the grid for pictures of so many tokens."""
        values = {
            name: [max(1, round(share * visual_tokens)) for share in those] if name in self.shares else those
            for name, those in self.grid.items()
        }
        return [dict(zip(values, point, strict=True)) for point in product(*values.values())]

    def budget(self, forget: int, everything: int, passes: int = PASSES) -> dict[str, Any]:
        """Epochs in which a training sees what ``passes`` over ``everything`` see: numbers of samples.

        Of pairs and of the forget set there are fewer in an epoch, so there are more epochs. Who stops early sees less.
        """
        if self.sees == "everything":
            alone = max(1, round(ALONE * passes))
            return {"epochs": max(1, passes - alone), "discriminator_epochs": alone}
        return {"epochs": max(1, round(passes * everything / (forget * (2 if self.sees == "pairs" else 1))))}


SPACES: dict[str, Space] = {
    "ga": Space("forget", {"learning_rate": RATES, "stop.forget_ratio": [0.5, 1]}),
    "ga-gd": Space("pairs", {"learning_rate": RATES, "retain_weight": [3, 10]}),
    "ga-kl": Space("pairs", {"learning_rate": RATES, "retain_weight": [3, 10]}),
    "po-gd": Space("pairs", {"learning_rate": RATES, "retain_weight": [1, 3]}),
    "npo-gd": Space("pairs", {"learning_rate": RATES, "beta": [0.1, 0.3]}),
    "simnpo-gd": Space("pairs", {"learning_rate": RATES, "beta": [1, 2.5]}),
    "cagul": Space(
        "everything",
        {"learning_rate": [1e-2, 3e-2], "k": [1 / 4, 1 / 2]},
        fixed={"batch_size": 4},  # the paper's
        shares=frozenset({"k"}),
    ),
}
"""Of each the learning rate, and another parameter on which the method's strength hangs."""
