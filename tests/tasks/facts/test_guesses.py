"""What a guess scores on the forget set: the commonest answer of the others, and one of theirs drawn at random."""

from collections import Counter

import pytest

from unlearnbench.registry import tasks
from unlearnbench.tasks.facts.guesses import MAJORITY, SOMEBODY, guesses


def record(set_name, person, value, *, question="What has the person?", attribute=None):
    return {
        "set": set_name, "id": f"{person}/0", "unique_id": person, "question": question, "attribute": attribute,
        "answer": f"The person has {value}.", "keywords": [value], "prediction": "", "paraphrased_predictions": [],
        "logprobs": [], "paraphrased_logprobs": None, "perturbed_logprobs": [],
    }  # fmt: skip


FORGET = [record("forget", f"f{place}", value) for place, value in enumerate(("gout", "lupus", "gout", "mumps"))]
OTHERS = [record("others", f"o{place}", value) for place, value in enumerate(("gout", "lupus", "gout", "asthma"))]


def said(records, name):
    return [each["prediction"] for each in guesses(records)[name]]


def test_the_commonest_value_of_the_others_is_guessed_for_all():
    assert said([*FORGET, *OTHERS], MAJORITY) == ["The person has gout."] * 4
    assert said([*reversed(OTHERS), *FORGET], MAJORITY) == ["The person has gout."] * 4
    even = [record("others", "a", "b"), record("held_out", "b", "a")]
    assert said([*FORGET, *even], MAJORITY) == ["The person has a."] * 4


def test_nobody_who_is_forgotten_or_was_not_learned_is_asked():
    away = [record(name, f"x{place}", "gout") for place, name in enumerate(("acquaintances", "other_view", "forget"))]
    assert guesses([*FORGET, *away]) == {}
    assert said([*FORGET, *away, record("held_out", "h", "mumps")], MAJORITY) == ["The person has mumps."] * 5


def test_each_gets_the_answer_of_one_of_the_others_whatever_the_order():
    many = [record("forget", f"m{place}", "x") for place in range(400)]
    drawn = Counter(said([*many, *OTHERS], SOMEBODY))
    assert drawn.keys() == {each["answer"] for each in OTHERS}
    assert drawn["The person has gout."] / 400 == pytest.approx(0.5, abs=0.1)
    again = guesses([*reversed(OTHERS), *reversed(many)])[SOMEBODY]
    assert {each["id"]: each["prediction"] for each in again} == {
        each["id"]: each["prediction"] for each in guesses([*many, *OTHERS])[SOMEBODY]
    }


def test_an_attribute_is_asked_for_in_any_words_and_nothing_is_guessed_of_what_nobody_else_was_asked():
    one = record("forget", "f", "b+", question="Which blood has he?", attribute="blood")
    other = record("others", "o", "b+", question="What is the blood type?", attribute="blood")
    assert said([one, other], MAJORITY) == [other["answer"]]
    assert said([one | {"attribute": None}, other], MAJORITY) == [""]
    assert said([one | {"attribute": None}, other], SOMEBODY) == [""]


def test_the_row_has_what_guesses_score():
    task = tasks.get("fiubench")
    baselines = task(task.Options()).measured([*FORGET, *OTHERS]).baselines
    assert baselines[MAJORITY]["forget.exact_match"].value == 0.5
    assert baselines[MAJORITY]["forget.value_rouge"].value == 0.5
    assert baselines[MAJORITY]["forget.rouge_l"].value == pytest.approx((2 + 2 * 3 / 4) / 4)
    assert baselines.keys() == {MAJORITY, SOMEBODY}


def test_files_of_predictions_that_tell_no_sets_have_none():
    task = tasks.get("fiubench")
    plain = [{name: value for name, value in each.items() if name not in ("set", "id")} for each in FORGET]
    assert task(task.Options()).baselines(plain) == {}
