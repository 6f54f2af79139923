"""A made-up leaderboard and results to send to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard.made_up import add_references, board_in
from unlearnbench.leaderboard.add import Added, add
from unlearnbench.leaderboard.definition import Board, read_board
from unlearnbench.results.store import RowStore


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """One without rows."""
    return read_board(board_in(tmp_path / "boards" / "made-up"))


@pytest.fixture
def results(tmp_path: Path) -> RowStore:
    """A results folder with both references."""
    store = RowStore(tmp_path / "results")
    store.check_writable()
    add_references(store)
    return store


@pytest.fixture
def sent(board: Board, results: RowStore) -> Callable[..., Added]:
    """Send what the results hold to the leaderboard."""

    def send(name: str = "first") -> Added:
        return add(board, results, board.rows / f"{name}.jsonl")

    return send
