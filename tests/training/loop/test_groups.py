"""Modules that are trained together, each at a rate and with a clipping of its own."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from unlearnbench.runtime.run import Run
from unlearnbench.training.checkpoint import CheckpointFiles
from unlearnbench.training.loop import Group, Shuffled, fit
from unlearnbench.training.params import TrainParams

POINTS = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (3.0, 7.5), (4.0, 9.0), (5.0, 30.0), (6.0, -4.0)]
PARAMS = TrainParams(epochs=4, batch_size=3, learning_rate=9.0, weight_decay=0.1, warmup_ratio=0.25, clip_norm=9.0)
RATES = ((0.05, 2.0), (0.002, 0.1))
"""Learning rate and largest norm of the two modules; those of PARAMS count for neither."""


def lines() -> list[nn.Linear]:
    torch.manual_seed(3)
    return [nn.Linear(1, 1), nn.Linear(1, 1)]


def squared_error(model: nn.Linear, batch: list[tuple[float, float]], scale: float = 1.0) -> torch.Tensor:
    x, y = torch.tensor(batch).T
    return scale * (model(x[:, None])[:, 0] - y).square().mean()


class Killed(Exception):
    """Instead of a signal."""


def trained(scale: float, checkpoints: Path | None = None, killed_before: int | None = None) -> list[nn.Linear]:
    """Both modules, trained by the sum of their losses; the second one's counts ``scale`` times."""
    first, second = lines()
    groups = [Group(list(m.parameters()), *values) for m, values in zip((first, second), RATES, strict=True)]
    run, steps = Run(5), 0
    if checkpoints:
        run.checkpoints = CheckpointFiles(checkpoints, 0.0)

    def losses(batch: list[tuple[float, float]]) -> dict[str, torch.Tensor]:
        nonlocal steps
        if steps == killed_before:
            raise Killed
        steps += 1
        return {"a": squared_error(first, batch), "b": squared_error(second, batch, scale)}

    fit(groups, Shuffled(POINTS, 3, seed=5), losses, PARAMS, run)
    return [first, second]


def test_groups_are_trained_as_by_optimisers_of_their_own() -> None:
    plain = lines()
    for scale, model, (rate, norm) in zip((1.0, 2.0), plain, RATES, strict=True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
        schedule = get_cosine_schedule_with_warmup(optimizer, 3, 12)
        for epoch in range(1, 5):
            order = torch.randperm(7, generator=torch.Generator().manual_seed(5 * 1_000_003 + epoch)).tolist()
            for start in (0, 3, 6):
                optimizer.zero_grad()
                squared_error(model, [POINTS[i] for i in order[start : start + 3]], scale).backward()
                nn.utils.clip_grad_norm_(model.parameters(), norm)
                optimizer.step()
                schedule.step()
    for one, other in zip(trained(scale=2.0), plain, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_groups_gradient_does_not_clip_anothers() -> None:
    """What a module learns from its own loss is the same however large the other one's is."""
    small, large = trained(scale=0.001), trained(scale=2.0)
    assert torch.equal(small[0].weight, large[0].weight)
    assert not torch.equal(small[1].weight, large[1].weight)


def test_an_interrupted_training_goes_on_with_each_groups_own(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(2.0, tmp_path, killed_before=7)
    for one, other in zip(trained(2.0, tmp_path), trained(2.0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
