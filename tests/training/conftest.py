import pytest

from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.fiubench import read
from unlearnbench.data.questions import Sample, Sets, split_sets
from unlearnbench.data.taxonomy import PRIVATE
from unlearnbench.models.load import load
from unlearnbench.models.source import card_for
from unlearnbench.models.vlm import VLM


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
