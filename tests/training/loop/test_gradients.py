"""Gradients in which a method has a say, against optimisers written out; also for weights cut up among processes."""

import os
import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from tests.processes import context
from unlearnbench.errors import PluginError
from unlearnbench.runtime import distributed
from unlearnbench.runtime.run import Run
from unlearnbench.training.loop import Apart, Masks, Shuffled, fit
from unlearnbench.training.params import TrainParams

POINTS = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (3.0, 7.5), (4.0, 9.0), (5.0, 13.0), (6.0, -4.0)]
PARAMS = TrainParams(epochs=2, batch_size=4, micro_batch_size=2, learning_rate=0.05, clip_norm=0.5)


class Net(nn.Module):
    """Two layers that cannot be told apart from one another by their size alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.ModuleList([nn.Linear(1, 6), nn.Linear(6, 1)])

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.layers
        return second(first(x).tanh())  # type: ignore[no-any-return]


def error(net: nn.Module, batch: list[tuple[float, float]], scale: float = 1.0) -> Tensor:
    x, y = torch.tensor(batch).T
    return (net(x[:, None])[:, 0] - scale * y).square().mean()


def masks_of(net: nn.Module) -> Masks:
    """Every other row of the weights; a bias has none."""
    named = {parameter: parameter for parameter in net.parameters() if parameter.ndim == 2}
    rows = {p: (torch.arange(p.shape[0])[:, None] % 2).float().expand(p.shape) for p in named}
    return Masks(rows)


def trained(net: nn.Module) -> list[Tensor]:
    """By a masked part that is ascended and a free one that is descended."""
    masks = masks_of(net)
    fit(
        list(net.parameters()),
        Shuffled(POINTS, 4, seed=5),
        lambda batch: {
            "forget": Apart(lambda: -error(net, batch), masks),
            "retain": Apart(lambda: error(net, batch, 2.0)),
        },
        PARAMS,
        Run(5),
    )
    return [distributed.full(parameter.detach()) for parameter in net.parameters()]


def by_hand() -> list[Tensor]:
    net = Net()
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, 0, 4)
    for epoch in (1, 2):
        for batch in Shuffled(POINTS, 4, seed=5).epoch(epoch):
            forget = torch.autograd.grad(error(net, batch), parameters)
            retain = torch.autograd.grad(error(net, batch, 2.0), parameters)
            for parameter, up, down in zip(parameters, forget, retain, strict=True):
                mask = torch.ones_like(parameter)
                if parameter.ndim == 2:
                    mask[::2] = 0.0
                parameter.grad = down - mask * up
            nn.utils.clip_grad_norm_(parameters, 0.5)
            optimizer.step()
            schedule.step()
    return [parameter.detach() for parameter in parameters]


def test_a_masked_part_is_masked_alone() -> None:
    for own, plain in zip(trained(Net()), by_hand(), strict=True):
        assert torch.allclose(own, plain, atol=1e-6)


def cut_up(rank: int, port: int, file: Path) -> None:
    """One of two processes that train the net together; the first writes down what its weights are in the end."""
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"}
    distributed.start("cpu")
    net = Net()
    distributed.cut(net, list(net.layers), [], torch.float32)
    assert all(distributed.is_cut_up(parameter) for parameter in net.parameters())
    weights = trained(net)
    if distributed.is_first():
        torch.save(weights, file)
    distributed.stop()


def test_masks_hold_for_weights_that_are_cut_up(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [context.Process(target=cut_up, args=(rank, port, tmp_path / "weights.pt")) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    for own, plain in zip(torch.load(tmp_path / "weights.pt"), by_hand(), strict=True):
        assert torch.allclose(own, plain, atol=1e-5)


def test_parts_are_computed_one_after_the_other() -> None:
    """So that activations of one are held at a time: the second is asked for when the first has its gradient."""
    net, told = Net(), list[str]()
    weight = net.layers[0].weight

    def part(name: str, scale: float) -> Tensor:
        told.append(f"{name} {weight.grad is not None}")
        return error(net, POINTS, scale)

    params = TrainParams(epochs=1, batch_size=7)
    outcome = fit(
        list(net.parameters()),
        Shuffled(POINTS, 7, 0),
        lambda batch: {
            "a": Apart(lambda: part("a", 1.0)),
            "whole": error(net, POINTS),
            "b": Apart(lambda: part("b", 2.0)),
        },
        params,
        Run(),
    )
    assert told == ["a True", "b True"]
    assert list(outcome.losses) == ["a", "whole", "b"]
    before = Net()
    assert outcome.losses["b"] == pytest.approx(error(before, POINTS, 2.0).item())


def test_a_hook_sees_the_whole_batchs_gradient_before_it_is_clipped() -> None:
    net, seen = Net(), list[list[Tensor]]()
    start = [parameter.detach().clone() for parameter in net.parameters()]

    def nothing(parameters: object) -> None:
        seen.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
        for parameter in net.parameters():
            assert parameter.grad is not None
            parameter.grad.zero_()

    params = TrainParams(epochs=1, batch_size=7, micro_batch_size=3, learning_rate=0.1, clip_norm=1e-6)
    loss = lambda batch: {"error": error(net, batch)}  # noqa: E731
    fit(list(net.parameters()), Shuffled(POINTS, 7, 0), loss, params, Run(), on_gradients=nothing)
    plain = Net()
    expected = torch.autograd.grad(error(plain, POINTS), list(plain.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(seen[0], expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(start, net.parameters(), strict=True))


def test_a_mask_of_another_shape_is_refused() -> None:
    weight = Net().layers[0].weight
    with pytest.raises(PluginError, match=r"mask is \[6\] and its parameter \[6, 1\]"):
        Masks({weight: torch.ones(6)})


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (torch.ones(()), "returned a Tensor; return its parts by names"),
        (None, "returned a NoneType"),
        ({"forget": torch.ones(3)}, r"'forget' is of shape \[3\]; give its mean"),
        ({"forget": torch.ones(()), "retain": 0.5}, "'retain' is a float"),
        ({"forget": Apart(lambda: 0.5)}, "'forget' is a float"),
    ],
)
def test_a_loss_that_returns_something_else_is_told_so(returned: object, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        fit([*Net().parameters()], Shuffled(POINTS, 4, seed=5), lambda batch: returned, PARAMS, Run(5))
    with pytest.raises(PluginError, match="holds a Tensor; give a function"):
        Apart(torch.ones(()))
