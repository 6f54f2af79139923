"""A training that is interrupted anywhere and begun again ends with the weights of one that was not."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from unlearnbench.contracts.sample import Sample
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run
from unlearnbench.training.adaptation import adapted
from unlearnbench.training.checkpoint import CheckpointFiles
from unlearnbench.training.loop import Outcome, Shuffled, fit
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import FinetuneParams, LoRAParams, TrainParams

POINTS = [(float(x), 3.0 * x - 1.0) for x in range(7)]
PARAMS = TrainParams(epochs=3, batch_size=3, learning_rate=0.05, weight_decay=0.1, warmup_ratio=0.25)
STEPS = 9
"""Of one training."""


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class Stage:
    """Two trainings of one network one after the other, which draw random numbers; killed before a chosen step."""

    def __init__(self, folder: Path | None, seconds: float = 0.0) -> None:
        torch.manual_seed(5)
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.steps = 0
        self.run = Run(2)
        if folder:
            self.run.checkpoints = CheckpointFiles(folder, seconds)

    def __call__(self, killed_before: int | None = None) -> list[Outcome]:
        def loss(batch: list[tuple[float, float]]) -> dict[str, Tensor]:
            if self.steps == killed_before:
                raise Killed
            self.steps += 1
            x, y = torch.tensor(batch).T
            return {"error": (self.net(x[:, None])[:, 0] - y).square().mean()}

        first = fit([*self.net[0].parameters()], Shuffled(POINTS, 3, 1), loss, PARAMS, self.run, what="first")
        return [first, fit([*self.net.parameters()], Shuffled(POINTS, 3, 2), loss, PARAMS, self.run, what="second")]

    @property
    def weights(self) -> list[list[float]]:
        return [parameter.flatten().tolist() for parameter in self.net.parameters()]


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[list[float]], list[Outcome]]:
    stage = Stage(None)
    outcomes = stage()
    return stage.weights, outcomes


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.integers(0, 2 * STEPS), max_size=4))
def test_killed_anywhere_it_ends_with_the_same_weights(
    undisturbed: tuple[list[list[float]], list[Outcome]], tmp_path_factory: pytest.TempPathFactory, kills: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("stage")
    done = 0  # steps that no longer need to be taken
    for kill in kills:
        stage = Stage(folder)
        if done + kill >= 2 * STEPS:
            break
        with pytest.raises(Killed):
            stage(killed_before=kill)
        done += kill
    last = Stage(folder)
    outcomes = last()
    assert last.steps == 2 * STEPS - done  # a checkpoint a step: nothing is done twice
    assert last.weights == undisturbed[0]
    for outcome, expected in zip(outcomes, undisturbed[1], strict=True):
        assert (outcome.steps, outcome.epochs, outcome.losses) == (expected.steps, expected.epochs, expected.losses)
        assert outcome.stopped == expected.stopped


def test_the_outcome_says_where_it_went_on_and_counts_all_seconds(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(Killed):
        stage(killed_before=4)
    last = Stage(tmp_path)
    outcome = last()[0]
    assert outcome.note["resumed_at"] == [4]
    assert outcome.seconds > stage.run.cost.get("train_seconds", 0.0)


def test_nothing_is_written_before_it_is_time(tmp_path: Path) -> None:
    Stage(tmp_path, seconds=1000)()
    assert not list(tmp_path.iterdir())


def test_one_checkpoint_is_kept_and_it_holds_no_pickle(tmp_path: Path) -> None:
    Stage(tmp_path)()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "01-00000009-1of1.safetensors",
        "01.json",
        "02-00000009-1of1.safetensors",
        "02.json",
    ]


def test_a_training_goes_on_where_no_checkpoint_can_be_written(
    tmp_path: Path, undisturbed: tuple[list[list[float]], list[Outcome]], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    stage = Stage(tmp_path / "file")  # where a folder should be
    stage()
    assert stage.weights == undisturbed[0]
    assert caplog.text.count("no checkpoint can be written") == 2  # once a training
    assert "it goes on without" in caplog.text


def cut_short(folder: Path) -> None:
    [file] = folder.glob("01-*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])


def bit_flipped(folder: Path) -> None:
    [file] = folder.glob("01-*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def no_index(folder: Path) -> None:
    (folder / "01.json").write_text("{")


def gone(folder: Path) -> None:
    [file] = folder.glob("01-*.safetensors")
    file.unlink()


def of_two_processes(folder: Path) -> None:
    index = json.loads((folder / "01.json").read_text())
    (folder / "01.json").write_text(json.dumps(index | {"parts": index["parts"] * 2}))


@pytest.mark.parametrize("damage", [cut_short, bit_flipped, no_index, gone, of_two_processes])
def test_a_checkpoint_that_cannot_serve_is_told_and_passed_over(
    tmp_path: Path,
    undisturbed: tuple[list[list[float]], list[Outcome]],
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(Killed):
        Stage(tmp_path)(killed_before=5)
    damage(tmp_path)
    last = Stage(tmp_path)
    last()
    assert last.weights == undisturbed[0]
    assert last.steps == 2 * STEPS
    assert "first: its checkpoint is " in caplog.text
    assert "it starts anew" in caplog.text


def test_another_training_is_not_gone_on_with(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = nn.Linear(1, 1)
    run = Run(checkpoints=CheckpointFiles(tmp_path, 0.0))
    with pytest.raises(Killed):
        Stage(tmp_path)(killed_before=5)

    def loss(batch: list[tuple[float, float]]) -> dict[str, Tensor]:
        x, y = torch.tensor(batch).T
        return {"error": (net(x[:, None])[:, 0] - y).square().mean()}

    assert fit([*net.parameters()], Shuffled(POINTS, 3, 1), loss, PARAMS, run, what="first").steps == STEPS
    assert "of another training" in caplog.text


@pytest.mark.parametrize("full", [True, False])
def test_a_models_training_goes_on_exactly(
    few: list[Sample], tmp_path: Path, full: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """All weights, and an adapter with dropout: the real trainee, killed in the middle of an epoch."""
    params = FinetuneParams(
        full=full, lora=LoRAParams(rank=4, alpha=8, dropout=0.2), epochs=3, batch_size=2, learning_rate=1e-3
    )
    caplog.set_level(logging.INFO)

    def train(folder: Path | None, killed_at: int | None = None) -> list[Tensor]:
        model = load(card_for("tiny-qwen2.5-vl"), "cpu")
        run, steps = Run(1), 0
        if folder:
            run.checkpoints = CheckpointFiles(folder, 0.0)
        with adapted(model, params, 1) as trainee:

            def loss(batch: list[Sample]) -> dict[str, Tensor]:
                nonlocal steps
                if steps == killed_at:
                    raise Killed
                steps += 1
                prepared = model.prepare(batch, [sample.answer for sample in batch])
                return {"answers": answer_nll(model.answer_log_probabilities(prepared, trainee.look(prepared))).mean()}

            fit(trainee.parameters, Shuffled(few, 2, 1), loss, params, run)
            return [parameter.detach().clone() for parameter in trainee.parameters]

    expected = train(None)
    with pytest.raises(Killed):
        train(tmp_path, killed_at=3)
    found = train(tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert "going on after step 3" in caplog.text
