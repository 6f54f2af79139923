"""Memory that runs out ends in one sentence for the stage in which it did, whatever ran out of it."""

from pathlib import Path

import pytest
import torch

from unlearnbench.config import RunConfig
from unlearnbench.engine import grid
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.memory.advice import in_a_sentence
from unlearnbench.engine.planning import plan
from unlearnbench.errors import OutOfMemory
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.po_gd import PreferenceOptimisation
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent
from unlearnbench.training.params import BaseParams

CUDA = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")


def said(what: str, params: object, error: BaseException) -> str:
    with pytest.raises(OutOfMemory) as caught, in_a_sentence(what, params):  # type: ignore[arg-type]
        raise error
    return str(caught.value)


def test_what_is_advised_is_for_the_stage() -> None:
    large = {"gradient_checkpointing": True}
    states = OutOfMemory("", where="in the optimiser's step, which smaller batches do not help")
    base = said("base", BaseParams(**large), states)
    assert base == (
        "base: out of memory in the optimiser's step, which smaller batches do not help: --base 8bit, or "
        "--base offload, or --base lora, or --base lora --set base.lora.rank=16, or more GPUs (--gpus N)"
    )
    adapter = said("po-gd", PreferenceOptimisation.Params(), OutOfMemory("", where="with one sample at a time"))
    assert adapter == (
        "po-gd: out of memory with one sample at a time: --set po-gd.gradient_checkpointing=true, or "
        "--set po-gd.lora.rank=16"
    )
    assert "full=false" not in adapter
    full = said("po-gd", PreferenceOptimisation.Params(full=True, **large), states)
    assert "--set po-gd.optimiser=adamw-8bit, or --set po-gd.optimiser=adamw-offload" in full
    assert said("cagul", CAGULParams(), CUDA) == "cagul: out of memory: a larger GPU, or a smaller model"
    assert said("asking mme", None, CPU) == "asking mme: out of memory: a larger GPU, or a smaller model"
    assert said("loading x", None, MemoryError()) == "loading x: out of memory: a larger GPU, or a smaller model"


def test_what_was_said_within_stands_and_other_errors_pass() -> None:
    inner = OutOfMemory("loading x: out of memory: a smaller model")
    assert said("base", BaseParams(), inner) == str(inner)
    with pytest.raises(RuntimeError, match="shapes"), in_a_sentence("base"):
        raise RuntimeError("shapes differ")


def test_what_cannot_help_is_not_advised() -> None:
    """Activations are gone when the optimiser makes its states; on a CPU these are in its memory anyway."""
    states = OutOfMemory("", where="in the optimiser's step, which smaller batches do not help")
    assert "gradient_checkpointing" not in said("po-gd", PreferenceOptimisation.Params(), states)
    with pytest.raises(OutOfMemory) as caught, in_a_sentence("base", BaseParams(), device="cpu"):
        raise states
    assert "--base 8bit" in str(caught.value)
    assert not any(each in str(caught.value) for each in ("offload", "GPU"))
    larger = "asking mme: out of memory: a machine with more memory"
    with pytest.raises(OutOfMemory, match=larger), in_a_sentence("asking mme", device="cpu"):
        raise CPU


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_what_cudas_libraries_say_is_understood(words: str) -> None:
    assert said("cagul", CAGULParams(), RuntimeError(words)).startswith("cagul: out of memory")


def test_the_rows_of_all_cells_say_it(
    tmp_path: Path, random_model: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first update fails, as it does where float32 states do not fit beside the weights."""

    def short(*_: object, **__: object) -> None:
        raise CUDA

    monkeypatch.setattr(torch.optim.AdamW, "step", short)
    config = RunConfig(
        methods=("finetune", "po-gd"), models=(str(random_model),), tasks=("pope",), data=str(small_data), device="cpu"
    )
    store = Store(tmp_path / "store")
    rows = [each.row for each in grid.run(plan(config, store), RowStore(tmp_path / "results"), store, Silent())]
    assert [(row.status, row.error and row.error.type) for row in rows] == [("error", "OutOfMemory")] * 2
    assert all(
        row.error and row.error.message.startswith("base: out of memory in the optimiser's step") for row in rows
    )
