from collections.abc import Callable
from pathlib import Path

import pytest

from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.embedded.data.make import make
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE


@pytest.fixture
def model() -> VLM:
    """A fresh embedded model."""
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="session")
def people(once: Callable[[str, Callable[[Path], object]], Path]) -> Sets:
    """Twelve people, of whom four are forgotten."""
    return split_sets(read(once("twelve", lambda folder: make(folder, identities=12, scenes=1))), 4, PRIVATE)


@pytest.fixture(scope="session")
def few(people: Sets) -> list[Sample]:
    """Samples on three pictures, two of them on one."""
    same = [sample for sample in people.forget if sample.images == people.forget[0].images]
    return [*same[:2], people.forget[20], people.others[3]]
