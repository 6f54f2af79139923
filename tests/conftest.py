"""What tests of several folders need: a model that costs nothing, and little data for it."""

import copy
from pathlib import Path

import pytest

from unlearnbench.data.embedded.make import make
from unlearnbench.models import shapes
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


SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real shapes with fewer and narrower layers; pictures keep their resolution."""
    small = copy.deepcopy(shapes.SHAPES)
    qwen, llama = small["qwen2.5-vl-7b"], small["llama-3.2-11b-vision"]
    qwen["text_config"].update(SMALL_TEXT, num_hidden_layers=2)
    qwen["text_config"]["rope_parameters"]["mrope_section"] = [4, 2, 2]
    qwen["vision_config"].update(
        depth=1, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=64, fullatt_block_indexes=[0]
    )
    llama["text_config"].update(SMALL_TEXT, num_hidden_layers=3, cross_attention_layers=[1])
    llama["vision_config"].update(
        hidden_size=32,
        intermediate_size=48,
        attention_heads=2,
        num_hidden_layers=1,
        num_global_layers=1,
        intermediate_layers_indices=[0],
        vision_output_dim=64,
    )
    monkeypatch.setattr(shapes, "SHAPES", small)
