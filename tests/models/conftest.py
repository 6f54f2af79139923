from pathlib import Path

import pytest

from unlearnbench.contracts.sample import Sample
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read


@pytest.fixture(scope="session")
def tiny() -> VLM:
    """The embedded model, for reading only."""
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="session")
def asked(small_data: Path) -> list[Sample]:
    """Questions of different lengths on several pictures."""
    return list(samples(read(small_data).identities))[3:120:9]
