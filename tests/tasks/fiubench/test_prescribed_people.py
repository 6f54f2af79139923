"""The leaderboards of FIUBench prescribe the paper's forty people, whichever split.json lies beside the data."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.leaderboard.definition import find


def printed(folder: Path, forget: str) -> dict[str, object]:
    said = CliRunner().invoke(app, ["leaderboard", "split", "--data", str(folder), "--forget", forget])
    assert said.exit_code == 0, said.output
    found: dict[str, object] = tomllib.loads(said.stdout)["tasks"]["fiubench"]["split"]
    return found


@pytest.mark.parametrize("board", ["fiubench-qwen2.5-vl-7b", "fiubench-llama-3.2-11b-vision"])
def test_forty_people_are_the_prescribed_ones_with_either_file(real_github: Path, real_hf: Path, board: str) -> None:
    rule = find(board).definition.tasks["fiubench"].split
    assert rule is not None
    for folder in (real_github, real_hf):
        found = printed(folder, "40")
        assert found["digest"] == rule.digest
        assert (found["identities"], found["of"]) == (rule.identities, rule.of)
    assert printed(real_github, "forget10")["digest"] == rule.digest
    assert printed(real_hf, "forget10")["digest"] != rule.digest  # the hub's sixty
