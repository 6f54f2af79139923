"""The times that `plan --memory` tells: near what was measured, and what rows tell where there are any."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs.plan_times import FILES, RESULTS, pieces
from tests.processes import run as unlearnbench
from tests.results.conftest import FIELDS
from unlearnbench import Footprint, Workload
from unlearnbench.config import RunConfig
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import Estimate, Machine, answering, weighing
from unlearnbench.engine.memory.measured import Measured
from unlearnbench.engine.memory.training import training
from unlearnbench.models.files.source import card_for
from unlearnbench.results.row import Row
from unlearnbench.training.params import BaseParams


@pytest.mark.parametrize("name", FILES)
def test_times_are_within_a_factor_of_two_of_every_piece_that_was_measured(name: str) -> None:
    found = list(pieces(RESULTS / name))
    report = json.loads((RESULTS / name).read_text())
    kinds = {"models": 10, "evaluation": 2, "base": 1, "lora": 1, "cagul": 1}
    assert len(found) == sum(of * len(report.get(kind, ())) for kind, of in kinds.items())
    far = {each[:3]: each.counted / each.measured for each in found if not 0.5 < each.counted / each.measured < 2}
    assert not far


def test_a_step_of_few_tokens_takes_what_starting_its_blocks_does() -> None:
    """40 blocks forwards, again, and backwards, which is two, with an adapter each three times as many kernels."""
    llama, machine = counts(card_for("llama-3.2-11b-vision")), Machine(1, None, "H200")
    made = Footprint(samples=1, rank=1, gradient_checkpointing=True)
    starting = 40 * (1 + 1 + 2) * 3 * 0.9e-3
    took = training("", llama, made, machine, Workload(pictures=0, prompt=1, answer=1)).seconds
    assert starting < took < starting + 0.05


def test_an_answer_is_given_token_by_token_and_weighed_in_one_pass() -> None:
    qwen, machine = counts(card_for("qwen2.5-vl-7b")), Machine(1, None, "H200")
    work = Workload(pairs=32, pictures=2)
    said = answering(qwen, machine, work, 16, longest=50)
    assert said - weighing(qwen, machine, work, 16) == pytest.approx(2 * 50 * 28 * 0.9e-3)
    assert answering(qwen, machine, work, 32, longest=50) < 0.6 * said
    assert answering(qwen, Machine(2, None, "H200"), work, 16, longest=50) == pytest.approx(said / 2)


def test_processes_share_operations_and_batches_but_each_starts_all_blocks() -> None:
    llama = counts(card_for("llama-3.2-11b-vision"))
    made = Footprint(samples=320, batch_size=32, full=True)
    one, four = (training("", llama, made, Machine(n, None, "H200"), Workload(pictures=0)).seconds for n in (1, 4))
    assert one / 4 < four < one
    parts = Footprint(samples=320, batch_size=32, micro_batch_size=1, full=True)
    assert training("", llama, parts, Machine(1, None, "H200"), Workload(pictures=0)).seconds > 2 * one


WORDS = ["plan", "--memory", "--json", "--method", "finetune,ga", "--model", "tiny-qwen2.5-vl", "--device", "cpu"]


def planned(*words: str) -> dict[str, dict[str, Any]]:
    """What is told of each stage."""
    done = unlearnbench(*WORDS, *words)
    return {each["stage"]: each for each in json.loads(done.stdout)}


def rows(**changes: Any) -> str:
    """A line of a results folder: one of the command's model, with some fields changed."""
    return json.dumps(FIELDS | {"samples": None} | changes) + "\n"


def test_seconds_of_rows_of_such_a_machine_go_before_counted_ones(tmp_path: Path) -> None:
    """In proportion to epochs; of other devices, models, processes and ways of asking nothing is taken."""
    ascent = {"name": "ga", "version": "1", "origin": "here", "params": {"epochs": 3}}
    base = {"kind": "full", "params": {"epochs": 30}, "cost": {"train_seconds": 100.0}}
    elsewhere = [
        {"environment": FIELDS["environment"] | {"device": "NVIDIA H200"}},
        {"environment": FIELDS["environment"] | {"processes": 2}},
        {"model": FIELDS["model"] | {"name": "tiny-mllama"}},
        {"method": ascent | {"params": {"epochs": "many"}}},
    ]
    lines = [{"cost": {"train_seconds": 7.0, "eval_seconds": seconds}} for seconds in (2.0, 4.0, 3.0)]
    lines += [{"cost": {"train_seconds": 7e3, "eval_seconds": 3.0}} | other for other in elsewhere]
    plainly = FIELDS["environment"] | {"exact": True}
    lines += [{"cost": {"train_seconds": 7.0, "eval_seconds": 9e3}, "environment": plainly}] * 2
    made = (rows(**({"method": ascent, "base": base} | each)) for each in lines)
    (tmp_path / "rows.jsonl").write_text("".join(made))
    words = ["--results", str(tmp_path), "--task", "fiubench", "--set", "ga.epochs=6"]
    found = planned(*words)
    assert {name: each["measured"] for name, each in found.items()} == dict.fromkeys(found, True)
    assert {name: each["seconds"] for name, each in found.items()} == {"base": 200.0, "ga": 14.0, "evaluation": 3.0}
    counted = planned(*words, "--results", str(tmp_path / "none"))
    assert not any(each["measured"] for each in counted.values())
    assert [each["at_most"] for each in counted.values()] == [True, True, False]
    assert [each["parts"].keys() for each in counted.values()] == [each["parts"].keys() for each in found.values()]
    more = planned(*words, "--task", "pope")
    assert (more["ga"]["measured"], more["evaluation"]["measured"]) == (True, False)  # one was never asked


@pytest.mark.parametrize(
    "base",
    [
        {"params": {"optimiser": "of a later version"}, "cost": {"train_seconds": 9.0}},
        {"params": None, "cost": {"train_seconds": 9.0}},
        {"cost": {"train_seconds": 9.0}},
        *(
            {"params": {}, "cost": cost}
            for cost in (None, [], {}, *({"train_seconds": x} for x in ("9", -9, math.nan)))
        ),
    ],
)
def test_what_a_row_says_of_a_base_may_be_anything(base: dict[str, Any]) -> None:
    told = Row.model_validate_json(rows(base={"kind": "full"} | base))
    card = card_for("tiny-qwen2.5-vl")
    measured = Measured([told], card.name, Machine(1, None, "cpu"), counts(card), Workload())
    made = [Estimate("base", {}, 5.0, Machine(1, None, "cpu"))]
    assert measured.told(made, RunConfig(methods=["ga"], models=[card.name]), BaseParams(), {}) == made
