import pytest

from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.fiubench import read
from unlearnbench.data.questions import Sample, samples
from unlearnbench.models.load import load
from unlearnbench.models.source import card_for
from unlearnbench.models.vlm import VLM


@pytest.fixture(scope="session")
def tiny() -> VLM:
    """The embedded model, for reading only."""
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="session")
def asked() -> list[Sample]:
    """Questions of different lengths on several pictures."""
    return list(samples(read(embedded_folder()).identities))[3:120:9]
