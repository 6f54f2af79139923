"""What tests of several folders need: a model that costs nothing, and little data for it."""

from pathlib import Path

import pytest

from unlearnbench.data.embedded.make import make
from unlearnbench.models.source import card_for, folder_of


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of the embedded one's size with random weights; to be copied before it is changed."""
    from transformers import AutoTokenizer

    from unlearnbench.models.embedded.qwen2_5_vl import TinyQwen2_5_VL

    folder = tmp_path_factory.mktemp("models") / "random"
    tokens = AutoTokenizer.from_pretrained(folder_of(card_for("tiny-qwen2.5-vl"))[0])
    TinyQwen2_5_VL().untrained(tokens, seed=0).half().save_pretrained(folder)
    TinyQwen2_5_VL().processor(tokens).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people and a few scenes in a folder that fiubench, mme and pope read; to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("data") / "small"
    make(folder, identities=6, seed=3, scenes=4)
    return folder
