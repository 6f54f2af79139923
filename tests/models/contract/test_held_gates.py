"""Several gates before one model: they are held together, and a picture passes if none of them flags it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unlearnbench.models.contract.batch import Stacked
from unlearnbench.models.contract.gates import gate_of, held


class Knows:
    """A gate that flags what it is told to."""

    held: Any = None

    def __init__(self, scores: dict[str, float], threshold: float) -> None:
        self.scores, self.threshold, self.modules = scores, threshold, {"discriminator": nn.Linear(1, 1)}

    def gate_scores(self, pictures: Any) -> Tensor:
        return torch.tensor([self.scores[each] for each in pictures])

    def __call__(self, batch: Any, visual: list[Tensor]) -> list[Tensor]:
        return visual


class Model:
    """What a gate stands before."""

    def __init__(self, edit: Any) -> None:
        self.visual_edit = edit


def blur(batch: Any, visual: list[Tensor]) -> list[Tensor]:
    return visual


FIRST, LAST = Knows({"ann": 0.9, "bob": 0.1, "eve": 0.2}, 0.5), Knows({"ann": -9.0, "bob": 3.0, "eve": 1.0}, 2.0)


def test_one_gate_is_itself_and_none_is_none() -> None:
    assert gate_of(Model(FIRST)) is FIRST
    assert gate_of(Model(Stacked(blur, Stacked(FIRST)))) is FIRST
    assert gate_of(Model(blur)) is None
    assert gate_of(Model(None)) is None


def test_of_several_the_surest_decides() -> None:
    gate = gate_of(Model(Stacked(FIRST, Stacked(blur, LAST))))
    assert gate is not None
    scores = gate.gate_scores(["ann", "bob", "eve"])  # type: ignore[list-item]
    assert scores.tolist() == pytest.approx([0.4, 1.0, -0.3])
    assert (scores >= gate.threshold).tolist() == [True, True, False]
    assert len([each for network in gate.modules.values() for each in network.parameters()]) == 4
    assert not gate.gate_scores([]).numel()


@pytest.mark.parametrize("at", ["open", "closed"])
def test_all_are_held_and_are_let_go_as_they_were(at: Any) -> None:
    model = Model(Stacked(FIRST, LAST))
    gate, LAST.held = gate_of(model), "closed"
    try:
        with held(model, at):
            assert (FIRST.held, LAST.held) == (at, at)
            assert gate is not None
            assert gate.held == at
        assert (FIRST.held, LAST.held) == (None, "closed")
        assert gate.held is None
    finally:
        LAST.held = None
    with held(Model(None), at):
        pass
