"""What `docs/models.md` shows of a model's inside runs, and gives what it says."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def test_looking_inside() -> None:
    found: dict[str, Any] = {}
    (code,) = re.findall(r"(?ms)^## Looking inside\n\n```python\n(.*?)^```$", PAGE)
    exec(compile(code, "models.md", "exec"), found)
    tokens = found["batch"].answer_mask.sum(1).tolist()
    assert [state.shape for state in found["states"]] == [(count, found["model"].width) for count in tokens]
    assert [len(each.std) for each in found["facts"]] == tokens
    assert len(found["drawn"]) == 2
    blocks = re.findall(r"# (language.*)", code)[0]
    names = [*found["model"].blocks()]
    assert blocks == f"{names[0]} to {names[3]}, {', '.join(names[4:])}"
