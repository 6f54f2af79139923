"""The training loop against a plain one, and what it does when a loss is not a number."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from unlearnbench.errors import PluginError, UnlearnbenchError
from unlearnbench.runtime.run import Run
from unlearnbench.training.checkpoint import CheckpointFiles
from unlearnbench.training.loop import Outcome, Shuffled, fit
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import Schedule, TrainParams

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


def test_a_constant_rate_is_the_same_at_every_step_and_copies_are_kept_of_the_steps_that_are_named() -> None:
    """Under a constant gradient AdamW moves by the rate itself: under a cosine's by less and less."""
    wanted = {0: 0.0, 2: -0.2, 4: -0.4}

    def found(schedule: Schedule) -> dict[int, float]:
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        params = TrainParams(epochs=4, batch_size=1, learning_rate=0.1, warmup_ratio=0, schedule=schedule)
        outcome = fit([weight], Shuffled([1.0], 1, 0), lambda batch: {"it": weight.sum()}, params, Run(), keep=wanted)
        return {step: float(values[0]) for step, values in outcome.copies.items()}

    assert found("constant") == pytest.approx(wanted)
    assert found("cosine")[4] > -0.3
    assert "schedule" not in TrainParams().model_dump()  # keys of what came before stay what they were


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


class Big:
    """A loss that runs out of memory above so many items."""

    def __init__(self, fits: int) -> None:
        self.model, self.fits, self.sizes = line(), fits, list[int]()

    def __call__(self, batch: list[tuple[float, float]]) -> dict[str, torch.Tensor]:
        if len(batch) > self.fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.sizes.append(len(batch))
        return {"error": squared_error(self.model, batch)}


@pytest.mark.parametrize("micro", [None, 3])
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_batch(
    micro: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    params = TrainParams(epochs=3, batch_size=7, learning_rate=0.05, micro_batch_size=micro, clip_norm=1e9)
    small, whole = Big(fits=2), Big(fits=7)
    outcome = fit(list(small.model.parameters()), Shuffled(POINTS, 7, 0), small, params, Run())
    fit(
        list(whole.model.parameters()),
        Shuffled(POINTS, 7, 0),
        whole,
        params.model_copy(update={"micro_batch_size": None}),
        Run(),
    )
    assert outcome.micro_batch_size == outcome.note["micro_batch_size"] == 1
    assert max(small.sizes) == 1
    assert whole.sizes == [7, 7, 7]
    assert "out of memory: 1 samples at a time" in caplog.text
    for one, other in zip(small.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_micro_batches_of_unequal_size_accumulate_the_batchs_mean() -> None:
    trained = []
    for micro in (None, 3):
        model = line()
        params = TrainParams(epochs=2, batch_size=7, learning_rate=0.05, micro_batch_size=micro)
        run = Run()
        outcome = fit(
            list(model.parameters()),
            Shuffled(POINTS, 7, 0),
            lambda batch, model=model: {"error": squared_error(model, batch)},
            params,
            run,
        )
        trained.append(([p.detach() for p in model.parameters()], outcome.losses["error"]))
        assert run.cost["samples_per_second"] > 0
    (one, loss), (other, accumulated) = trained
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))
    assert loss == pytest.approx(accumulated, rel=1e-5)


def test_a_sample_that_does_not_fit_alone_says_what_to_do() -> None:
    big = Big(fits=0)
    with pytest.raises(UnlearnbenchError, match=r"one sample at a time.*gradient_checkpointing"):
        fit(list(big.model.parameters()), Shuffled(POINTS, 4, 0), big, TrainParams(batch_size=4), Run())


def test_other_errors_pass_through() -> None:
    def fails(batch: object) -> dict[str, torch.Tensor]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        fit(list(line().parameters()), Shuffled(POINTS, 4, 0), fails, TrainParams(batch_size=4), Run())


@pytest.mark.parametrize(("value", "said"), [(float("inf"), "not finite"), (2e3, "beyond 1000")])
def test_losses_beyond_reason_end_the_training(value: float, said: str) -> None:
    model = line()
    with pytest.raises(UnlearnbenchError, match=f"diverged.*{said}"):
        fit(
            list(model.parameters()),
            Shuffled(POINTS, 4, 0),
            lambda batch: {"error": model.weight.sum() * 0 + value},
            TrainParams(batch_size=4),
            Run(),
        )


class Third:
    """Ends a training after its third step; goes on counting where a checkpoint left off."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, step: int) -> str | None:
        self.asked.append(step)
        return "seen enough" if len(self.asked) == 3 else None

    def state(self) -> dict[str, list[int]]:
        return {"asked": self.asked}

    def restore(self, state: dict[str, list[int]]) -> None:
        self.asked = state["asked"]


def test_a_loss_that_is_no_likelihood_may_be_larger() -> None:
    weight = nn.Parameter(torch.ones(1))
    params, batches = TrainParams(epochs=1), Shuffled([1, 2], 1, 0)
    with pytest.raises(UnlearnbenchError, match=r"beyond 1000 .* lower the learning rate or, .* largest_loss"):
        fit([weight], batches, lambda batch: {"states": 2e3 * weight.sum()}, params, Run())
    fit([weight], batches, lambda batch: {"states": 2e3 * weight.sum()}, params, Run(), largest_loss=1e5)


def test_stop_is_asked_after_every_step() -> None:
    model, third = line(), Third()
    run = Run()
    outcome = fit(
        list(model.parameters()),
        Shuffled(POINTS, 4, 0),
        lambda batch: {"error": squared_error(model, batch)},
        TrainParams(batch_size=4, epochs=9),
        run,
        stop=third,
    )
    assert third.asked == [1, 2, 3]
    assert (outcome.steps, outcome.epochs, outcome.stopped) == (3, 2, "seen enough")
    assert 0 < run.cost["seconds_per_epoch"] < run.cost["train_seconds"]


def test_a_stop_of_any_kind_goes_on_where_it_was(tmp_path: Path) -> None:
    """The loop knows no rule: what a rule has counted is kept with a checkpoint and given back."""
    model = line()

    def interrupted(kill: bool) -> Outcome:
        steps = 0

        def loss(batch: list[tuple[float, float]]) -> dict[str, torch.Tensor]:
            nonlocal steps
            steps += 1
            if kill and steps == 3:
                raise KeyboardInterrupt
            return {"error": squared_error(model, batch)}

        run = Run(checkpoints=CheckpointFiles(tmp_path, 0.0))
        params = TrainParams(batch_size=4, epochs=9)
        return fit(list(model.parameters()), Shuffled(POINTS, 4, 0), loss, params, run, stop=Third())

    with pytest.raises(KeyboardInterrupt):
        interrupted(kill=True)
    outcome = interrupted(kill=False)
    assert (outcome.resumed_at, outcome.steps, outcome.stopped) == ([2], 3, "seen enough")


@pytest.mark.parametrize("size", [2, 3])
def test_micro_batches_take_samples_in_the_order_that_puts_them_together(size: int) -> None:
    """And part none of those that go together. The batch stays what it was, and so does its gradient."""
    weight, seen = nn.Parameter(torch.ones(1)), list[list[int]]()

    def loss(batch: list[int]) -> dict[str, torch.Tensor]:
        seen.append(batch)
        return {"x": (weight * torch.tensor(batch, dtype=torch.float32)).mean()}

    params = TrainParams(epochs=1, batch_size=6, micro_batch_size=size, warmup_ratio=0.0)
    fit([weight], Shuffled(range(6), 6, 0), loss, params, Run(), together=lambda item: item % 3)
    assert [[item % 3 for item in batch] for batch in seen] == [[0, 0], [1, 1], [2, 2]]
    assert sorted(item for batch in seen for item in batch) == [*range(6)]
    whole = TrainParams(epochs=1, batch_size=6, warmup_ratio=0.0)
    fit([weight], Shuffled(range(6), 6, 0), loss, whole, Run(), together=lambda item: item % 3)
    assert seen[-1] == next(Shuffled(range(6), 6, 0).epoch(1)), "a whole batch keeps its order"


class Lasting:
    """Stops nothing, and keeps what no checkpoint can hold."""

    def __call__(self, step: int) -> None:
        self.losses = torch.zeros(step)

    losses: object = None

    def state(self) -> dict[str, object]:
        return {"losses": self.losses}

    def restore(self, state: dict[str, object]) -> None: ...


@pytest.mark.parametrize(
    ("stop", "told"),
    [(lambda step: None, "a function, has no state and no restore"), (Lasting(), r"Lasting.state\(\) is not JSON")],
)
def test_what_no_checkpoint_can_hold_of_a_stop_is_told_at_the_first_step(stop: Any, told: str) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(PluginError, match=told):
        fit(
            [weight],
            Shuffled([1, 2], 1, 0),
            lambda batch: {"w": weight.sum()},
            TrainParams(epochs=2),
            Run(0),
            stop=stop,
        )
