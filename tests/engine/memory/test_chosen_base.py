"""What is chosen and refused on pretended machines, for both large models."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import what_fits
from tests.processes import run as unlearnbench
from unlearnbench.config import RunConfig, cells
from unlearnbench.contracts.footprint import Counts
from unlearnbench.engine.memory import choice
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import Machine
from unlearnbench.engine.planning.parameters import parameters
from unlearnbench.errors import UsageError
from unlearnbench.models.files.card import ModelCard
from unlearnbench.models.files.source import card_for
from unlearnbench.training.params import BASES, BaseParams, kind_of

QWEN, LLAMA = "qwen2.5-vl-7b", "llama-3.2-11b-vision"


@pytest.fixture(autouse=True)
def _counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "counts", lambda card: counted(card.name))


@cache
def counted(name: str) -> Counts:
    return counts(card_for(name))


def chosen(model: str, machine: Machine, methods: tuple[str, ...] = ("finetune",), **settings: Any) -> tuple[Any, ...]:
    """Kinds and samples at a time of the base and of the methods that are like it, and what is said."""
    given = {owner: {name: (value,) for name, value in own.items()} for owner, own in settings.items()}
    config = RunConfig(methods=methods, models=(model,), tasks=("fiubench",), settings=given)
    made, lines = choice.choose(config, {model: machine})
    card = card_for(model)
    found = [parameters(cell, card, made) for cell in cells(made)]
    return [(base.kind, base.micro_batch_size) for _, base in found], [each[-1].params for each, _ in found], lines


def test_the_table_of_the_docs_is_what_run_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    (table,) = re.findall(r"<!-- choice:start -->\n(.*?)\n<!-- choice:end -->", page, re.DOTALL)
    assert table.splitlines() == [*what_fits.table()]


def test_the_base_is_the_first_kind_that_fits() -> None:
    found = {(model, gb): chosen(model, Machine(1, gb * 1e9))[0] for model in (QWEN, LLAMA) for gb in (200, 80, 48)}
    assert found == {
        (QWEN, 200): [("full", None)], (QWEN, 80): [("8bit", None)], (QWEN, 48): [("offload", 4)],
        (LLAMA, 200): [("full", None)], (LLAMA, 80): [("8bit", None)], (LLAMA, 48): [("lora", None)],
    }  # fmt: skip
    assert chosen(QWEN, Machine(4, 80e9))[0] == [("full", None)]


def test_gpus_that_are_here_and_not_used_are_told_of() -> None:
    (line,) = chosen(QWEN, Machine(1, 80e9, gpus=4))[2]
    assert line.endswith("; full would take 136.8 GB, and fits the GPUs here with --gpus 4")
    (line,) = chosen(QWEN, Machine(1, 80e9, gpus=2))[2]
    assert line.endswith("; full would take 136.8 GB")
    (line,) = chosen(LLAMA, Machine(2, 80e9, gpus=8))[2]
    assert line.endswith("with --gpus 4")
    assert "--gpus" not in chosen(QWEN, Machine(4, 80e9, gpus=8))[2][0]


def test_the_cpus_memory_counts_where_states_would_go_there() -> None:
    assert chosen(QWEN, Machine(1, 48e9, host=64e9))[0] == [("lora", None)]
    assert chosen(QWEN, Machine(1, 48e9, host=128e9))[0] == [("offload", 4)]


def test_a_retrained_model_goes_with_the_base_and_defaults_stay_unsaid() -> None:
    bases, params, lines = chosen(QWEN, Machine(1, 80e9), ("finetune", "retrain"))
    retrain = params[1]
    assert (retrain.kind, retrain.micro_batch_size) == bases[1] == ("8bit", None)
    (line,) = lines
    assert line.startswith(f"{QWEN}: base 8bit (all weights, 8-bit states): 63.3 GB counted of")
    config = RunConfig(methods=("finetune",), models=(QWEN,), tasks=("fiubench",))
    assert choice.choose(config, {QWEN: Machine(1, 200e9)})[0] == config


def test_a_method_that_needs_no_base_gets_none() -> None:
    assert chosen(QWEN, Machine(1, 48e9), ("pretrain",))[2] == []


@pytest.mark.parametrize("full", [{"full": True}, {"full": True, "micro_batch_size": 4}])
def test_an_explicit_kind_that_cannot_fit_is_refused_with_what_would(full: dict[str, Any]) -> None:
    with pytest.raises(
        UsageError, match=r"its base, full as asked for, does not fit .*: --base 8bit, or --base offload"
    ):
        chosen(QWEN, Machine(1, 80e9), base=full)
    assert chosen(QWEN, Machine(1, 80e9), base={"full": False})[0] == [("lora", None)]


def test_all_that_cannot_be_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        chosen(QWEN, Machine(1, 24e9), ("retrain", "cagul"))
    said = str(refused.value)
    assert "no kind of base fits, not even lora" in said
    assert "--set base.lora.rank=16 --set retrain.lora.rank=16" in said
    assert "cagul does not fit" in said
    small = {"lora.rank": 16}
    assert chosen(QWEN, Machine(1, 24e9), ("finetune",), base=small)[0] == [("lora", 4)]


def test_all_weights_of_a_method_get_an_optimiser_that_fits() -> None:
    (_, (params,), lines) = chosen(QWEN, Machine(1, 80e9), ("po-gd",), **{"po-gd": {"full": True}})
    assert (params.full, params.optimiser) == (True, "adamw-8bit")
    assert any("goes with --set po-gd.optimiser=adamw-8bit" in line for line in lines)
    with pytest.raises(UsageError, match=r"po-gd does not fit .*: --set po-gd.optimiser=adamw-8bit"):
        chosen(QWEN, Machine(1, 80e9), ("po-gd",), **{"po-gd": {"full": True, "optimiser": "adamw"}})


def test_a_kind_has_the_name_that_makes_it() -> None:
    assert [BaseParams(**sets).kind for sets in BASES.values()] == [*BASES]
    assert [kind_of(BaseParams(**sets).model_dump()) for sets in BASES.values()] == [*BASES]
    assert kind_of({"full": True}) == "full"  # rows of before


def test_a_large_model_without_a_gpu_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--method", "finetune", "--model", QWEN, "--results", str(tmp_path / "results")]
    refused = unlearnbench("run", *options)
    assert refused.returncode == 2
    assert "there is no GPU here" in refused.stderr
    assert "--device cpu" in refused.stderr
    pretended = unlearnbench("run", *options, "--dry-run", "--gpu-memory", "80")
    choice_line, lacking = pretended.stderr.strip().splitlines()
    assert choice_line.startswith(f"{QWEN}: base 8bit")
    assert all(f"data of {task} (" in lacking for task in ("fiubench", "mme", "pope"))
    assert "model Qwen/Qwen2.5-VL-7B-Instruct" in lacking
    assert not (tmp_path / "results").exists()
    assert unlearnbench("run", *options, "--base", "4bit").stderr.startswith(
        "error: --base 4bit: choose one of: auto, "
    )


def test_a_small_model_is_full_unless_auto_is_asked_for() -> None:
    card = card_for("tiny-qwen2.5-vl")
    assert isinstance(card, ModelCard)
    assert chosen("tiny-qwen2.5-vl", Machine(1, 24e9, "cpu", held=0))[0] == [("full", None)]
