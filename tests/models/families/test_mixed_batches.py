"""Training on queries with any number of pictures: the gradient of a mixed batch is that of its queries one by one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import resized
from unlearnbench.contracts.sample import Asked, Query
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.training.adaptation import Trainee, adapted
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import FinetuneParams, LoRAParams

ADAPTER = FinetuneParams(full=False, lora=LoRAParams(projector="full", dropout=0.0))


def gradients(trainee: Trainee, parts: list[tuple[list[Query], list[str]]]) -> list[Tensor]:
    """Of the summed losses of all parts, each a batch."""
    for parameter in trainee.parameters:
        parameter.grad = None
    for queries, answers in parts:
        answer_nll(trainee.log_probabilities(trainee.model.prepare(queries, answers))).sum().backward()  # type: ignore[no-untyped-call]
    return [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in trainee.parameters]


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
@pytest.mark.parametrize("params", [FinetuneParams(full=True), ADAPTER], ids=["full", "adapter"])
def test_a_mixed_batch_has_the_gradient_of_its_queries(
    name: str, params: FinetuneParams, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlearnbench.training.adaptation.WORTHWHILE", float("-inf"))  # packed, whatever that saves
    faces = [person.image for person in read(small_data).identities]
    one, two, three = resized(faces, [(112, 112), (96, 64), (64, 128)], tmp_path)
    queries: list[Query] = [
        Asked("Who is it?", (one,)),
        Asked("What is two and two?"),
        Asked("Which one is it?", (one, three, one)),
        *(Asked(f"Are {number} alike?", (two, three)) for number in range(14)),  # whose beginning is read once
    ]
    answers = ["Yes", "Four.", "The blood type is A.", *["red"] * 14]
    with adapted(load(card_for(name), "cpu"), params, 0) as trainee:
        batch = trainee.model.prepare(queries)
        assert trainee.packs(batch, trainee.look(batch))
        together = gradients(trainee, [(queries, answers)])
        alone = gradients(trainee, [([query], [answer]) for query, answer in zip(queries, answers, strict=True)])
        largest = max(float(each.abs().max()) for each in alone)
        for one_by_one, mixed in zip(alone, together, strict=True):
            torch.testing.assert_close(mixed, one_by_one, atol=1e-4 * largest, rtol=1e-3)
