"""Files that are packed as a whole: read as others are, written where a leaderboard's are so, and limited."""

import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard.made_up import add_method
from unlearnbench.errors import DataError
from unlearnbench.leaderboard import submission
from unlearnbench.leaderboard.add import add, default_name
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import Board, read_board
from unlearnbench.leaderboard.standings import Table, tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.unpacking import LARGEST_DICTIONARY, unpacked

JOINED = "all.jsonl.xz"


def table_of(board: Board) -> Table:
    (table,) = tables(board, [read(path) for path in board.submissions])
    return table


@pytest.fixture
def packed(sound: Board, results: RowStore, once: Callable[..., Path], tmp_path: Path) -> Board:
    """The sound leaderboard, its rows joined with those of one method more in a packed file."""

    def write(folder: Path) -> None:
        add_method(results, "more", forget=0.3)
        board = read_board(Path(shutil.copytree(sound.folder, folder / "made-up")))
        assert not add(board, results, board.rows / JOINED, replace=[board.rows / "first.jsonl"]).problems
        shutil.copytree(results.folder, folder / "results")

    written = once("packed", write)
    return read_board(Path(shutil.copytree(written / "made-up", tmp_path / "packed" / "made-up")))


def test_a_packed_file_holds_what_the_files_held_that_it_replaces(packed: Board, results: RowStore) -> None:
    (path,) = packed.submissions
    assert (path.name, read(path).name) == (JOINED, "all")
    assert lzma.decompress(path.read_bytes()).startswith(b'{"submission":4,')
    assert check(packed) == []
    methods = {standing.line.method: standing for standing in table_of(packed).standings}
    assert {*methods} == {"finetune", "retrain", "half", "more"}
    found, row = read(path), next(row for row in results.read() if row.method.name == "half")
    assert found.samples(row) == results.read_samples(row)  # those that stood in the plain file
    assert default_name(packed, [results], ["more"]).endswith(".jsonl.xz")


def test_what_was_changed_in_a_packed_file_is_noticed(packed: Board) -> None:
    (path,) = packed.submissions
    text = lzma.decompress(path.read_bytes())
    path.write_bytes(lzma.compress(text.replace(b'"prediction":"Yes"', b'"prediction":"No"', 1), preset=0))
    problems = [str(each) for each in check(packed)]
    assert any("changed since it was written" in each and JOINED in each for each in problems)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[: len(data) // 2], "is cut short"),
        (lambda data: data + b"more", "has something behind its end"),
        (lambda data: b"no xz at all", "cannot be unpacked"),
        (
            lambda data: lzma.compress(lzma.decompress(data).replace(b'"lines":', b'"lines":9', 1), preset=0),
            "no samples",
        ),
        (lambda data: lzma.compress(bytes(submission.LONGEST_LINE + 2), preset=0), "a line of more than 32 MiB"),
        (lambda data: lzma.compress(b"{}\n" * 2**22, preset=0), "neither a row nor a summary nor samples"),
    ],
)
def test_packed_files_that_are_none_or_too_large_are_named(
    packed: Board, spoil: Callable[[bytes], bytes], why: str
) -> None:
    (path,) = packed.submissions
    path.write_bytes(spoil(path.read_bytes()))
    problems = [str(each) for each in check(packed)]
    assert any(why in each and each.startswith(JOINED) for each in problems)


def test_a_file_may_not_unpack_to_more_than_so_much(packed: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "LARGEST_FILE", 2**20)
    (path,) = packed.submissions
    assert f"{JOINED}: unpacks to more than 1 MiB" in str(read(path).problems[0])


def test_a_file_may_not_ask_for_gigabytes_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "greedy.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 4 * LARGEST_DICTIONARY, "preset": 0}]
    path.write_bytes(lzma.compress(b"x", filters=filters))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpacked(path, 1000)
