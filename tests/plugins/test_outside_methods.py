"""Methods from outside, an installed package's and a single file's: `unlearnbench run` runs them like our own."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "outside"
PACKAGE = HERE / "outside_package"


def install(packages: Path) -> None:
    """What pip leaves behind for the package: its metadata, as its own ``pyproject.toml`` says them."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    about = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def rows(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path, shared_store: Path
) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of both methods and of the base by method and task, with their samples in place of the file's name."""
    folder = tmp_path_factory.mktemp("outside")
    install(folder / "packages")
    words = ["--method", "finetune,retain-only,blindfold", "--model", "tiny-qwen2.5-vl", "--task", "fiubench,pope"]
    words += ["--plugin", str(HERE / "blindfold.py"), "--data", str(small_data), "--forget", "2", "--device", "cpu"]
    words += ["--set", "base.epochs=1", "--set", "fiubench.max_new_tokens=4", "--set", "pope.max_new_tokens=2"]
    words += ["--results", "results", "--store", str(shared_store), "--executor", "inline", "--json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "unlearnbench", "run", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "packages"), str(PACKAGE)])},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    found = {(row["method"]["name"], row["task"]["name"]): row for row in json.loads(done.stdout)}
    for row in found.values():
        lines = (folder / "results" / row["samples"]["path"]).read_text().splitlines()
        row["samples"] = [json.loads(line) for line in lines]
    return found


def test_each_gives_rows_that_say_where_it_came_from(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len(rows) == 6
    assert rows["retain-only", "pope"]["method"]["origin"] == "retain-only 0.3.1"
    assert rows["blindfold", "pope"]["method"]["origin"] == str(HERE / "blindfold.py")
    assert rows["retain-only", "pope"]["method"]["params"]["batch_size"] == 60
    assert rows["blindfold", "pope"]["method"]["params"] == {"most": 10}


def test_each_did_what_it_does(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    trained = rows["retain-only", "fiubench"]
    assert trained["cost"]["trainable_parameters"] > 0
    assert trained["cost"]["seconds_per_epoch"] > 0
    assert trained["base"]["params"]["epochs"] == 1
    assert rows["blindfold", "fiubench"]["cost"]["trainable_parameters"] == 0
    blind = [sample for sample in rows["blindfold", "fiubench"]["samples"] if sample["set"] == "forget"]
    assert rows["blindfold", "fiubench"]["notes"]["hidden"] == len({sample["image"] for sample in blind}) > 2

    def likelihoods(method: str, others: bool) -> list[list[float]]:
        samples = rows[method, "fiubench"]["samples"]
        return [sample["logprobs"] for sample in samples if (sample["set"] == "others") == others]

    assert likelihoods("blindfold", others=True) == likelihoods("finetune", others=True)
    assert likelihoods("blindfold", others=False) != likelihoods("finetune", others=False)
    assert likelihoods("retain-only", others=True) != likelihoods("finetune", others=True)
