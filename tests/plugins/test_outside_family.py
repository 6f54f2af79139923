"""A family from outside, the file that `docs/adding-a-family.md` shows: a model of it is planned, counted and run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.cli.conftest import Installation
from tests.models.tiny_families import llava
from tests.processes import run as unlearnbench
from unlearnbench.registry import families, load_plugin
from unlearnbench.testing import check_family

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-family.md"
NAME = "house-llava"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's first block of Python."""
    file = tmp_path_factory.mktemp("plugin") / "house_llava.py"
    file.write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])
    return file


@pytest.fixture(scope="module")
def model(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny model of the house's own classes; the family is registered in this process for as long as it is used."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    theirs, processor = llava()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "_added", {})
        load_plugin(plugin)
        torch.manual_seed(0)
        config = {**theirs.config.to_dict(), "model_type": NAME}
        made = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**config))
        made.generation_config.suppress_tokens = sorted(processor.tokenizer.added_tokens_decoder)
        made.save_pretrained(folder)
        processor.save_pretrained(folder)
        yield folder


def test_it_runs_as_ours_do(plugin: Path, model: Path, small_data: Path, tmp_path: Path) -> None:
    known = ["--model", model, "--plugin", plugin, "--data", small_data, "--forget", "2", "--device", "cpu"]
    small = ["--set", "base.epochs=1", "--set", "ga.epochs=1", "--set", "pope.max_new_tokens=2"]
    words = [
        "--method",
        "ga,cagul",
        "--task",
        "pope",
        "--limit",
        "12",
        "--set",
        "cagul.epochs=1",
        "--set",
        "cagul.k=2",
        *known,
        *small,
    ]
    places = ["--results", tmp_path / "results", "--store", tmp_path / "store", "--executor", "inline", "--quiet"]
    ran = unlearnbench("run", *words, *places, "--json")
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert {row["model"]["family"] for row in rows} == {NAME}
    assert all(row["cost"]["trainable_parameters"] > 0 for row in rows)

    counted = unlearnbench("plan", "--memory", *words, "--json")
    assert counted.returncode == 0, counted.stderr
    assert [stage["stage"] for stage in json.loads(counted.stdout)] == ["base", "ga", "cagul", "evaluation"]
    assert json.loads(unlearnbench("show", NAME, "--plugin", plugin, "--json").stdout)["kind"] == "family"


def test_without_the_plugin_it_is_refused_by_name(model: Path) -> None:
    refused = unlearnbench("plan", "--method", "ga", "--model", model, "--task", "pope")
    assert refused.returncode == 1
    assert "is of the family 'house-llava', which nobody has proved here; choose one of " in refused.stderr
    assert "docs/adding-a-family.md" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_it_passes_the_check_of_families(model: Path) -> None:
    check_family(NAME, model)
    assert families.foreign(NAME) == families.code(NAME) is not None
    assert families.foreign("llava") is None


def test_of_a_package_the_name_is_enough_to_plan_and_the_version_is_in_the_key(
    model: Path, small_data: Path, tmp_path: Path
) -> None:
    found = []
    for version in ("1.0", "1.1"):
        (tmp_path / version).mkdir()
        house = Installation(tmp_path / version, tmp_path)
        group = {"unlearnbench.families": {NAME: "house_llava:HouseLlavaFamily"}}
        house.install("house-models", group, house_llava="raise SystemExit('imported')")
        about = tmp_path / version / "house_models-1.0.dist-info" / "METADATA"
        about.write_text(about.read_text().replace("Version: 1.0", f"Version: {version}"))
        words = ["plan", "--method", "ga", "--model", model, "--task", "pope", "--data", small_data, "--forget", "2"]
        planned = house.run(*map(str, words), "--json")
        assert planned.returncode == 0, planned.stderr
        found += [cell["row_id"] for cell in json.loads(planned.stdout)]
    assert len({*found}) == 2
