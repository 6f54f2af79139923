"""A made-up leaderboard and results to send to it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard.made_up import add_method, add_references, board_in
from unlearnbench.leaderboard.add import Added, add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import Board, read_board
from unlearnbench.results.store import RowStore


def new_results(folder: Path) -> RowStore:
    """An empty results folder."""
    folder.mkdir()
    store = RowStore(folder)
    store.check_writable()
    return store


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """One without rows."""
    return read_board(board_in(tmp_path / "boards" / "made-up"))


@pytest.fixture
def results(tmp_path: Path, once: Callable[..., Path]) -> RowStore:
    """A results folder with both references."""
    written = once("references", lambda folder: add_references(new_results(folder)))
    return RowStore(shutil.copytree(written, tmp_path / "results"))


@pytest.fixture
def sent(board: Board, results: RowStore) -> Callable[..., Added]:
    """Send what the results hold to the leaderboard."""

    def send(name: str = "first") -> Added:
        return add(board, results, board.rows / f"{name}.jsonl")

    return send


@pytest.fixture
def sound(board: Board, results: RowStore, once: Callable[..., Path]) -> Board:
    """A leaderboard with one submission of three methods, nothing wrong; the results have them all."""

    def write(folder: Path) -> None:
        here, store = read_board(board_in(folder / "made-up")), RowStore(shutil.copytree(results.folder, folder / "r"))
        add_method(store, "half", forget=0.5)
        assert not add(here, store, here.rows / "first.jsonl").problems
        assert check(here) == []

    written = once("sound", write)
    shutil.copytree(written / "made-up", board.folder, dirs_exist_ok=True)
    shutil.copytree(written / "r", results.folder, dirs_exist_ok=True)
    return board
