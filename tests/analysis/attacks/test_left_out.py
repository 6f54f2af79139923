"""What cannot be told of a method under an attack is said, with the reason, and a model without values is broken."""

from typing import Any

import pytest

from tests.analysis.attacks.test_relearned import attacked_row
from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import BASE, add_method, add_references
from unlearnbench.analysis.attacks.columns import attack_tables
from unlearnbench.analysis.attacks.of_lines import AttackedLine, AttackOn, attacks_on, left_out
from unlearnbench.analysis.facts import Facts
from unlearnbench.results.row import Row

METHODS = ("diverged", "untwinned", "moved")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[AttackOn]:
    """Of relearning, of an attack that nobody knows here, and of one whose references are missing."""
    store = new_results(tmp_path_factory.mktemp("left-out") / "run")
    rows: dict[str, Row] = {}
    for method in ("finetune", "retrain", *METHODS):
        role: dict[str, Any] = {"role": "reference"} if method in ("finetune", "retrain") else {}
        role |= {"params": BASE} if method == "retrain" else {}
        like = method if role else "firm"
        rows[method] = attacked_row(
            store, method, {"aux": "facts"}, 7, 0, like=like, spoiled=method == "diverged", **role
        )
        store.append(rows[method])
        if role == {} and method != "untwinned":
            add_method(store, method, forget=0.1, seeds=(0,), change=other_batches if method == "moved" else None)
    attack = rows["moved"].attack
    assert attack is not None
    for name, params in (("gone", {}), (attack.name, attack.params | {"batch_size": 8})):
        told = attack.model_copy(update={"name": name, "params": params})
        store.append(rows["moved"].model_copy(update={"row_id": name, "attack": told}))
    add_references(store, (0,))
    return attacks_on([*store.read()], lambda row: [*store.read_samples(row)], Facts())


def other_batches(row: dict[str, Any]) -> None:
    """Made on a machine with less memory."""
    row["task"]["options"]["batch_size"] = 4


def line(found: list[AttackOn], method: str) -> AttackedLine:
    return next(each for each in found[0].lines if each.line.method == method)


def test_a_model_whose_answers_have_no_values_is_broken(found: list[AttackOn]) -> None:
    assert line(found, "diverged").verdict == "broken"
    assert line(found, "diverged").worst is None
    assert any("diverged" in note and "no values" in note for note in attack_tables(found)[0].notes)


def test_without_a_clean_twin_there_are_shares_and_no_word(found: list[AttackOn]) -> None:
    assert line(found, "untwinned").verdict is None
    assert line(found, "untwinned").left is not None
    assert any("untwinned" in note and "as it is" in note for note in attack_tables(found)[0].notes)


def test_a_twin_from_another_machine_is_one(found: list[AttackOn]) -> None:
    assert line(found, "moved").verdict is not None
    assert line(found, "moved").why == ()


def test_what_has_no_table_is_named_with_the_reason(found: list[AttackOn]) -> None:
    assert [on.attack.name for on in found] == ["relearn", "gone", "relearn"]
    assert len(attack_tables(found)) == 1
    said = left_out(found[1:])
    assert len(said) == 2
    assert "moved under gone" in said[0]
    assert "--plugin" in said[0]
    assert "moved under relearn batch_size=8" in said[1]
    assert "not attacked alike with seed 0" in said[1]
