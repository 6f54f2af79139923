"""`benchmarks.speed` in small: equal results are asserted by it, operations are those that a formula gives."""

import argparse
import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import LARGE
from benchmarks.speed import generation, growth, training
from benchmarks.speed.__main__ import at_full_size
from benchmarks.speed.case import Case
from benchmarks.speed.evaluation import compared
from benchmarks.speed.measure import Clock, compare
from benchmarks.speed.table import tables

TINY = ["tiny-qwen2.5-vl", "tiny-mllama"]


def test_operations_are_counted_forwards_and_backwards() -> None:
    weight = torch.rand(30, 40, requires_grad=True)
    with Clock(torch.device("cpu"), counting=True) as clock:
        (torch.rand(20, 30) @ weight).sum().backward()  # type: ignore[no-untyped-call]
    assert clock.operations == 2 * 20 * 30 * 40 * 2  # the product and the weight's gradient


def test_operations_of_attention_are_counted() -> None:
    query, key, value = (torch.rand(2, 3, length, 8, requires_grad=True) for length in (5, 7, 7))
    with Clock(torch.device("cpu"), counting=True) as clock:
        torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert clock.operations == 2 * (2 * 3 * 5 * 7 * 8) * 2  # scores, and what they weigh


def test_operations_of_attention_are_counted_where_queries_share_a_key() -> None:
    query, key, value = (torch.rand(2, heads, 5, 8, requires_grad=True) for heads in (6, 2, 2))
    with Clock(torch.device("cpu"), counting=True) as clock:
        said = torch.nn.functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        forward = 2 * (2 * 6 * 5 * 5 * 8) * 2
        said.sum().backward()  # type: ignore[no-untyped-call]
    assert clock.operations in (forward * 3, forward * 3.5)  # with the scores computed anew, or kept


def test_a_way_is_timed_where_its_clock_runs() -> None:
    def way(clock: Clock) -> str:
        torch.rand(64, 64) @ torch.rand(64, 64)
        with clock:
            torch.rand(8, 8) @ torch.rand(8, 8)
        return "done"

    lines, found = compare({"one": way}, 2, torch.device("cpu"), 1e9)
    assert found == {"one": "done"}
    assert lines["one"]["tflop"] == round(2 * 8**3 / 1e12, 5)


@pytest.mark.parametrize("name", TINY)
def test_all_ways_of_asking_agree(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.evaluation.NEW_TOKENS", 8)
    found = compared(Case(name, tmp_path, 2, 3, 196), 1, 1e11)
    assert found["generation"]["equal_answers"] == 1
    assert found["likelihoods"]["largest_difference"] < 1e-4
    for what in ("generation", "likelihoods"):
        plain, *_, fast = found[what]["ways"].values()
        assert plain["tflop"] > fast["tflop"] > 0


@pytest.mark.parametrize("full", [True, False], ids=["full", "lora"])
@pytest.mark.parametrize("name", TINY)
def test_the_plain_loop_of_an_epoch_gives_the_same_weights(name: str, full: bool, tmp_path: Path) -> None:
    found = training.compared(Case(name, tmp_path, 2, 8, 196), 1, 1e11, full=full, epochs=2)
    assert found["largest_difference"] < 1e-5
    plain, fast = found["ways"].values()
    assert plain["tflop"] > fast["tflop"] > 0


@pytest.mark.parametrize("name", TINY)
def test_packed_epochs_give_the_weights_of_the_plain_loop_for_less(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under checkpointing, 8 questions about each of 2 pictures in a batch; memory is left to real sizes."""
    monkeypatch.setattr(training, "alone", lambda *_: 1)
    found = training.compared(Case(name, tmp_path, 2, 8, 196), 1, 1e11, full=True, batch_size=16, questions=8)
    assert found["largest_difference"] < training.PACKED_PRECISION
    plain, fast = found["ways"].values()
    assert plain["tflop"] > (2 if name == TINY[0] else 1.2) * fast["tflop"]


def test_every_further_question_costs_the_same(tmp_path: Path) -> None:
    """Operations are deterministic: asked as many at a time, four times the questions take at most four times as many.

    Of questions in an order of length some need less padding.
    """
    counted = []
    for times in (1, 2, 4):
        case = Case("tiny-qwen2.5-vl", tmp_path, 1, 20 * times, 196)
        with Clock(case.device, counting=True) as clock:
            growth.asked(case)
        counted.append(clock.operations)
    assert counted[2] <= 4 * counted[0]
    assert counted[2] - counted[1] == pytest.approx(2 * (counted[1] - counted[0]), rel=0.1)


@pytest.mark.usefixtures("small_shapes")
def test_real_shapes_go_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in bfloat16; what is said is of equal length. Real resolutions are in `test_gpu_benchmark`."""
    monkeypatch.setattr("benchmarks.speed.__main__.FACE", 448)
    monkeypatch.setattr("benchmarks.speed.evaluation.NEW_TOKENS", 2)
    monkeypatch.setattr("benchmarks.speed.__main__.BATCH", 1)
    options = argparse.Namespace(questions=2, repeats=1, dtype=torch.bfloat16, models=",".join(LARGE))
    parts = at_full_size(options, tmp_path, 1e11, "cpu")
    assert parts.keys() == {"evaluation", "lora", "packed lora", "growth"}
    assert parts["evaluation"][0]()["visual_tokens"] == (448 // 28) ** 2
    assert parts["lora"][1]()["visual_tokens"] == 4 * 1601


@pytest.mark.usefixtures("small_shapes")
@pytest.mark.parametrize("name", LARGE)
def test_a_tokens_time_stands_beside_its_floor(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At shapes cut down to nothing, in float32, in which both ways' answers are equal."""
    monkeypatch.setattr(generation, "NEW_TOKENS", 3)
    monkeypatch.setattr(generation, "REPEATS", 1)
    case = Case(name, tmp_path, 1, 3, 448, "cpu", torch.float32)
    found = generation.measured(case, len(case.queries), 1e10)
    assert found["ways"].keys() == {"growing cache", "static cache"}
    layers = case.model.language_model().layers
    own = sum(parameter.nbytes for parameter in (*layers.parameters(), *case.model.model.lm_head.parameters()))
    assert found["floor"]["weights_ms"] == pytest.approx(own / 1e7, rel=0.05, abs=1e-3)
    assert found["floor"]["keys_and_values_ms"] > 0


@pytest.mark.parametrize(("mark", "file"), [("speed", "speed-cpu.json"), ("gpu", "speed-h200.json")])
def test_the_documents_tables_are_those_of_the_report(mark: str, file: str) -> None:
    root = Path(__file__).parents[2]
    report = json.loads((root / "benchmarks" / "results" / file).read_text())
    document = (root / "docs" / "performance.md").read_text()
    assert document.partition(f"<!-- {mark}:start -->\n")[2].partition(f"\n<!-- {mark}:end -->")[0] == tables(report)


def test_the_report_holds_what_the_documents_promise() -> None:
    """With more than 400 visual tokens: five times a batched `transformers`; CAGUL eight times, the base 1.5 times."""
    root = Path(__file__).parents[2]
    report = json.loads((root / "benchmarks" / "results" / "speed-cpu.json").read_text())
    large = [found for found in report["evaluation"] if found["visual_tokens"] > 400]
    assert {found["model"] for found in large} == set(TINY)
    for found in large:
        for what in ("generation", "likelihoods"):
            assert found[what]["ways"]["transformers, a picture's in a batch"]["times"] >= 5
    assert all(found["ways"]["plain loop"]["times"] >= 8 for found in report["cagul"])
    assert all(found["ways"]["plain loop"]["times"] >= 1.5 for found in report["base"] if found["visual_tokens"] > 400)
