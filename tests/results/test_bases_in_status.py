"""`status` tells the bases apart that cells of one grid are made from: kinds, and models from elsewhere."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.place import EARLIER
from unlearnbench.cli import app
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import announce
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.engine.rows import base_of
from unlearnbench.results.cells import Announced, Cells
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore


def cell(tmp_path: Path, model: Path, data: Path, **options: Any) -> Plan:
    given: dict[str, Any] = {"methods": ["finetune"], "tasks": ["fiubench"], "forget": [2], "device": "cpu"} | options
    [made] = plan(RunConfig(models=[str(model)], data=str(data), **given), Store(tmp_path / "store"), dry=True)
    return made


def status(folder: Path) -> tuple[list[str], str]:
    shown, told = (CliRunner().invoke(app, ["status", str(folder), *words]) for words in ((), ("--json",)))
    return [each["base"] for each in json.loads(told.stdout)], shown.stdout


def test_cells_of_several_bases_say_which(tmp_path: Path, random_model: Path, small_data: Path) -> None:
    results = RowStore(tmp_path / "results")
    announce([cell(tmp_path, random_model, small_data)], results)
    announce([cell(tmp_path, random_model, small_data, methods=["pretrain"])], results)
    bases, shown = status(results.folder)
    assert bases == ["full", ""]  # nothing is to be told apart: one of them is made from no base
    assert "base" not in shown.partition("\n")[0]
    brought = cell(tmp_path, random_model, small_data, base_model=str(random_model))
    announce([cell(tmp_path, random_model, small_data, settings={"base": {"full": (False,)}}), brought], results)
    elsewhere = f"{random_model}#{base_of(brought)['elsewhere']['digest'][:8]}"
    bases, shown = status(results.folder)
    assert sorted(bases) == sorted(["", "full", "lora", elsewhere])
    heading, *lines = shown.splitlines()
    assert heading.split()[5] == "base"
    assert sum(elsewhere in line for line in lines) == 1


def test_cells_that_earlier_versions_announced_have_it_from_their_rows(tmp_path: Path) -> None:
    results = RowStore(tmp_path)
    for number, kind in enumerate(("lora", "full")):
        base = {"kind": kind, "params": {}}
        results.append(Row.model_validate(EARLIER | {"row_id": kind, "seed": number, "base": base}))
    Cells(results).announce([Announced(row_id="lora", method="m", model="x", task="t", seed=0)])
    assert sorted(status(tmp_path)[0]) == ["full", "lora"]
