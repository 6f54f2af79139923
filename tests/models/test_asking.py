"""Asking many questions: the order kept whatever the batches, and memory that runs out."""

from typing import Any

import pytest
import torch

from unlearnbench.data.questions import Sample
from unlearnbench.models.asking import answers, log_probabilities
from unlearnbench.models.vlm import VLM
from unlearnbench.training.run import Run


class Small:
    """The model on a machine that holds a few rows at a time; ``sizes`` are those of the attempts."""

    def __init__(self, model: VLM, most: int) -> None:
        self.model, self.most = model, most
        self.sizes: list[int] = []

    def prepare(self, *given: Any) -> Any:
        return self.model.prepare(*given)

    def let_go(self, paths: Any) -> None:
        self.model.let_go(paths)

    def _attempt(self, batch: Any) -> None:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def generate(self, batch: Any, **options: Any) -> Any:
        self._attempt(batch)
        return self.model.generate(batch, **options)

    def answer_log_probabilities(self, batch: Any, **options: Any) -> Any:
        self._attempt(batch)
        return self.model.answer_log_probabilities(batch, **options)


def test_batches_that_memory_does_not_hold_are_halved(tiny: VLM, asked: list[Sample]) -> None:
    pairs = [(sample, sample.answer) for sample in asked]
    wanted = answers(tiny, asked, Run(), max_new_tokens=8, batch_size=13)
    weighed = log_probabilities(tiny, pairs, Run(), batch_size=13)
    small: Any = Small(tiny, 4)
    assert answers(small, asked, Run(), max_new_tokens=8, batch_size=13) == wanted
    assert small.sizes == [13, 7, 4, 4, 4, 1]  # tried again no larger than what was held
    for one, other in zip(log_probabilities(small, pairs, Run(), batch_size=13), weighed, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_single_question_that_memory_does_not_hold_fails(tiny: VLM, asked: list[Sample]) -> None:
    small: Any = Small(tiny, 0)
    with pytest.raises(torch.OutOfMemoryError):
        answers(small, asked[:3], Run(), max_new_tokens=8, batch_size=3)
    assert small.sizes == [3, 2, 1]
