"""Membership inference: its AUC against one computed apart, who the non-members are, and when it refuses to tell."""

import math
import random
import zlib
from collections import Counter
from typing import Any

import pytest

from tests.attacks.aimed import Aimed
from unlearnbench import Run
from unlearnbench.attacks.mia import HoldOut, MembershipInference, nonmembers
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack

MODEL = "tiny-qwen2.5-vl"
PLAIN = ("loss", "zlib", "min_k_20", "min_k_40")


def attack(**params: Any) -> MembershipInference:
    return MembershipInference(MembershipInference.Params(**params))


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options())


def test_it_keeps_the_contract() -> None:
    check_attack("mia", {"scores": PLAIN})


# ------------------------------------------------------------------------------------------------- on the tiny data
@pytest.fixture(scope="module")
def blind() -> list[dict[str, Any]]:
    """What it finds of the pretrained model, which has seen neither members nor non-members."""
    task, made = fiubench(), attack()
    model = load(card_for(MODEL), "cpu")
    target = Aimed(made, task, task.load("embedded", None, 0), others={"pretrained": lambda: model})
    return made.ask(model, target, Run())[""]  # type: ignore[arg-type]


def by_hand(record: dict[str, Any], name: str) -> float:
    """A score from an answer's tokens without the last one."""
    logs = sorted(token[0] for token in record["tokens"][:-1])
    if name.startswith("min_k"):
        logs = logs[: max(1, int(int(name[-2:]) * len(logs) / 100))]
    mean = sum(logs) / len(logs)
    return mean / len(zlib.compress(record["answer"].encode())) if name == "zlib" else mean


def auc_by_hand(records: list[dict[str, Any]], name: str) -> float:
    """Every member beside every non-member, each of whom counts as often as members are like them."""
    members, others = ([each for each in records if each["set"] == side] for side in ("forget", "strangers"))

    def alike(one: dict[str, Any], other: dict[str, Any], closely: bool) -> bool:
        same = one["attribute"] == other["attribute"]
        return same and (not closely or len(one["tokens"]) // 4 == len(other["tokens"]) // 4)

    weight: Counter[str] = Counter()
    for member in members:
        close = [each["id"] for each in others if alike(member, each, True)]
        for name_of in close or [each["id"] for each in others if alike(member, each, False)]:
            weight[name_of] += 1 / len(close or [each for each in others if alike(member, each, False)])  # type: ignore[assignment]
    won = 0.0
    for member in members:
        for other in others:
            mine, theirs = by_hand(member, name), by_hand(other, name)
            won += weight[other["id"]] * (1.0 if mine > theirs else 0.5 if mine == theirs else 0.0)
    return won / sum(weight.values()) / len(members)


def test_a_model_that_knows_neither_cannot_tell_them_apart(blind: list[dict[str, Any]]) -> None:
    made, task = attack(fpr=0.05), fiubench()
    found = made.measured(task, blind)
    for name in PLAIN:
        value = found[f"mia.{name}"].value
        assert value == pytest.approx(auc_by_hand(blind, name))
        assert value == pytest.approx(found[f"mia.{name}_pretrained"].value)
        assert 0.45 <= value <= 0.55
        assert found[f"mia.{name}"].ci_low < 0.5 < found[f"mia.{name}"].ci_high  # type: ignore[operator]
    assert found["mia.reference"].value == pytest.approx(0.5)
    assert 0 <= (found["mia.words"].value or 1) <= 0.55
    assert found["mia.matched"].value is not None


def test_members_and_nonmembers_are_asked_the_same_of(blind: list[dict[str, Any]]) -> None:
    asked = {
        side: Counter(each["attribute"] for each in blind if each["set"] == side) for side in ("forget", "strangers")
    }
    assert asked["forget"] == asked["strangers"]
    assert len(asked["forget"]) == 12


# ------------------------------------------------------------------------------------------------- on made-up records
def record(side: str, who: int, place: int, log: float, blind: float = -2.0, **more: Any) -> dict[str, Any]:
    """An answer of two tokens and its end."""
    told = [[[value, 0.0, -3.0, 2.0], [value - 1, 0.0, -4.0, 0.5], [-0.1, 1.0, -0.1, 0.1]] for value in (log, blind)]
    made = {"set": side, "id": f"{side}/{who}/{place}", "cluster": f"{side}{who}", "attribute": f"a{place}"}
    made |= {"tags": ["health"], "question": f"what of {place}?", "answer": f"it is {place}", "tokens": told[0]}
    return made | {"pretrained_tokens": told[1]} | more


def drawn(shift: float, blind_shift: float = 0.0, people: int = 6, **of_members: Any) -> list[dict[str, Any]]:
    """People of both sides, four questions each; members' answers are likelier by so much."""
    rng, found = random.Random(0), []
    for who in range(people):
        for place in range(4):
            for side in ("forget", "strangers"):
                gain, known = (shift, blind_shift) if side == "forget" else (0.0, 0.0)
                noise = rng.gauss(0, 1)
                more = of_members if side == "forget" else {}
                found.append(record(side, who, place, -3 + noise + gain, -3 + known, **more))
    return found


def test_scores_are_those_of_their_definitions() -> None:
    one = record("forget", 0, 0, -2.0, -2.5)
    held = HoldOut.of([one, record("strangers", 0, 0, -9.0)], attack().params)
    own = {name: held._scores(name)[0][0] for name in attack().params.scores}
    assert own["loss"] == pytest.approx(-2.5)
    assert own["zlib"] == pytest.approx(-2.5 / len(zlib.compress(b"it is 0")))
    assert own["min_k_20"] == own["min_k_40"] == pytest.approx(-3.0)  # one token at least
    assert own["min_k_plus"] == pytest.approx(min((-2.0 + 3.0) / 2.0, (-3.0 + 4.0) / 0.5))
    assert own["reference"] == pytest.approx(0.5)


def test_values_are_by_member_and_their_mean_is_the_metric() -> None:
    records, made = drawn(1.0), attack(fpr=0.2)
    found, values = made.measured(fiubench(), records), made.values(fiubench(), records)
    assert values.keys() == {name for each in made.params.scores for name in (f"mia.{each}", f"mia.{each}_tpr")}
    for name, of in values.items():
        assert [len(own) for own in of.values()] == [4] * 6
        flat = [value for own in of.values() for value in own]
        assert found[name].value == pytest.approx(sum(flat) / len(flat))
    assert 0.6 < (found["mia.loss"].value or 0) < 0.95
    highest = sorted(each["tokens"][0][0] for each in records if each["set"] == "strangers")[-5]  # 4 of 24 are above
    caught = [each["tokens"][0][0] > highest for each in records if each["set"] == "forget"]
    assert found["mia.loss_tpr"].value == pytest.approx(sum(caught) / len(caught))


def test_people_can_be_inferred_instead_of_questions() -> None:
    records, made = drawn(0.6), attack(pool_by_person=True)
    values = made.values(fiubench(), records)["mia.loss"]
    assert [len(own) for own in values.values()] == [1] * 6
    means = {
        who: sum(each["tokens"][0][0] for each in records if each["cluster"] == who) / 4
        for who in {each["cluster"] for each in records}
    }
    others = [mean for who, mean in means.items() if who.startswith("strangers")]
    for who, [value] in values.items():
        assert value == pytest.approx(sum(means[who] > other for other in others) / len(others))
    assert made.measured(fiubench(), records)["mia.loss"].value == pytest.approx(
        math.fsum(v for [v] in values.values()) / 6
    )


@pytest.mark.parametrize("scores", [PLAIN, (*PLAIN, "reference"), ("reference",)])
def test_a_hold_out_that_the_pretrained_model_tells_is_refused(scores: Any) -> None:
    """With the score, too, that takes its loss off, and so is at .5 whatever the hold-out is."""
    records, made = drawn(1.0, blind_shift=0.5), attack(scores=scores)
    assert not any(made.values(fiubench(), records).values())
    refused = made.measured(fiubench(), records)["mia.matched"]
    assert refused.value is None
    assert refused.reason == "hold-out not matched: the pretrained model tells members (AUC 1.00)"


def test_a_score_alone_that_the_pretrained_model_tells_by_does_not_count() -> None:
    records, made = drawn(1.0), attack()
    for each in records:
        if each["set"] == "forget":
            each["pretrained_tokens"] = [
                [token[0], token[1], token[2] - 3, token[3]] for token in each["pretrained_tokens"]
            ]
    values = made.values(fiubench(), records)
    assert {name for name, of in values.items() if of and not name.endswith("_tpr")} == {
        f"mia.{each}" for each in (*PLAIN, "reference")
    }
    assert made.measured(fiubench(), records)["mia.matched"].value == pytest.approx(5 / 6)


def test_a_hold_out_that_words_tell_is_refused() -> None:
    records, made = drawn(1.0, answer="it is an aardvark"), attack()
    assert not any(made.values(fiubench(), records).values())
    found = made.measured(fiubench(), records)
    assert (found["mia.words"].value or 0) > 0.9
    assert (found["mia.matched"].reason or "").startswith("hold-out not matched: a bag of words")


def test_nonmembers_count_by_how_many_members_are_like_them() -> None:
    """Two members are asked for a0 and none for a1: whatever is known of a1 does not count."""
    members = [record("forget", who, 0, -2.0) for who in (0, 1)]
    others = [record("strangers", 0, 0, -3.0), record("strangers", 1, 0, -1.0), record("strangers", 2, 1, -9.0)]
    held = HoldOut.of([*members, *others], attack().params)
    assert [*held.weights] == [1.0, 1.0, 0.0]
    assert held.auc("loss").value == 0.5
    alone = record("forget", 3, 7, -2.0, tags=["crime"])  # nobody was asked anything of the kind
    assert len(HoldOut.of([alone, *members, *others], attack().params).members) == 2


def test_few_questions_are_of_whole_people() -> None:
    data = fiubench().load("embedded", None, 0).sets
    chosen = nonmembers(data, data.forget, 30)
    assert Counter(Counter(each.cluster for each in chosen).values()) == {12: 2}
    assert {each.tags for each in chosen} == {each.tags for each in data.forget}
