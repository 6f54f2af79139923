"""Attacks by two processes that work together on CPUs: the rows of one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.beside.grids import of_a_gate
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import plan
from unlearnbench.engine.runner import Runner
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent

ATTACKS: dict[str, Any] = {
    "relearn": {"steps": ((0, 2),), "learning_rate": (1e-5,)},  # Adam steps as far by what is rounding alone
    "quantise": {"bits": ((4,),)},
    "mia": {},
    "gate": {"kinds": (("crop", "blur"),), "pictures": (6,), "timed": (1,)},
    "depth": {},
}

COMPUTE = """
import sys
from pathlib import Path
from unlearnbench.runtime import distributed
from tests.attacks.beside.test_shared_out import compute
distributed.start("cpu")
compute(*map(Path, sys.argv[1:]))
distributed.stop()
"""


def compute(file: Path, folder: Path) -> None:
    """Compute the attacked cells of the grid in a file."""
    store = Store(folder / "store")
    cells = [each for each in plan(RunConfig.model_validate_json(file.read_text()), store) if each.aimed]
    for _ in run_grid(cells, RowStore(folder / "rows"), store, Silent()):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, random_model: Path, small_data: Path) -> Path:
    """Two folders of attacked cells, of one process and of two, on the very same unlearned model."""
    made = tmp_path_factory.mktemp("shared-out")
    asked = {name: {"utility": (4,)} | own for name, own in ATTACKS.items()}
    config = of_a_gate(random_model, small_data, asked, 2)
    (file := made / "grid.json").write_text(json.dumps(config.model_dump(), default=str))
    store = Store(made / "one" / "store")
    cell = next(each for each in plan(config, store) if each.aimed is None)
    Runner(store, Silent()).made(cell)
    shutil.copytree(made / "one", made / "two")
    compute(file, made / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    (made / "compute.py").write_text(COMPUTE)
    here = {"PYTHONPATH": str(Path(__file__).parents[3]), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, str(made / "compute.py"), str(file), str(made / "two")],
        capture_output=True, text=True, env=os.environ | here, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return made


def told(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """By attack, the records of its row but for seconds, which nobody measures twice."""
    store, found = RowStore(folder / "rows"), {}
    for row in store.scan().rows:
        assert row.status == "ok", row.error
        assert row.attack
        records = [*store.read_samples(row)]
        found[row.attack.name] = [each for each in records if not str(each["id"]).startswith("seconds")]
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_two_processes_find_what_one_finds(folder: Path, name: str) -> None:
    one, two = (told(folder / each)[name] for each in ("one", "two"))
    assert len(one) == len(two) > 0
    for left, right in zip(one, two, strict=True):
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert right[key] == (value if isinstance(value, str | list) and not _numbers(value) else _about(value)), (
                key
            )


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, float | list) for each in value)


def _about(value: Any) -> Any:
    """The same but for rounding, however deep numbers lie."""
    if isinstance(value, dict):
        return {key: _about(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_about(each) for each in value]
    return pytest.approx(value, abs=2e-3) if isinstance(value, float) else value
