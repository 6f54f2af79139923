"""AdamW in other memory: the same weights as in float32, or near them, whatever precision the model has."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unlearnbench.errors import OutOfMemory
from unlearnbench.runtime.run import Run
from unlearnbench.training.checkpoint import CheckpointFiles
from unlearnbench.training.loop import Shuffled, fit
from unlearnbench.training.loop.optimisers import optimiser_of
from unlearnbench.training.params import Optimiser, TrainParams

KINDS: list[Any] = ["adamw", "adamw-offload", "adamw-8bit"]
INPUTS = torch.randn(24, 96, generator=torch.Generator().manual_seed(1))
PARAMS = TrainParams(epochs=4, batch_size=8, learning_rate=3e-3, weight_decay=0.1, warmup_ratio=0.2, clip_norm=0.5)


def network(dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Large enough for states of 8 bits, but for its bias."""
    torch.manual_seed(4)
    return nn.Linear(96, 64, dtype=dtype)


def trained(kind: Optimiser, net: nn.Module, run: Run | None = None, killed_before: int | None = None) -> nn.Module:
    steps = 0

    def loss(batch: list[int]) -> dict[str, torch.Tensor]:
        nonlocal steps
        if steps == killed_before:
            raise KeyboardInterrupt
        steps += 1
        x = INPUTS[batch]
        return {"error": (net(x.to(next(net.parameters()).dtype)).float() - x[:, :64] * 2).square().mean()}

    params = PARAMS.model_copy(update={"optimiser": kind})
    fit([*net.parameters()], Shuffled(range(len(INPUTS)), 8, 1), loss, params, run or Run())
    return net


def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of a weight, as a part of how far training has moved any."""
    pairs = [
        (a.data, b.data, c.data) for a, b, c in zip(*map(nn.Module.parameters, (one, other, network())), strict=True)
    ]
    moved = max(float((b.float() - start).abs().max()) for _, b, start in pairs)
    return max(float((a.float() - b.float()).abs().max()) for a, b, _ in pairs) / moved


@pytest.fixture(autouse=True)
def _torchao(request: pytest.FixtureRequest) -> None:
    """Skip what needs it where it is not installed."""
    if "adamw-8bit" in str(getattr(request.node, "callspec", "")) or "eight" in request.node.name:
        pytest.importorskip("torchao")


def test_offloaded_weights_are_those_of_adamw() -> None:
    """Clipping, decay, warm-up and the schedule included."""
    assert apart(trained("adamw-offload", network()), trained("adamw", network())) < 1e-5


def test_the_model_keeps_its_precision_and_loses_nothing_by_it() -> None:
    """Updates too small for bfloat16 add up in the float32 copy: the weights are the rounded ones of float32."""
    half = trained("adamw-offload", network(torch.bfloat16))
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    params = [nn.Parameter(torch.ones(8, dtype=torch.bfloat16)) for _ in range(2)]
    kinds: list[Optimiser] = ["adamw", "adamw-offload"]
    for kind, parameter in zip(kinds, params, strict=True):
        optimiser = optimiser_of(kind, [{"params": [parameter], "lr": 1e-4}], 0.0)
        for _ in range(200):
            parameter.grad = torch.ones_like(parameter)
            optimiser.step()
    assert [p[0].item() for p in params] == [1.0, pytest.approx(0.98, abs=4e-3)]


def test_eight_bits_come_near_and_round_by_chance() -> None:
    assert apart(trained("adamw-8bit", network()), trained("adamw", network())) < 0.25
    many = nn.Parameter(torch.ones(64, 64, dtype=torch.bfloat16))
    optimiser = optimiser_of("adamw-8bit", [{"params": [many], "lr": 1e-4}], 0.0)
    for _ in range(50):
        many.grad = torch.ones_like(many)
        optimiser.step()
    assert many.float().mean().item() == pytest.approx(1 - 50e-4, abs=5e-4)


def test_chance_in_eight_bits_follows_the_steps_alone() -> None:
    """So that processes that work together stay alike."""
    ends = []
    for seed in (0, 1):
        net = network(torch.bfloat16)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        ends.append(trained("adamw-8bit", net))
        assert torch.equal(torch.get_rng_state(), before)
    assert apart(*ends) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_ends_with_the_same_weights(
    kind: Optimiser, dtype: torch.dtype, tmp_path: Path
) -> None:
    whole = trained(kind, network(dtype))
    interrupted = Run(checkpoints=CheckpointFiles(tmp_path, 0.0))
    with pytest.raises(KeyboardInterrupt):
        trained(kind, network(dtype), interrupted, killed_before=7)
    again = trained(kind, network(dtype), Run(checkpoints=CheckpointFiles(tmp_path, 0.0)))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_is_what_is_counted(kind: Optimiser) -> None:
    """Bytes of gradients and states a number trained, as `engine.memory` has them for a model in bfloat16."""
    from unlearnbench.contracts.footprint import Counts, Footprint, Workload
    from unlearnbench.engine.memory.estimate import Machine
    from unlearnbench.engine.memory.training import training

    weight = nn.Parameter(torch.zeros(512, 512, dtype=torch.float32 if kind == "adamw" else torch.bfloat16))
    optimiser = optimiser_of(kind, [{"params": [weight], "lr": 1e-4}], 0.0)
    weight.grad = torch.ones_like(weight)
    optimiser.step()
    size = weight.numel()
    count = Counts(0, 0, size, 0, 1, 0, 512, 512, 512, 0, 0, 0, 0, 0, size, ())
    made = training("base", count, Footprint(1, full=True, optimiser=kind), Machine(1, 80e9), Workload())
    states = [value for value in optimiser.state[weight].values() if value.ndim]
    held = sum(value.nbytes for each in states for value in (getattr(each, part, None) for part in ("codes", "scale"))
               if value is not None) or sum(value.nbytes for value in states)  # fmt: skip
    assert made.parts["weights"] == weight.nbytes
    assert made.parts["gradients"] == weight.grad.nbytes
    assert made.parts["optimiser"] + made.beside == pytest.approx(held, rel=1e-3)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_update_is_one_kernel_on_gpus_and_torchs_own_on_cpus(device: str) -> None:
    """On CPUs to the last digit, so that trainings of before can be had again; on GPUs without a copy of anything."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    generator = torch.Generator().manual_seed(2)
    one, other = (nn.Parameter(torch.ones(512, 512, device=device)) for _ in range(2))
    ours = optimiser_of("adamw", [{"params": [one], "lr": 1e-3}], 0.1)
    theirs = torch.optim.AdamW([other], 1e-3, weight_decay=0.1, foreach=False)
    for _ in range(3):
        one.grad = torch.randn(one.shape, generator=generator).to(device)
        other.grad = one.grad.clone()
        ours.step()
        theirs.step()
    if device == "cpu":
        assert torch.equal(one, other)
        return
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    ours.step()
    assert torch.cuda.max_memory_allocated() - held < one.nbytes / 2


@pytest.mark.parametrize("fused", [None, True])
def test_one_kernel_goes_on_from_a_checkpoint_of_any_way(fused: bool | None, tmp_path: Path) -> None:
    """As a training does that began before there was one, or on another device."""
    one, other = (nn.Parameter(torch.ones(8, 8)) for _ in range(2))
    begun, next_one = torch.optim.AdamW([one], 1e-2, fused=fused), torch.optim.AdamW([other], 1e-2, fused=True)
    file = CheckpointFiles(tmp_path, 0.0).training("some")
    one.grad = torch.full_like(one, 0.5)
    begun.step()
    file.save([one], begun, {"steps": 1})
    assert file.load([other], next_one) is not None
    one.grad, other.grad = torch.full_like(one, 0.1), torch.full_like(one, 0.1)
    begun.step()
    next_one.step()
    assert torch.equal(one, other)


def test_memory_that_ends_in_the_optimisers_step_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 30.00 GiB")

    monkeypatch.setattr(torch.optim.AdamW, "step", short)
    net = network()
    before = copy.deepcopy(net)
    with pytest.raises(OutOfMemory, match="in the optimiser's step"):
        trained("adamw", net)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before.parameters(), strict=True))
