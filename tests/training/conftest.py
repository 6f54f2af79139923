import pytest

from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.embedded import embedded_folder
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
def people() -> Sets:
    """The people that ship."""
    return split_sets(read(embedded_folder()), None, PRIVATE)


@pytest.fixture(scope="session")
def few(people: Sets) -> list[Sample]:
    """Samples on three pictures, two of them on one."""
    return [people.forget[0], people.forget[1], people.forget[20], people.others[3]]
