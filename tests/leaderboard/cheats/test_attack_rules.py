"""What is asked of attacked rows beside the numbers: controls, guards, versions, and variants that only some have."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.leaderboard.cheats.attacking import ATTACK, RULE, attack, sent, standing
from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import add_method, add_references, board_in
from unlearnbench.cli.leaderboard import drawing
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import Board, read_board
from unlearnbench.leaderboard.rules import problems
from unlearnbench.leaderboard.site.build import build_site
from unlearnbench.leaderboard.standings import Table, tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.metrics.direction import tells_more
from unlearnbench.registry import attacks
from unlearnbench.results.store import RowStore

FURTHER = {"variant": "closed", "set": "forget"}


def board_of(folder: Path, rule: str = RULE) -> Board:
    return read_board(board_in(folder / "boards" / "made-up", rule))


def attacked(folder: Path, **told: Any) -> RowStore:
    """Both references, and a method of frozen weights which keeps most of what was to be kept under the attack."""
    store = new_results(folder / "results")
    add_references(store)
    add_method(store, "slow", forget=0.1, frozen=True)
    for method, forget, retain in (("finetune", 1.0, 1.0), ("retrain", 0.1, 1.0), ("slow", 0.1, 0.93)):
        attack(store, method, forget, retain, **(told if method == "slow" else {}))
    return store


@pytest.fixture
def sound_board(tmp_path: Path, once: Callable[..., Path]) -> Board:
    """One with these rows, nothing wrong."""

    def write(folder: Path) -> None:
        assert not sent(board_of(folder), attacked(folder)).problems

    return read_board(once("attacked board", write) / "boards" / "made-up")


def table_of(board: Board) -> Table:
    (table,) = tables(board, [read(path) for path in board.submissions])
    return table


def test_a_control_that_the_method_alone_fails_leaves_its_level_untold_and_breaks_nothing(
    sound_board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert standing(sound_board, "slow").verdict == "erased"
    assert standing(sound_board, "slow").rank == 1
    monkeypatch.setattr(attacks.get(ATTACK), "controls", {"retain@4 bits.exact_match": 0.99})
    slow = standing(sound_board, "slow")
    assert (slow.verdict, slow.rank, slow.keeps_utility) == ("inconclusive", None, True)
    assert f"{ATTACK} tells nothing (retain@4 bits.exact_match fails)" in (slow.why_not or "")
    assert [*slow.levels] == ["text", "logits"]  # nobody is praised for what could not be looked at
    assert "weights-write attacks" in table_of(sound_board).levels  # the references pass


def test_a_control_that_fails_in_the_references_counts_against_nobody(
    sound_board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks.get(ATTACK), "controls", {"retain.never_measured": 0.5})
    table, slow = table_of(sound_board), standing(sound_board, "slow")
    assert (slow.rank, slow.verdict) == (1, "erased")
    assert "retain.never_measured fails in the references" in table.accesses.untold[ATTACK]
    assert "weights-write attacks" not in table.levels


def test_an_attack_that_counts_on_both_sides_ranks_and_unranks_nobody(
    sound_board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = attacks.get(ATTACK)
    monkeypatch.setattr(kind, "two_sided", True)
    monkeypatch.setattr(kind, "controls", {"retain@4 bits.exact_match": 0.99})
    slow = standing(sound_board, "slow")
    assert (slow.rank, [*slow.levels]) == (1, ["text", "logits"])


def test_who_has_more_variants_than_its_references_may_be_sent_and_no_fewer(tmp_path: Path) -> None:
    """An audit of a gate asks a model with a gate what it asks of no other."""
    add = lambda records: [*records, *({**each, **FURTHER} for each in records[:5])]  # noqa: E731
    board, results = board_of(tmp_path), attacked(tmp_path, change=add, variants=["4 bits", "closed"])
    assert not sent(board, results).problems
    assert check(board) == []
    assert standing(board, "slow").rank == 1
    add_method(results, "spared", forget=0.1)
    attack(results, "spared", 0.1, change=lambda records: add(records[1:]), variants=["4 bits", "closed"])
    assert any("other questions" in str(each) for each in sent_as(board, results, "second"))


def sent_as(board: Board, results: RowStore, name: str) -> list[object]:
    from unlearnbench.leaderboard.add import add

    return [*add(board, results, board.rows / f"{name}.jsonl").problems]


def test_a_reference_that_is_only_shown_need_not_be_attacked(tmp_path: Path) -> None:
    board = board_of(tmp_path, RULE.replace("[ranking]", 'also = ["pretrain"]\n[ranking]', 1))
    results = attacked(tmp_path)
    add_method(results, "pretrain", forget=0.1, role="reference")
    assert not sent(board, results).problems
    assert [*standing(board, "pretrain").levels] == ["text", "logits"]
    assert len(standing(board, "slow").levels) == 3


def test_a_prescribed_guard_is_asked_of_those_alone_that_have_one(tmp_path: Path) -> None:
    board = board_of(tmp_path, RULE.replace("group = 32", 'group = 32, guard = "off"'))
    results = attacked(tmp_path)
    assert any("attack.params.guard is" in why and "wants" in why for why in sent(board, results).left_out)
    assert {row.method.name for path in board.submissions for row in read(path).rows} == {"finetune", "retrain"}


def test_rows_of_another_version_and_of_an_unknown_attack_are_named(
    sound_board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions = [read(path) for path in sound_board.submissions]
    monkeypatch.setattr(attacks.get(ATTACK), "version", "77")
    found = [str(each) for each in problems(sound_board, submissions)]
    assert len(found) == 9  # each attacked row, and none of the others
    assert any("slow seed 1 under quantise: made by version 1" in each and "run it again" in each for each in found)


def test_pages_say_what_was_tried_and_what_came_back(sound_board: Board, tmp_path: Path) -> None:
    submissions = [read(path) for path in sound_board.submissions]
    build_site([(sound_board, submissions, tables(sound_board, submissions))], tmp_path / "site", None, drawing())
    index = (tmp_path / "site" / "made-up" / "index.html").read_text()
    assert f"Tried: {ATTACK} (weights-write); of what was forgotten came back: nothing that" in index
    page = next((tmp_path / "site" / "made-up" / "entries").glob("slow-*.html")).read_text()
    assert "What came back under attack" in page
    assert re.search(r"logits 0\.9\d\d ± ", page)  # it knows as little as the retrained model does, attacked or not
    nothing = next((tmp_path / "site" / "made-up" / "entries").glob("finetune-*.html")).read_text()
    assert "leaked without any attack, and attacked gave away: 100% [100%, 100%] under quantise" in nothing


def test_a_dotted_name_of_an_attack_hides_no_metric() -> None:
    assert tells_more("my.attack (60 steps): forget.exact_match") is tells_more("forget.exact_match") is True
