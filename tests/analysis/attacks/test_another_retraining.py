"""Another retraining is no leak, the base never holds, and neither does a model that answers nothing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tests.analysis.attacks.simulated import Values, answers, beside, outcome, three, variant
from unlearnbench.analysis.attacks.costs import Costs
from unlearnbench.analysis.attacks.over_seeds import Variant

TIMES = 40


@dataclass(frozen=True)
class Setting:
    """What an attack is like: how much of the victims the attacked references know, and how often they are asked."""

    ideal: float = 0.1
    nothing: float = 0.9
    metrics: tuple[str, ...] = ("said.right",)
    variants: int = 1
    seeds: int = 3
    two_sided: bool = False
    compare: Callable[[Values, Values], Values] | None = None

    @property
    def scored(self) -> tuple[str, ...]:
        """The metrics as they are compared."""
        return tuple(f"{name}_kept" for name in self.metrics) if self.compare else self.metrics

    def attacked(self, rng: np.random.Generator, known: float | None, **more: object) -> Variant:
        """A method of which so much is known; None: the base itself."""
        by_seed = []
        for seed in range(self.seeds):
            found = []
            for _ in range(self.variants):
                ideal, nothing = (answers(rng, level, self.metrics) for level in (self.ideal, self.nothing))
                own = nothing if known is None else answers(rng, known, self.metrics)
                made = three(own, nothing, ideal, self.compare)
                found.append(outcome(made, seed, self.scored, two_sided=self.two_sided, clean=made, **more))
            by_seed.append(found)
        return variant(by_seed)


FOUR = ("a.right", "b.right", "c.right", "d.right")
SETTINGS = {
    "a prompt": Setting(),
    "of which a retrained model knows much": Setting(0.3, 0.9),
    "that brings little back": Setting(0.1, 0.35),
    "read by four metrics": Setting(metrics=FOUR),
    "in ten kinds": Setting(variants=10),
    "on one seed": Setting(seeds=1),
    "in ten kinds on one seed, by four metrics": Setting(metrics=FOUR, variants=10, seeds=1),
    "on both sides": Setting(0.3, 0.8, two_sided=True),
    "compared with the retrained model": Setting(compare=beside),
    "compared, on one seed": Setting(compare=beside, seeds=1),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_another_retraining_is_not_said_to_leak(name: str) -> None:
    rng, setting = np.random.default_rng(1), SETTINGS[name]
    words = Counter(setting.attacked(rng, setting.ideal).verdict for _ in range(TIMES))
    assert words["comes back"] + words["leaks"] <= 0.1 * TIMES  # by chance in one of twenty, of a test each
    assert {*words} <= {"holds", "cannot tell", "comes back", "leaks"}


@pytest.mark.parametrize("name", ["a prompt", "in ten kinds", "on one seed"])
def test_another_retraining_holds_where_the_base_knows_all(name: str) -> None:
    rng, setting = np.random.default_rng(2), SETTINGS[name]
    words = Counter(setting.attacked(rng, 0.1).verdict for _ in range(TIMES))
    assert words["holds"] >= 0.75 * TIMES


@pytest.mark.parametrize("name", SETTINGS)
def test_the_base_never_holds(name: str) -> None:
    rng, setting = np.random.default_rng(3), SETTINGS[name]
    words = Counter(setting.attacked(rng, None).verdict for _ in range(TIMES // 4))
    assert words["holds"] == words["broken"] == 0
    assert words["leaks"] >= 0.75 * TIMES // 4 or name == "that brings little back"


@pytest.mark.parametrize("name", SETTINGS)
def test_who_answers_nothing_never_holds(name: str) -> None:
    """Neither where the attack wrecked it nor where it was wrecked before, nor where nobody looked."""
    rng, setting = np.random.default_rng(4), SETTINGS[name]
    lost, fine = Costs(("retain.exact_match",), ("retain.exact_match",)), Costs((), ("retain.exact_match",))
    for costs, before, word in (
        (lost, fine, "broken"),
        (fine, lost, "broken"),
        (Costs((), ()),) * 2 + ("inconclusive",),
    ):
        found = setting.attacked(rng, 0.0, costs=costs, before=before)
        assert found.verdict in ({word} if not setting.two_sided else {word, "comes back", "leaks"})


def test_without_a_clean_twin_there_is_no_word() -> None:
    rng = np.random.default_rng(5)
    for known in (0.1, None):
        found = SETTINGS["a prompt"].attacked(rng, known, before=None)
        assert found.verdict is None
        assert found.levels["text"].share is not None


def test_what_a_model_surely_says_comes_back_whatever_it_lost() -> None:
    rng, lost = np.random.default_rng(6), Costs(("retain.exact_match",), ("retain.exact_match",))
    assert SETTINGS["a prompt"].attacked(rng, 0.6, costs=lost).verdict in ("comes back", "leaks")
    assert SETTINGS["in ten kinds"].attacked(rng, 0.6).verdict in ("comes back", "leaks")
