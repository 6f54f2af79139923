"""The training loop against a plain one, and what it does when a loss is not a number."""

import pytest
import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from unlearnbench.errors import UnlearnbenchError
from unlearnbench.training.loop import Shuffled, fit
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import TrainParams
from unlearnbench.training.run import Run

POINTS = [(float(x), 3.0 * x - 1.0) for x in range(7)]


def line() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(1, 1)


def squared_error(model: nn.Linear, batch: list[tuple[float, float]]) -> torch.Tensor:
    x, y = torch.tensor(batch).T
    return (model(x[:, None])[:, 0] - y).square().mean()


def test_fit_equals_a_plain_loop() -> None:
    params = TrainParams(epochs=4, batch_size=3, learning_rate=0.05, weight_decay=0.1, warmup_ratio=0.25, clip_norm=2.0)
    trained, plain = line(), line()
    batches = Shuffled(POINTS, 3, seed=5)
    fit(list(trained.parameters()), batches, lambda batch: {"error": squared_error(trained, batch)}, params, Run(5))

    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.05, weight_decay=0.1)
    schedule = get_cosine_schedule_with_warmup(optimizer, 3, 12)
    for epoch in range(1, 5):
        order = torch.randperm(7, generator=torch.Generator().manual_seed(5 * 1_000_003 + epoch)).tolist()
        for start in (0, 3, 6):
            optimizer.zero_grad()
            squared_error(plain, [POINTS[i] for i in order[start : start + 3]]).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 2.0)
            optimizer.step()
            schedule.step()
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), plain.parameters(), strict=True))


def test_every_item_comes_once_an_epoch_in_another_order() -> None:
    batches = Shuffled(range(10), 4, seed=1)
    epochs = [[item for batch in batches.epoch(number) for item in batch] for number in (1, 2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert len(batches) == 3


def test_an_untouched_parameter_is_updated_as_by_a_zero_gradient() -> None:
    """Momentum and weight decay go on: leaving out a sample whose gradient is zero must change nothing."""
    params = TrainParams(epochs=1, batch_size=1, learning_rate=0.1, weight_decay=0.5, warmup_ratio=0, clip_norm=1e9)
    results = []
    for dense in (True, False):
        model = line()

        def loss(batch: list[int], model: nn.Linear = model, dense: bool = dense) -> dict[str, torch.Tensor]:
            if batch[0] % 2:
                return {"part": squared_error(model, POINTS[:2])}
            return {"part": 0.0 * squared_error(model, POINTS[:2]) if dense else torch.zeros(())}

        fit(list(model.parameters()), Shuffled(range(6), 1, 0), loss, params, Run())
        results.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_diverging_training_names_the_loss() -> None:
    model = line()
    params = TrainParams(epochs=1, batch_size=2, learning_rate=0.1)
    with pytest.raises(UnlearnbenchError, match=r"not finite \(refuse nan, retain 1\); lower the learning rate"):
        fit(
            list(model.parameters()),
            Shuffled(POINTS, 2, 0),
            lambda batch: {"refuse": model.weight.sum() * float("nan"), "retain": torch.ones(())},
            params,
            Run(),
        )


def test_enough_ends_the_training() -> None:
    model = line()
    run = Run()
    outcome = fit(
        list(model.parameters()),
        Shuffled(POINTS, 7, 0),
        lambda batch: {"error": squared_error(model, batch)},
        TrainParams(epochs=500, batch_size=7, learning_rate=0.1),
        run,
        enough=lambda means: means["error"] < 0.5,
    )
    assert outcome.stopped == "enough"
    assert 0 < outcome.epochs < 500
    assert outcome.losses["error"] < 0.5
    assert run.cost["train_seconds"] >= run.cost["seconds_per_epoch"] * outcome.epochs * 0.99


def test_answer_nll_counts_long_and_short_answers_alike() -> None:
    nll = answer_nll([torch.tensor([-1.0, -3.0]), torch.tensor([-5.0])])
    assert nll.tolist() == [2.0, 5.0]
