"""`plan --memory`: what it counts against models that are there, closed forms, and the memory of real processes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run as unlearnbench
from unlearnbench import Method, Params
from unlearnbench.config import resolve
from unlearnbench.contracts.footprint import Footprint, Workload
from unlearnbench.engine.memory.advice import stages
from unlearnbench.engine.memory.counts import counts
from unlearnbench.engine.memory.estimate import (
    CONTEXT,
    Counts,
    Machine,
    encoding_operations,
    evaluation,
    forward_operations,
    picture_cache,
)
from unlearnbench.engine.memory.training import adapter_size, training
from unlearnbench.methods.cagul import CAGUL
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.ga import GradientAscent
from unlearnbench.methods.ga_kl import GradientAscentKL
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import methods
from unlearnbench.training.adaptation import low_rank
from unlearnbench.training.params import BaseParams, BroughtParams, LoRAParams, UnlearnParams

TINY = ["tiny-qwen2.5-vl", "tiny-mllama"]
LARGE = {"gradient_checkpointing": True}


@pytest.mark.parametrize("name", TINY)
def test_counts_are_those_of_the_loaded_model(name: str) -> None:
    count, model = counts(card_for(name)), load(card_for(name), "cpu")
    assert count.total == sum(p.numel() for p in model.model.parameters())
    assert count.language == sum(p.numel() for p in model.language_parameters().values())
    assert count.projector == sum(p.numel() for p in model.projector_parameters().values())
    for lora in (LoRAParams(rank=8), LoRAParams(rank=8, projector="full")):
        fresh = load(card_for(name), "cpu")
        trained = [p for p in low_rank(fresh, lora).parameters() if p.requires_grad]
        assert adapter_size(count, lora.rank, projector=lora.projector == "full") == sum(p.numel() for p in trained)


def test_shapes_of_real_models_follow_from_their_widths() -> None:
    """Independently of `transformers`: every matrix of a decoder block, by hand."""

    def block(d: int, f: int, heads: int, kv: int, *, bias: bool) -> int:
        size = d // heads
        attention = 2 * d * d + 2 * d * kv * size + (d + 2 * kv * size if bias else 0)
        return attention + 3 * d * f + 2 * d

    qwen, llama = counts(card_for("qwen2.5-vl-7b")), counts(card_for("llama-3.2-11b-vision"))
    assert qwen.layers == 28 * block(3584, 18_944, 28, 4, bias=True)
    assert qwen.embeddings == 2 * 152_064 * 3584 + 3584
    gates_and_norms = 2 + 2 * 128  # of a cross-attention layer
    assert llama.layers == 40 * block(4096, 14_336, 32, 8, bias=False) + 8 * gates_and_norms
    assert llama.embeddings == (2 * 128_256 + 8) * 4096 + 4096
    assert (qwen.visual, llama.visual) == (1369, 6404)


def large(name: str, processes: int, memory: float, **base: Any) -> dict[str, Any]:
    """Estimates of a real model on GPUs of ``memory`` GB, by stage."""
    machine = Machine(processes, memory * 1e9)
    planned: dict[str, tuple[type[Method], Params]] = {
        "ga": (GradientAscent, GradientAscent.Params(**LARGE, micro_batch_size=4)),
        "cagul": (CAGUL, CAGULParams()),
    }
    made = stages(card_for(name), BaseParams(**(LARGE | base)), planned, machine, Workload())
    return {estimate.stage: estimate for estimate in made}


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "llama-3.2-11b-vision"])
def test_a_full_finetune_wants_four_gpus_and_the_rest_one(name: str) -> None:
    one, four = large(name, 1, 80), large(name, 4, 80)
    assert not one["base"].fits
    assert one["base"].advice == "--base 8bit"
    assert four["base"].fits
    assert large(name, 1, 80, full=False)["base"].fits
    assert all(one[stage].fits for stage in ("ga", "cagul", "evaluation"))
    assert all(estimate.total > 16 * counts(card_for(name)).language / 4 for estimate in [four["base"]])
    small = large(name, 1, 24)
    assert not any(estimate.fits for estimate in small.values())


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "llama-3.2-11b-vision"])
def test_looking_at_a_base_from_elsewhere_is_counted(name: str) -> None:
    """Weights, pictures and logits of 16 answers on the GPU; what replaces the weights comes to the CPU first."""
    count, work = counts(card_for(name)), Workload()
    looked, *_ = stages(card_for(name), BroughtParams(), {}, Machine(1, 80e9, host=64e9), work)
    assert (looked.stage, looked.fits, looked.beside) == ("base", True, 2 * count.total)
    assert looked.parts["weights"] == 2 * count.total
    assert looked.parts["activations"] > 16 * 30 * count.vocabulary * 8
    assert not stages(card_for(name), BroughtParams(), {}, Machine(1, 24e9), work)[0].fits
    on_cpu = stages(card_for(name), BroughtParams(), {}, Machine(1, 64e9, "cpu", held=1e9), work)[0]
    assert on_cpu.total == 1e9 + 2 * 4 * count.total
    assert on_cpu.advice == "a machine with more memory, or a smaller model"


def test_questions_that_are_one_sequence_share_its_picture() -> None:
    """32 questions in parts of 8 are of 5 pictures at most; where pictures are small nothing is packed."""
    qwen, work, machine = counts(card_for("qwen2.5-vl-7b")), Workload(), Machine(1, 80e9)

    def counted(count: Counts, questions: int, **settings: Any) -> tuple[float, float]:
        params = BaseParams(**LARGE, questions_per_picture=questions, **settings)
        made = training("base", count, params.footprint(work), machine, work)
        return made.parts["activations"], made.seconds

    (alone, long), (together, short) = counted(qwen, 1), counted(qwen, 8)
    logits = 32 * 30 * qwen.vocabulary * (2 + 3 * 4)
    assert (together - logits) / (alone - logits) == pytest.approx((32 * 90 + 5 * 1369) / (32 * 1459))
    spared = forward_operations(qwen) - forward_operations(qwen, questions=8)
    assert long - short == pytest.approx(4 * 80_000 * spared / (989e12 * 0.4))  # the same blocks are started
    assert 5 < forward_operations(qwen) / forward_operations(qwen, questions=8) < 6
    assert counted(qwen, 8, micro_batch_size=1)[0] == counted(qwen, 1, micro_batch_size=1)[0]
    small = replace(qwen, visual=20)
    assert counted(small, 8) == counted(small, 1)
    llama = counts(card_for("llama-3.2-11b-vision"))
    assert 1.3 < forward_operations(llama) / forward_operations(llama, questions=8) < 1.5
    assert counted(llama, 8)[1] < counted(llama, 1)[1]
    pairs = UnlearnParams(questions_per_picture=8).footprint(work)
    assert (pairs.beside, pairs.questions_per_picture) == (2, 4)


def test_the_mildest_change_that_helps_is_told() -> None:
    assert large("qwen2.5-vl-7b", 1, 24)["evaluation"].advice == "--set TASK.batch_size=4 for every task"
    assert large("qwen2.5-vl-7b", 1, 40)["cagul"].advice == "--set cagul.micro_batch_size=1"
    assert large("qwen2.5-vl-7b", 2, 80, full=True)["base"].advice == "--base 8bit"
    assert large("qwen2.5-vl-7b", 1, 48, full=True)["base"].advice == "--base offload"
    assert large("llama-3.2-11b-vision", 1, 48, full=True)["base"].advice == "--base lora"
    roomy = large("qwen2.5-vl-3b", 1, 80, gradient_checkpointing=False, batch_size=16)["base"]
    assert roomy.advice == "--set base.gradient_checkpointing=true"
    assert large("llama-3.2-11b-vision", 1, 24)["cagul"].advice == "a larger GPU, or a smaller model"


def test_pictures_take_the_memory_that_is_theirs_and_are_encoded_once() -> None:
    """11B: a face's features and tokens take 151 MB, so 8 GiB hold 56 of 400; files hold the rest."""
    llama = counts(card_for("llama-3.2-11b-vision"))
    assert picture_cache(llama, 56, Machine(1, 80e9)) < picture_cache(llama, 57, Machine(1, 80e9)) == 8 * 2**30
    assert picture_cache(llama, 56, Machine(1, 80e9)) == 56 * 6404 * (7680 + 4096) * 2
    assert encoding_operations(llama, 400) == 400 * 2 * (llama.tower + llama.projector) * 6404
    assert picture_cache(llama, 400, Machine(1, 24e9)) == (24e9 - CONTEXT - 2 * llama.total) / 4


def test_whole_weights_are_there_before_they_are_cut_up() -> None:
    """On many GPUs loading is the peak: half-precision weights, a part of them in float32, whole embeddings."""
    llama = counts(card_for("llama-3.2-11b-vision"))
    made = large("llama-3.2-11b-vision", 64, 80, micro_batch_size=1)["base"]
    assert made.parts["loading"] > 0
    assert made.total == CONTEXT + 2 * llama.total + 4 * (llama.language / 64 + llama.embeddings)
    assert large("llama-3.2-11b-vision", 4, 80)["base"].parts["loading"] == 0


def test_what_an_update_takes_beside_the_weights_is_counted_as_far_as_the_passes_left_it_nothing() -> None:
    """8-bit states: two float32 moments of the largest matrix, 128,256 x 4096; no others."""
    llama = large("llama-3.2-11b-vision", 1, 80, micro_batch_size=4, optimiser="adamw-8bit")["base"]
    assert llama.parts["update"] == 2 * 4 * 128_256 * 4096 - llama.parts["activations"]
    others: list[dict[str, Any]] = [{"full": False}, {"optimiser": "adamw-offload"}]
    for other in others:
        assert large("llama-3.2-11b-vision", 1, 80, micro_batch_size=1, **other)["base"].parts["update"] == 0


def test_what_is_cut_up_shrinks_with_processes() -> None:
    sizes = [large("qwen2.5-vl-7b", n, 80)["base"].parts["optimiser"] for n in (1, 2, 4, 8)]
    assert sizes == [sizes[0] / n for n in (1, 2, 4, 8)]
    standing = [large("qwen2.5-vl-7b", n, 80)["ga"].parts["weights"] for n in (1, 8)]
    assert standing[0] == standing[1]


def alone(*words: str) -> Any:
    """What the command prints in a process that shares no memory with another and imports what it needs."""
    done = subprocess.run([sys.executable, "-m", "unlearnbench", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", TINY)
def test_the_estimate_is_near_a_real_process(tmp_path: Path, small_data: Path, name: str) -> None:
    """Peak resident memory of a run that trains all weights, within 15%."""
    options = ["--method", "retrain", "--model", name, "--device", "cpu", "--data", str(small_data)]
    words = ["run", *options, "--task", "pope", "--results", str(tmp_path / "results"), "--store"]
    words += [str(tmp_path / "store"), "--set", "retrain.epochs=1", "--quiet", "--json"]
    measured = alone(*words)[0]["cost"]["peak_memory_bytes"]
    planned = alone("plan", *options, "--memory", "--json")
    needed = max(stage["needed_bytes"] for stage in planned if stage["stage"] in ("retrain", "evaluation"))
    assert needed == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "llama-3.2-11b-vision"])
def test_the_estimate_is_near_what_a_gpu_took(name: str) -> None:
    """Peaks of an H200 in `benchmarks/results/h200.json`: an adapter and CAGUL within 10%, evaluation no lower."""
    report = Path(__file__).parents[3] / "benchmarks" / "results" / "h200.json"
    took = {what: line["peak_memory_bytes"] for what, line in json.loads(report.read_text())["models"][name].items()}
    count, machine, work = counts(card_for(name)), Machine(1, None, "H200", held=0), Workload(100, 12, 5, 5)
    params = resolve(GradientAscentKL.Params, "ga-kl", "large", {"batch_size": 4, "micro_batch_size": 4})
    adapter = training("ga-kl", count, params.footprint(work), machine, work)
    assert adapter.total == pytest.approx(took["ga-kl step with LoRA, batch 4"], rel=0.1)
    footprint = CAGUL(CAGULParams(batch_size=4)).footprint(count, work)
    guard = training("cagul", count, footprint, machine, work)
    assert guard.total == pytest.approx(took["CAGUL step, cached, batch 4"], rel=0.1)
    asking = evaluation(count, machine, work).total
    assert 0.95 < asking / took["generation, 16 questions"] < 1.2


def test_the_command_says_what_to_change() -> None:
    options = ["--method", "cagul", "--model", "qwen2.5-vl-7b", "--memory", "--json"]
    done = unlearnbench("plan", *options, "--base", "full", "--gpus", "1,8", "--gpu-memory", "80")
    base = [stage for stage in json.loads(done.stdout) if stage["stage"] == "base"]
    assert [(stage["processes"], stage["fits"], stage["change"]) for stage in base] == [
        (1, False, "--base 8bit"),
        (8, True, None),
    ]
    by_itself = unlearnbench("plan", *options, "--gpus", "1,8", "--gpu-memory", "80")
    base = [stage for stage in json.loads(by_itself.stdout) if stage["stage"] == "base"]
    assert [(stage["base"], stage["fits"]) for stage in base] == [("8bit", True), ("full", True)]
    refused = unlearnbench("plan", *options, "--gpus", "few")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


class Unsaid(Method):
    """A method from outside, with parameters of its own, that says nothing of its needs."""

    def unlearn(self, model: Any, sets: Any, run: Any) -> None:
        raise NotImplementedError


class Said(Unsaid):
    """The same, training a hundred million of the model's own weights on the forget set once."""

    def footprint(self, model: Counts, work: Workload) -> Footprint:
        return Footprint(samples=work.forget, batch_size=4, subset=10**8)


def test_a_methods_needs_are_its_own_or_not_known() -> None:
    """Neither an unknown method nor one that trains nothing is counted as if it were another."""
    references = {name: (methods.get(name), Params()) for name in ("pretrain", "finetune")}
    own = {"unsaid": (Unsaid, Params()), "said": (Said, Params())}
    card, machine = card_for("qwen2.5-vl-3b"), Machine(1, 80e9)
    made = {each.stage: each for each in stages(card, BaseParams(), references | own, machine, Workload())}
    assert list(made) == ["base", "unsaid", "said", "evaluation"]
    assert (made["unsaid"].known, made["unsaid"].advice) == (False, "not known: define footprint")
    said, count = made["said"].parts, counts(card)
    assert said["optimiser"] == 2 * said["gradients"] == 8 * 10**8
    assert said["weights"] == 2 * count.total + 2 * 10**8  # its own weights in float32
