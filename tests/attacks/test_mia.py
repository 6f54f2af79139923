"""Membership inference: its AUC against one computed apart, who the non-members are, and when it refuses to tell."""

import math
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.attacks.aimed import Aimed
from unlearnbench import VLM, Run, UsageError
from unlearnbench.attacks.mia import HoldOut, MembershipInference, nonmembers
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack

MODEL = "tiny-qwen2.5-vl"
PLAIN = ("loss", "zlib", "min_k_20", "min_k_40")


Blind = Callable[[str, int], list[dict[str, Any]]]


def attack(**params: Any) -> MembershipInference:
    return MembershipInference(MembershipInference.Params(**params))


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options())


def test_it_keeps_the_contract() -> None:
    check_attack("mia", {"scores": PLAIN})


# ------------------------------------------------------------------------------------------------- on the tiny data
@pytest.fixture(scope="module")
def blind() -> Blind:
    """What it finds of a pretrained model, which has seen neither members nor non-members, under a seed."""
    task, made = fiubench(), attack()

    @cache
    def model(name: str) -> VLM:
        return load(card_for(name), "cpu")

    @cache
    def found(name: str, seed: int) -> list[dict[str, Any]]:
        data, own = task.load("embedded", None, seed), model(name)
        target = Aimed(made, task, data, others={"pretrained": lambda: own})
        return made.ask(own, target, Run())[""]  # type: ignore[arg-type]

    return found


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

    def hard(one: dict[str, Any]) -> int:
        logs = [token[0] for token in one["pretrained_tokens"][:-1]]
        return math.floor(2 * sum(logs) / len(logs))

    weight: defaultdict[str, float] = defaultdict(float)
    for member in members:
        close = [each for each in others if alike(member, each, True)]
        close = close or [each for each in others if alike(member, each, False)]
        least = min(abs(hard(each) - hard(member)) for each in close)
        nearest = [each["id"] for each in close if abs(hard(each) - hard(member)) == least]
        for name_of in nearest:
            weight[name_of] += 1 / len(nearest)
    won = 0.0
    for member in members:
        for other in others:
            mine, theirs = by_hand(member, name), by_hand(other, name)
            won += weight[other["id"]] * (1.0 if mine > theirs else 0.5 if mine == theirs else 0.0)
    return won / sum(weight.values()) / len(members)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_a_model_that_knows_neither_cannot_tell_them_apart(blind: Blind, name: str, seed: int) -> None:
    found = attack().measured(fiubench(), blind(name, seed))
    own = found["mia.loss"]
    assert own.value == pytest.approx(found["mia.loss_pretrained"].value)
    assert 0.45 <= (own.value or 0) <= 0.55
    assert own.ci_low < 0.5 < own.ci_high  # type: ignore[operator]
    assert 0 <= (found["mia.words"].value or 1) <= 0.55
    assert found["mia.matched"].value == 1.0
    assert found["mia.reference"].value == pytest.approx(0.5)


def test_aucs_are_those_of_every_pair(blind: Blind) -> None:
    records = blind(MODEL, 0)
    found = attack().measured(fiubench(), records)
    for each in PLAIN:
        assert found[f"mia.{each}"].value == pytest.approx(auc_by_hand(records, each))


def test_members_and_nonmembers_are_asked_the_same_of(blind: Blind) -> None:
    asked = {
        side: Counter(each["attribute"] for each in blind(MODEL, 0) if each["set"] == side)
        for side in ("forget", "strangers")
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
    assert [*values] == ["mia.loss"]
    assert [len(own) for own in values["mia.loss"].values()] == [4] * 6
    flat = [value for own in values["mia.loss"].values() for value in own]
    assert found["mia.loss"].value == pytest.approx(sum(flat) / len(flat))
    assert 0.6 < (found["mia.loss"].value or 0) < 0.95
    highest = sorted(each["tokens"][0][0] for each in records if each["set"] == "strangers")[-5]  # 4 of 24 are above
    caught = [each["tokens"][0][0] > highest for each in records if each["set"] == "forget"]
    assert found["mia.loss_tpr"].value == pytest.approx(sum(caught) / len(caught))


def test_one_score_decides_and_the_others_are_shown() -> None:
    """The lowest of many would be low by chance."""
    records = drawn(1.0)
    for each in records:
        each["tokens"] = [[*token[:2], token[2] - each["tokens"][0][0], token[3]] for token in each["tokens"]]
    made = attack()
    assert made.levels == {"logits": ("mia.loss",)}
    assert made.values(fiubench(), records) == attack(scores=("loss",)).values(fiubench(), records)
    found = made.measured(fiubench(), records)
    assert {f"mia.{each}{of}" for each in made.params.scores for of in ("", "_tpr", "_pretrained")} < {*found}
    with pytest.raises(ValueError, match="loss decides"):
        attack(scores=("zlib",))


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


@pytest.mark.parametrize("scores", [PLAIN, (*PLAIN, "reference"), ("loss", "reference")])
def test_a_hold_out_that_the_pretrained_model_tells_is_refused(scores: Any) -> None:
    """With the score, too, that takes its loss off, and so is at .5 whatever the hold-out is."""
    records, made = drawn(1.0, blind_shift=0.5), attack(scores=scores)
    assert not any(made.values(fiubench(), records).values())
    refused = made.measured(fiubench(), records)["mia.matched"]
    assert refused.value is None
    assert refused.reason == "hold-out not matched: the pretrained model tells members (AUC 1.00)"


def test_what_chance_alone_may_have_made_is_not_refused() -> None:
    """Three people on each side, whose answers happen to be as they are: an interval over people has .5 within."""
    records, made = [], attack()
    for who, (known, other) in enumerate([(-2.0, -4.0), (-2.5, -3.5), (-5.0, -3.0)]):
        records += [record("forget", who, place, -1.0, known) for place in range(4)]
        records += [record("strangers", who, place, -3.0, other) for place in range(4)]
    blind_auc = HoldOut.of(records, made.params).blind.auc("loss")
    assert abs((blind_auc.value or 0) - 0.5) > 0.05
    assert made.measured(fiubench(), records)["mia.matched"].value == 1.0
    assert made.values(fiubench(), records)["mia.loss"]


def test_of_one_person_nothing_tells_whether_the_hold_out_is_matched() -> None:
    found = attack().measured(fiubench(), drawn(1.0, people=1))
    assert found["mia.words"].value is None
    assert found["mia.matched"].reason == "hold-out not matched: of a single person nothing tells whether it is"


def test_the_nearest_in_difficulty_count() -> None:
    """Whose pretrained likelihood is most like a member's, in steps of half a nat."""
    members = [record("forget", 0, 0, -2.0, -1.0), record("forget", 1, 0, -2.0, -3.9)]
    others = [record("strangers", who, 0, -3.0, known) for who, known in enumerate([-1.1, -2.0, -3.9, -3.7])]
    held = HoldOut.of([*members, *others], attack().params)
    assert [*held.weights] == [1.0, 0.0, 0.5, 0.5]
    assert held.effective == pytest.approx(4 / 1.5)


def test_without_strangers_it_is_refused_before_anything_is_trained() -> None:
    data = fiubench().load("embedded", None, 0).sets
    with pytest.raises(UsageError, match="attack mia: the data have no strangers to compare with"):
        attack().victims(replace(data, strangers=()))
    assert attack().victims(data) == data.forget


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
