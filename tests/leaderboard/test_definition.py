"""Reading leaderboard.toml, and finding leaderboards by name."""

from pathlib import Path

import pytest

from tests.leaderboard.made_up import DEFINITION, board_in, definition
from unlearnbench.errors import DataError, UsageError
from unlearnbench.leaderboard.definition import find, known, read_board

SEEDLESS = f'[tasks.fiubench.split.digest]\n0 = "{"a" * 64}"\n1 = "{"b" * 64}"\n[tasks.pope]'
"""Nothing would be asked of the people of seed 2."""

ROOT = Path(__file__).parents[2]


def test_the_shipped_leaderboards_are_sound_and_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {*known()} == {"private-attributes-tiny", "fiubench-qwen2.5-vl-7b", "fiubench-llama-3.2-11b-vision"}
    for name in known():
        assert find(name).definition.seeds == (0, 1, 2)


def test_those_without_rows_hold_no_number():
    assert not find("fiubench-qwen2.5-vl-7b").submissions
    assert not find("fiubench-llama-3.2-11b-vision").submissions


def test_one_here_goes_before_one_that_ships(tmp_path, monkeypatch):
    board_in(tmp_path / "leaderboards" / "private-attributes-tiny")
    monkeypatch.chdir(tmp_path)
    assert find("private-attributes-tiny").definition.title == "Made up"
    assert find("leaderboards/private-attributes-tiny").definition.title == "Made up"


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(UsageError, match="did you mean 'private-attributes-tiny'"):
        find("private-attribute-tiny")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema_version = 2", "schema_version = 1", "schema_version: Input should be 2"),
        ('title = "Made up"', "", "title: Field required"),
        ("seeds = [0, 1, 2]", "seeds = []", "seeds"),
        ("seeds = [0, 1, 2]", "seeds = [0, 0]", "seeds: one of them stands there twice"),
        ("seeds = [0, 1, 2]", "minimum_seeds = 2", "seeds"),
        ("seeds = [0, 1, 2]", "seeds = ", "cannot be read"),
        ("seeds = [0, 1, 2]", "seeds = [0, true]", "seeds.1"),
        ("seeds = [0, 1, 2]", "seeds = [0, -1]", "seeds.1"),
        ("at_least = 0.9", "at_least = 0", "ranking.memorised.at_least"),
        ("at_least = 0.9", "at_least = 90", "ranking.memorised.at_least"),
        ("[ranking]", "[ranking]\nwidest = 9", "ranking.widest"),
        ('"forget.fluency" = 0.1', '"forget.fluency" = 5', "ranking.conditions.forget.fluency"),
        ('"forget.fluency" = 0.1', '"forget.ape" = 0.1', r"forget\.ape is in a level and a condition"),
        ('ideal = "retrain"', 'ideal = "finetune"', "references: a method stands there twice"),
        ('ideal = "retrain"', 'ideal = ""', "references.ideal"),
        ("text = [", "text = []\nspoken = [", "ranking.levels.text"),
        ("at_least = 0.9", "at_least = nan", "at_least"),
        ('"forget.ape"]', '"forget.wit"]', r"the ranking uses forget\.wit, which has no \[\[columns\]\] entry"),
        ('direction = "higher"', 'direction = "sideways"', "columns.7.direction"),
        ('direction = "higher"', 'direction = "neither"', "is a condition, and its column says that neither"),
        ('metric = "forget.ape"\n', 'metric = "forget.exact_match"\n', "which has no|have the same metric"),
        ("[tasks.pope]", SEEDLESS, r"tasks\.fiubench\.split\.digest must have a digest of each of the seeds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    text = definition()
    assert old in text
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "leaderboard.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_board(folder)


def test_a_folder_whose_name_could_not_be_an_address(tmp_path):
    with pytest.raises(DataError, match="rename it"):
        read_board(board_in(tmp_path / "Upper Case", DEFINITION))
    with pytest.raises(DataError, match=r"other than assets, index\.html, pictures: rename it"):
        read_board(board_in(tmp_path / "assets", DEFINITION))
    with pytest.raises(DataError, match="missing"):
        read_board(tmp_path)
