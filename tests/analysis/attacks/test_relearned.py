"""What follows from rows of relearning: doing nothing 0, retraining 1, and nobody who is broken is taken for robust."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import BASE, PEOPLE, add_method, add_references, fiubench_records, row_of
from unlearnbench.analysis.attacks.curves import Curve, curves
from unlearnbench.analysis.attacks.of_lines import AttackedLine, attacks_on
from unlearnbench.analysis.facts import Facts
from unlearnbench.attacks.relearn import CONTROL, STRANGERS, Relearn, RelearnParams
from unlearnbench.contracts.attack import of_variant
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row, Score
from unlearnbench.results.store import RowStore

STEPS = (0, 15, 30, 60)

SEEDS = (0, 1)
"""Of four people and a single seed nobody can say that what they tell is more than chance."""

CLEAN = {
    "finetune": {"forget": 1.0},
    "retrain": {"forget": 0.05},
    "firm": {"forget": 0.05},
    "returning": {"forget": 0.05},
    "gibberish": {"forget": 0.0, "retain": 0.0},
    "rigid": {"forget": 0.0},
}
"""The shares of right answers without an attack."""

ATTACKED: Mapping[str, tuple[tuple[float, ...], float, float]] = {
    "finetune": ((1.0, 1.0, 1.0, 1.0), 1.0, 0.9),
    "retrain": ((0.05, 0.1, 0.1, 0.1), 1.0, 0.9),
    "firm": ((0.05, 0.1, 0.1, 0.1), 1.0, 0.9),
    "returning": ((0.05, 0.4, 0.7, 0.9), 1.0, 0.9),
    "gibberish": ((0.0, 0.0, 0.0, 0.0), 0.0, 0.0),
    "rigid": ((0.0, 0.0, 0.0, 0.0), 1.0, 0.3),
}
"""The shares of right answers: about victims after so many steps, about the retain set, about strangers in the end."""


def strangers(right: float, seed: int) -> list[dict[str, Any]]:
    """Answers about people whom nobody knows, of which the share ``right`` is right after they were learned."""
    records = fiubench_records(right, 0.0, seed)
    return [
        {**each, "set": STRANGERS, "unique_id": f"s{each['unique_id']}", "id": f"s{each['id']}"}
        for each in records
        if each["set"] == "forget"
    ]


def records_of(method: str, attack: Relearn, salt: int) -> dict[str, list[dict[str, Any]]]:
    """By variant, the records that the attack keeps."""
    shares, retain, learned = ATTACKED[method]
    found = {}
    for step, forget in zip(STEPS, shares, strict=True):
        own = fiubench_records(forget, retain, salt + step)
        kept = [{**each, "set": "retain"} for each in own if each["set"] == "others"]
        found[f"{step} steps"] = [each for each in own if each["set"] == "forget"] + kept
    found["0 steps"] += strangers(0.0, salt)
    return found | {CONTROL: strangers(learned, salt)}


def attacked_row(
    store: RowStore,
    method: str,
    told: dict[str, Any],
    salt: int,
    seed: int,
    *,
    like: str = "",
    spoiled: bool = False,
    **changes: Any,
) -> Row:
    """A method's row under the attack; it knows what another does (``like``), or its logits are null (``spoiled``)."""
    salt += 100 * seed
    task, attack = tasks.get("fiubench")(tasks.get("fiubench").Options()), Relearn(RelearnParams(**told))
    found = records_of(like or method, attack, salt)
    metrics = attack.overall(task, found)
    for variant, own in found.items():
        metrics |= {of_variant(name, variant): value for name, value in attack.measured(task, own).items()}
    records = [{**each, "variant": variant} for variant, own in found.items() for each in own]
    about = {
        "name": attack.name, "version": attack.version, "origin": "made up", "access": attack.access,
        "params": attack.params.model_dump(mode="json"), "variants": [*found], "people": PEOPLE // 2, "questions": 48,
    }  # fmt: skip
    row = row_of(store, method, "fiubench", records, seed, salt=str(told), attack=about, **changes)
    if spoiled:
        nulls = [each | {"logprobs": [None] * len(each["logprobs"])} for each in records]
        samples = store.write_samples(row.row_id, nulls)
        row = row.model_copy(update={"samples": samples})
    return row.model_copy(update={"metrics": {name: Score(**asdict(value)) for name, value in metrics.items()}})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], AttackedLine]:
    """By what the attacker has and the method."""
    store = new_results(tmp_path_factory.mktemp("relearned") / "run")
    drawn = {method: place for place, method in enumerate(CLEAN)}
    drawn["firm"] = drawn["retrain"]  # who answers as the retrained model does, by chance too
    for method, shares in CLEAN.items():
        role: dict[str, Any] = {"role": "reference"} if method in ("finetune", "retrain") else {}
        role |= {"params": BASE} if method == "retrain" else {}
        if not role:
            add_method(store, method, seeds=SEEDS, **shares)
        for aux, seed in product(("facts", "ceiling"), SEEDS):
            store.append(attacked_row(store, method, {"aux": aux}, drawn[method], seed, **role))
    add_references(store, SEEDS)
    rows = [*store.read()]
    known = attacks_on(rows, lambda row: [*store.read_samples(row)], Facts())
    return {(on.attack.params["aux"], each.line.method): each for on in known for each in on.lines}


def curve(found: dict[tuple[str, str], AttackedLine], method: str) -> Curve:
    return next(each for each in curves(found["facts", method]) if each.level == "text")


def test_doing_nothing_leaves_nothing_and_retraining_all(found: dict[tuple[str, str], AttackedLine]) -> None:
    for method, share in (("finetune", 0.0), ("retrain", 1.0)):
        line = found["facts", method]
        assert [*line.variants] == [f"{step} steps" for step in STEPS]  # the control is no variant to score
        for variant in line.variants.values():
            for level in variant.levels.values():
                assert level.share is not None
                assert level.share.mean == pytest.approx(share)
    assert found["facts", "retrain"].verdict == "holds"


def test_the_word_for_each(found: dict[tuple[str, str], AttackedLine]) -> None:
    words = {method: line.verdict for (aux, method), line in found.items() if aux == "facts"}
    assert words["firm"] == "holds"
    assert words["returning"] == "comes back"
    assert words["gibberish"] in ("broken", "inconclusive")
    assert words["rigid"] == "inconclusive"  # it keeps what it had to keep, and learns no stranger either
    assert found["facts", "rigid"].variants["60 steps"].unable == (f"{CONTROL}.gain", f"{CONTROL}.after")


def test_the_ceiling_has_no_word(found: dict[tuple[str, str], AttackedLine]) -> None:
    assert {line.verdict for (aux, _), line in found.items() if aux == "ceiling"} == {None}


def test_a_curve_is_what_came_back_step_by_step(found: dict[tuple[str, str], AttackedLine]) -> None:
    own = curve(found, "returning")
    assert (own.axis, own.metric) == ("steps", "forget.value_rouge")
    assert [point.degree for point in own.points] == [0, 15, 30, 60]
    values = [point.recovery.mean for point in own.points if point.recovery]
    assert values == sorted(values)
    assert own.last is not None
    assert own.last.mean == values[-1]
    by_hand = sum((b - a) * (x + y) / 2 for a, b, x, y in zip(STEPS, STEPS[1:], values, values[1:], strict=False)) / 60
    assert own.area == pytest.approx(by_hand)
    assert own.base is not None
    assert own.half == next(point.degree for point in own.points if point.known[0] >= own.base / 2)
    assert own.half in (15, 30)


def test_curves_of_the_references_are_flat(found: dict[tuple[str, str], AttackedLine]) -> None:
    base, ideal = curve(found, "finetune"), curve(found, "retrain")
    assert (base.area, ideal.area) == (pytest.approx(1.0), pytest.approx(0.0))
    assert base.half == 0
    assert ideal.half is None


def test_what_strangers_tell_is_counted_from_the_samples() -> None:
    task, attack = tasks.get("fiubench")(tasks.get("fiubench").Options()), Relearn(RelearnParams())
    records = records_of("returning", attack, 5)
    metrics = attack.overall(task, records)
    right = [float(each["keywords"][0] in each["prediction"]) for each in records[CONTROL]]
    assert metrics[f"{CONTROL}.after"].n == len(right)
    assert metrics[f"{CONTROL}.after"].value == pytest.approx(np.mean(right), abs=0.05)  # a word may be right by chance
    difference = metrics[f"{CONTROL}.after"].value - metrics[f"{CONTROL}.before"].value
    assert metrics[f"{CONTROL}.gain"].value == pytest.approx(difference)
    assert attack.overall(task, {name: own for name, own in records.items() if name != CONTROL}) == {}
