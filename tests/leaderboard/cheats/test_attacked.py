"""Attacked rows on a leaderboard: what they must be, the level that they add, and what they show of a silent method."""

from pathlib import Path
from typing import Any

import pytest

from tests.leaderboard.cheats.attacking import ATTACK, RULE, attack, sent, standing
from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import DEFINITION, add_method, add_references, board_in
from unlearnbench.errors import DataError
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import Board, read_board
from unlearnbench.leaderboard.site.build import build_site
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.registry import attacks
from unlearnbench.results.store import RowStore


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return read_board(board_in(tmp_path / "boards" / "made-up", RULE))


@pytest.fixture
def results(tmp_path: Path) -> RowStore:
    """Both references, attacked alike: the attack gives back nothing that was not there."""
    store = new_results(tmp_path / "results")
    add_references(store)
    attack(store, "finetune", 1.0)
    attack(store, "retrain", 0.1)
    return store


def test_what_comes_back_under_an_attack_is_hidden_and_no_more(board: Board, results: RowStore, tmp_path: Path) -> None:
    for method, back in (("silent", 0.9), ("erasing", 0.1)):
        add_method(results, method, forget=0.1)
        attack(results, method, back)
    assert not sent(board, results).problems
    assert check(board) == []
    silent, erasing = standing(board, "silent"), standing(board, "erasing")
    assert [*silent.levels] == ["text", "logits", "weights-write attacks"]
    assert silent.levels["text"].mean == pytest.approx(erasing.levels["text"].mean, abs=0.15)
    assert (silent.levels["weights-write attacks"].mean or 0) < 0.4 < 0.9 < (erasing.score.mean or 0)
    assert (silent.verdict, erasing.verdict) == ("hidden", "erased")
    assert standing(board, "finetune").levels["weights-write attacks"].mean == pytest.approx(0.0)
    assert standing(board, "retrain").levels["weights-write attacks"].mean == pytest.approx(1.0)
    (table,) = tables(board, [read(path) for path in board.submissions])
    build_site([(board, [read(path) for path in board.submissions], [table])], tmp_path / "site", None)
    assert "Weights-write attacks" in (tmp_path / "site" / "made-up" / "index.html").read_text()


def test_values_may_be_compared_with_the_ideals_before_they_rank(
    board: Board, results: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack by which all models do as the ideal does tells none from another."""
    add_method(results, "silent", forget=0.1)
    attack(results, "silent", 0.9)
    assert not sent(board, results).problems
    monkeypatch.setattr(attacks.get(ATTACK), "compared", lambda self, values, ideal: ideal)
    (table,) = tables(board, [read(path) for path in board.submissions])
    assert ([*table.accesses.untold], [*table.levels]) == ([ATTACK], ["text", "logits"])


def test_a_method_that_was_not_attacked_stays_at_home(board: Board, results: RowStore) -> None:
    add_method(results, "shy", forget=0.1)
    found = sent(board, results)
    assert not found.problems
    assert any(f"shy on made-up has no row of the attack '{ATTACK}' with seed 0, 1, 2" in why for why in found.left_out)


def test_nothing_is_ranked_by_attacks_that_the_references_were_spared(board: Board, tmp_path: Path) -> None:
    store = new_results(tmp_path / "spared")
    add_references(store)
    attack(store, "finetune", 1.0)
    assert any("retrain on made-up has no row of the attack" in str(each) for each in sent(board, store).problems)


def test_an_attack_with_other_parameters_is_none_of_these(board: Board, results: RowStore) -> None:
    add_method(results, "gentle", forget=0.1)
    attack(results, "gentle", 0.1, group=128)
    assert any(
        "attack.params.group is 128, and this leaderboard wants 32" in why for why in sent(board, results).left_out
    )


def test_who_breaks_under_an_attack_is_not_ranked(board: Board, results: RowStore) -> None:
    add_method(results, "brittle", forget=0.1)
    attack(results, "brittle", 0.0, retain=0.3)
    assert not sent(board, results).problems
    brittle = standing(board, "brittle")
    assert brittle.rank is None
    assert f"retain.exact_match under {ATTACK} (4 bits)" in (brittle.why_not or "")
    assert brittle.verdict == "broken"


def test_who_was_asked_less_under_an_attack_is_refused(board: Board, results: RowStore) -> None:
    add_method(results, "spared", forget=0.1)
    attack(results, "spared", 0.1, change=lambda records: records[1:])
    problems = [str(each) for each in sent(board, results).problems]
    assert any(f"other questions under {ATTACK} than its reference" in each for each in problems)


def test_attacked_rows_are_computed_again_from_their_samples(board: Board, results: RowStore) -> None:
    add_method(results, "liar", forget=0.1)
    attack(results, "liar", 0.9)
    row = next(row for row in results.read() if row.attack and row.method.name == "liar")
    name = "forget@4 bits.exact_match"
    better = row.metrics | {name: row.metrics[name].model_copy(update={"value": 0.0})}
    results.append(row.model_copy(update={"metrics": better}))
    problems = [str(each) for each in sent(board, results).problems]
    assert any(f"{name}.value is 0.0, and its samples give" in each for each in problems)


def test_models_that_are_there_attacked_alone_are_refused(board: Board, results: RowStore) -> None:
    add_method(results, "ghost", forget=0.1)
    attack(results, "ghost", 0.1)
    kept = [line for line in results.rows.read_text().splitlines() if '"ghost"' not in line or '"attack":{' in line]
    results.rows.write_text("\n".join(kept) + "\n")
    found = sent(board, results)
    assert not found.problems
    assert all("ghost" not in str(row.method.name) for path in board.submissions for row in read(path).rows)


def test_an_attack_is_prescribed_by_version_and_parameters_and_nothing_else(tmp_path: Path) -> None:
    odd = DEFINITION.replace("[references]", "[attacks.quantise]\nspeed = 3\n[references]")
    with pytest.raises(DataError, match=r"attacks\.quantise\.speed"):
        read_board(board_in(tmp_path / "odd", odd))


def test_who_was_attacked_more_gently_than_the_references_is_refused(tmp_path: Path, results: RowStore) -> None:
    """Also where the leaderboard leaves a parameter open."""
    open_rule = RULE.replace("params = { group = 32 }\n", "")
    board = read_board(board_in(tmp_path / "open" / "made-up", open_rule))
    add_method(results, "spared", forget=0.1)
    attack(results, "spared", 0.1, group=128)
    problems = [str(each) for each in sent(board, results).problems]
    assert any("attack.params.group is 128, and of its reference 32" in each for each in problems)


def test_a_variant_that_is_not_named_is_not_hidden(board: Board, results: RowStore) -> None:
    add_method(results, "hiding", forget=0.1)
    attack(results, "hiding", 0.0, retain=0.3, variants=["8 bits"])
    problems = [str(each) for each in sent(board, results).problems]
    assert any("attack.variants does not name '4 bits', of which there are samples" in each for each in problems)


def test_an_attack_that_says_it_takes_more_than_it_does_is_refused(board: Board, results: RowStore) -> None:
    add_method(results, "modest", forget=0.1)
    attack(results, "modest", 0.1, access="prompt")
    wanted = f"attack.access is prompt, and of {ATTACK} it is weights-write"
    assert any(wanted in why for why in sent(board, results).left_out)


def test_a_question_that_was_put_under_another_person_is_refused(board: Board, results: RowStore) -> None:
    def elsewhere(records: list[Any]) -> list[Any]:
        return [{**records[0], "attribute": "another"}, *records[1:]]

    add_method(results, "moved", forget=0.1)
    attack(results, "moved", 0.1, change=elsewhere)
    problems = [str(each) for each in sent(board, results).problems]
    assert any("attribute is not as in the reference's" in each for each in problems), problems


@pytest.mark.parametrize("name", ["people", "questions"])
def test_an_attack_that_says_it_was_aimed_at_more_is_refused(board: Board, results: RowStore, name: str) -> None:
    add_method(results, "boasts", forget=0.1)
    attack(results, "boasts", 0.1)
    for row in [row for row in results.read() if row.attack and row.method.name == "boasts"]:
        results.append(row.model_copy(update={"attack": row.attack.model_copy(update={name: 1000})}))
    problems = [str(each) for each in sent(board, results).problems]
    assert any(f"attack.{name} is 1000" in each for each in problems), problems


def test_one_attacked_model_under_several_seeds_is_refused(board: Board, results: RowStore) -> None:
    add_method(results, "once", forget=0.1)
    attack(results, "once", 0.1)
    first, *others = [row for row in results.read() if row.attack and row.method.name == "once"]
    for row in others:
        results.append(row.model_copy(update={"samples": first.samples, "metrics": first.metrics}))
    problems = [str(each) for each in sent(board, results).problems]
    assert any(f"under {ATTACK} has the very samples of seed {first.seed}" in each for each in problems), problems


def test_an_attack_in_two_settings_is_one_too_many(tmp_path: Path, results: RowStore) -> None:
    board = read_board(board_in(tmp_path / "open" / "made-up", RULE.replace("params = { group = 32 }\n", "")))
    add_method(results, "twice", forget=0.1)
    attack(results, "twice", 0.1)
    attack(results, "twice", 0.1, group=128)
    problems = [str(each) for each in sent(board, results).problems]
    assert any(f"is there under {ATTACK} in several settings: keep one" in each for each in problems)
