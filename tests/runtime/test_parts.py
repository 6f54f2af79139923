"""Answers in parts: as many at a time, each in its place, and none twice."""

from collections.abc import Sequence

import pytest

from tests.journals import Remembers
from unlearnbench.runtime import distributed
from unlearnbench.runtime.run import Run


def test_what_was_answered_before_a_kill_is_not_asked_again() -> None:
    journal, asked = Remembers(), list[Sequence[int]]()

    def squares(part: Sequence[int]) -> list[int]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(part)
        return [each**2 for each in part]

    run = Run(journal=journal)
    with pytest.raises(KeyboardInterrupt):
        run.in_parts("squares", range(7), 3, lambda each: ["square", each], squares)
    assert [[*part] for part in asked] == [[0, 1, 2], [3, 4, 5]]
    asked.clear()
    found = run.in_parts("squares", range(7), 3, lambda each: ["square", each], squares)
    assert found == [0, 1, 4, 9, 16, 25, 36]
    assert [[*part] for part in asked] == [[6]]
    assert run.in_parts("nothing", [], 3, str, squares) == []


def test_processes_share_out_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[list[list[int]]] = []

    def gathered(value: list[list[int]]) -> list[list[list[int]]]:
        own.append(value)
        return own

    monkeypatch.setattr(distributed, "processes", lambda: 2)
    monkeypatch.setattr(distributed, "gathered", gathered)
    for place in (0, 1):
        monkeypatch.setattr(distributed, "place", lambda place=place: place)
        found = Run().in_parts("itself", range(5), 2, str, list)
    assert own == [[[0, 1], [4]], [[2, 3]]]
    assert found == [0, 1, 2, 3, 4]
