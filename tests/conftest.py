"""What tests of several folders need: a model that costs nothing, little data for it, and what is made once a test run.

``pytest`` alone takes a process a core, four at the most; what is named on the command line runs in a single one.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: processes share the cores, threads do not

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.data_folders import leave_first
from unlearnbench.embedded.data.make import make
from unlearnbench.models.files import cards
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.registry import REGISTRIES

settings.register_profile("patient", deadline=None)  # no test fails because the machine is slow
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Several processes for the whole suite, unless ``-n`` or ``--dist`` say otherwise."""
    named = config.args_source is not config.ArgsSource.TESTPATHS
    if named or hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.pluginmanager.hasplugin("_cov"):  # it has looked for -n by now: without one, --cov takes one process
        return
    if config.option.numprocesses is None and config.option.dist == "no":
        config.option.numprocesses, config.option.maxprocesses, config.option.dist = "logical", 4, "loadfile"


@pytest.fixture
def spared_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is not there for the next, nor for other files in this process."""
    for each in REGISTRIES.values():
        monkeypatch.setattr(each, "_added", {name: dict(claims) for name, claims in each._added.items()})


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, whichever of its processes asks."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(run_folder: Path) -> Once:
    """A function that makes a folder once a test run; the other processes wait for it and read it."""

    def folder_of(name: str, write: Callable[[Path], object]) -> Path:
        folder = run_folder / "once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(folder.with_name(f"{name}.lock")):
            if not folder.exists():
                unfinished = folder.with_name(f"{name}.unfinished")
                write(unfinished)
                unfinished.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def random_model(once: Once) -> Path:
    """The folder of a model of the embedded one's size with random weights; to be copied before it is changed."""

    def write(folder: Path) -> None:
        from transformers import AutoTokenizer

        from unlearnbench.embedded.models.qwen2_5_vl import TinyQwen2_5_VL

        tokens = AutoTokenizer.from_pretrained(folder_of(card_for("tiny-qwen2.5-vl"))[0])
        TinyQwen2_5_VL().untrained(tokens, seed=0).half().save_pretrained(folder)
        TinyQwen2_5_VL().processor(tokens).save_pretrained(folder)

    return once("random", write)


@pytest.fixture(scope="session")
def small_data(once: Once) -> Path:
    """Six people and a few scenes in a folder that fiubench, mme and pope read; to be copied before it is changed."""

    def write(folder: Path) -> None:
        make(folder, identities=6, seed=3, scenes=4)
        leave_first(folder / "acquaintances.json", 2)

    return once("small", write)


@pytest.fixture(scope="session")
def shared_store(run_folder: Path) -> Path:
    """A store for tests that need any base, and not that it is trained: whoever comes first trains it for all."""
    return run_folder / "store"


SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real shapes with fewer and narrower layers; pictures keep their resolution."""
    large = ("QWEN2_5_VL_7B", "LLAMA_3_2_11B_VISION")
    qwen, llama = small = [copy.deepcopy(getattr(cards, name).config) for name in large]
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
    for name, config in zip(large, small, strict=True):
        monkeypatch.setattr(cards, name, getattr(cards, name).model_copy(update={"config": config}))
