"""A few of the kills that `tests.torture.kill` deals out by the dozen."""

from pathlib import Path

import pytest

from tests.torture.kill import torture


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_are_the_same_after_kills(tmp_path: Path) -> None:
    struck = torture(tmp_path, kills=5, seed=1, longest=12.0, models=("tiny-qwen2.5-vl",), methods="finetune,cagul")
    assert sum(struck.values()) == 5
