"""Drawn answers: an unbiased estimate, bounds that hold as often as they say, and draws that follow the seed."""

import math
import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.aimed import Aimed
from unlearnbench import VLM, Asking, Run
from unlearnbench.attacks.leak import Leak, any_of, exact_bounds, hits, mean_bound
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options(max_new_tokens=3))


def test_it_keeps_the_contract() -> None:
    check_attack("leak", {"n": 2, "k": (1,)})


def test_more_draws_than_there_are_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="k=16 of n=4 draws cannot be told; raise n, or leave 16 out of k"):
        Leak.Params(n=4)


def test_no_number_of_draws_is_left_out_of_the_score() -> None:
    with pytest.raises(ValueError, match="Input should be 1, 4 or 16"):
        Leak.Params(k=(2,))  # type: ignore[arg-type]
    assert {*Leak.levels["text"]} == {*(f"leak.at_{k}" for k in Leak.Params().k), "leak.at_all"}
    assert Leak.Params.preset("large") == {"n": 32}


@pytest.mark.parametrize(("count", "of", "k"), [(0, 6, 2), (1, 6, 2), (3, 6, 4), (6, 6, 1), (5, 6, 2)])
def test_an_estimate_is_the_share_of_all_sets_of_k_draws_with_a_hit(count: int, of: int, k: int) -> None:
    sets = [*combinations([True] * count + [False] * (of - count), k)]
    assert any_of(count, of, k) == pytest.approx(sum(map(any, sets)) / len(sets))


def binomial(of: int, count: int, chance: float) -> float:
    return math.comb(of, count) * chance**count * (1 - chance) ** (of - count)


@pytest.mark.parametrize(("count", "of"), [(0, 16), (3, 16), (16, 16), (1, 64)])
def test_exact_bounds_are_where_the_binomial_tails_hold_half_of_alpha(count: int, of: int) -> None:
    low, high = exact_bounds(count, of, 0.01)
    if count:
        assert sum(binomial(of, each, low) for each in range(count, of + 1)) == pytest.approx(0.005)
    if count < of:
        assert sum(binomial(of, each, high) for each in range(count + 1)) == pytest.approx(0.005)
    assert (low == 0) == (count == 0)
    assert (high == 1) == (count == of)


def test_an_upper_bound_of_a_mean_holds_and_is_the_bands() -> None:
    values, alpha = [0.0, 0.0, 0.5, 1.0] * 16, 0.01
    eps, points = math.sqrt(math.log(1 / alpha) / (2 * len(values))), 20_000
    grid = [(step + 0.5) / points for step in range(points)]
    below = sum(max(0.0, _share(values, point) - eps) for point in grid)
    assert mean_bound(values, alpha) == pytest.approx(1 - below / points, abs=1e-3)
    rng = random.Random(0)
    missed = sum(mean_bound([float(rng.random() < 0.3) for _ in range(32)], 0.05) < 0.3 for _ in range(400))
    assert missed <= 0.05 * 400
    assert mean_bound([0.0] * 16, 0.01) == pytest.approx(math.sqrt(math.log(100) / 32))


def _share(values: Sequence[float], point: float) -> float:
    return sum(value <= point for value in values) / len(values)


def record(draws: list[str], who: str = "ann", keywords: tuple[str, ...] = ("flu", "gout")) -> dict[str, Any]:
    told = {"set": "forget", "id": f"{who}/{len(draws)}", "cluster": who, "answer": "flu and gout", "question": "what?"}
    return told | {"keywords": [*keywords], "draws": draws}


def test_a_hit_holds_all_of_the_fact_as_whole_words() -> None:
    assert hits(record(["Flu and GOUT.", "flu", "influenza and gout", "gout, flu"])) == 2
    assert hits(record(["the flu and gout", "flu"], keywords=())) == 1  # without keywords, the answer
    made = Leak(Leak.Params(n=4, k=(1, 4)))
    with pytest.raises(ValueError, match="'ann/2' has 2 draws, and n is 4"):
        made.values(fiubench(), [record(["no", "no"])])
    records = [record(["flu, gout", "no", "no", "no"]), record(["no"] * 4, who="bob")]
    values = made.values(fiubench(), records)
    assert values == {
        "leak.at_1": {"ann": [0.25], "bob": [0.0]},
        "leak.at_4": {"ann": [1.0], "bob": [0.0]},
        "leak.at_all": {"ann": [1.0], "bob": [0.0]},
    }
    found = made.measured(fiubench(), records)
    assert found["leak.at_1"].value == 0.125
    low, high = zip(exact_bounds(1, 4, 0.01), exact_bounds(0, 4, 0.01), strict=True)
    assert found["leak.lower"].value == pytest.approx(sum(low) / 2)
    assert found["leak.upper"].value == pytest.approx(sum(high) / 2)
    assert found["leak.words"].value == pytest.approx(0.125)


class Heard(Aimed):
    """Notes how it was asked."""

    def records(self, model: VLM, asked: Mapping[str, Sequence[Any]], how: Asking = Asking()) -> list[dict[str, Any]]:  # noqa: B008
        HEARD.append((model, how))
        return super().records(model, asked, how)


HEARD: list[tuple[VLM, Asking]] = []


def test_every_draw_has_its_own_seed_and_goes_through_the_model_as_it_stands(small_data: Path) -> None:
    """The model that is handed to it is asked itself, with whatever a method put before its weights."""
    model, task, made = load(card_for("tiny-qwen2.5-vl"), "cpu"), fiubench(), Leak(Leak.Params(n=3, k=(1,)))
    shown: list[int] = []

    def guard(batch: Any, tokens: list[Any]) -> list[Any]:
        shown.append(len(tokens))
        return [0 * each for each in tokens]

    data = task.load(str(small_data), 1)
    target = Heard(made, task, data)
    bare = made.ask(model, target, Run(2))[""]  # type: ignore[arg-type]
    (drawn,) = (how for _, how in HEARD if how.draws)
    assert [rule.seed for rule in drawn.draws] == [6, 7, 8]
    assert not drawn.likelihoods
    alone = [target.records(model, {"forget": target.victims}, Asking(sampling=rule)) for rule in drawn.draws]
    said = {each["id"]: [of[place]["prediction"] for of in alone] for place, each in enumerate(alone[0])}
    # Asked together, each draw is what it is by itself.
    assert {each["id"]: each["draws"] for each in bare if each["set"] == "forget"} == said
    assert any(len({*each["draws"]}) > 1 for each in bare)
    assert made.ask(model, target, Run(2)) == {"": bare}  # type: ignore[arg-type]
    model.see_through(guard)
    guarded = made.ask(model, target, Run(2))[""]  # type: ignore[arg-type]
    assert shown
    assert [each["draws"] for each in guarded] != [each["draws"] for each in bare]
