from pathlib import Path

import pytest

from unlearnbench.data.embedded.make import make
from unlearnbench.data.fiubench import read
from unlearnbench.data.questions import Sets, split_sets
from unlearnbench.data.taxonomy import PRIVATE
from unlearnbench.models.load import load
from unlearnbench.models.source import card_for
from unlearnbench.models.vlm import VLM


@pytest.fixture
def model() -> VLM:
    """A fresh embedded model."""
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """Five people, one of whom asked to be forgotten."""
    folder: Path = tmp_path_factory.mktemp("five") / "data"
    make(folder, identities=5, scenes=2)
    return split_sets(read(folder), 1, PRIVATE)
