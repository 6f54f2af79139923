"""``--data``: of all tasks, or of one."""

from typing import Any

import pytest

from unlearnbench.cli.parts.grid import GridOptions
from unlearnbench.config import RunConfig
from unlearnbench.errors import UsageError


def configured(**options: Any) -> RunConfig:
    return GridOptions(method=["cagul"], model=["tiny-qwen2.5-vl"], **options).config()


@pytest.mark.parametrize(
    ("options", "whole", "single"),
    [
        (None, None, {}),
        (["hub"], "hub", {}),
        (["mme=/data/MME"], None, {"mme": "/data/MME"}),
        (["mme=hub", "people", "pope=a=b"], "people", {"mme": "hub", "pope": "a=b"}),
        (["mme=hub", "mme=hub"], None, {"mme": "hub"}),
        (["runs/lr=3"], "runs/lr=3", {}),  # a path may have an equals sign
    ],
)
def test_sources_of_all_tasks_and_of_one(options: list[str] | None, whole: str | None, single: dict[str, str]) -> None:
    config = configured(data=options)
    assert (config.data, config.data_of) == (whole, single)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a", "b"], "--data b: --data a is given already; write TASK=SOURCE for a single task"),
        (["mme=a", "mme=b"], "--data mme=b: --data mme=a is given already"),
    ],
)
def test_two_sources_for_one_thing_are_refused(options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configured(data=options)


def test_a_limit_is_part_of_the_run() -> None:
    assert (configured(limit=84).limit, configured().limit) == (84, None)
