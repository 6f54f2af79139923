from pathlib import Path

import pytest

from unlearnbench.contracts.sample import Sets
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
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """Six people, one of whom asked to be forgotten."""
    folder: Path = tmp_path_factory.mktemp("five") / "data"
    make(folder, identities=6, scenes=2)
    return split_sets(read(folder), 1, PRIVATE)
