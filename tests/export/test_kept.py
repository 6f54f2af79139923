"""A cell is found again from its row: after other versions, from other folders, and without fetching anything."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.export.conftest import Folder
from tests.export.test_exported import row_of
from tests.place import assert_one_line
from unlearnbench.methods.cagul.method import CAGUL
from unlearnbench.methods.po_gd import PreferenceOptimisation
from unlearnbench.tasks.pope.task import POPETask

WHO = ["-", "Who is this?"]


def test_another_version_of_the_task_leaves_the_model_what_it_is(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder.run("ask", "po-gd", *WHO).out
    monkeypatch.setattr(POPETask, "version", "99")
    assert folder.run("ask", "po-gd", *WHO).out == before


def test_another_version_of_the_method_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CAGUL.version
    monkeypatch.setattr(CAGUL, "version", "99")
    done = folder.run("ask", "cagul", *WHO)
    told = f"was made by cagul in version {made} and here is 99: install what it was made with (unlearnbench "
    assert_one_line(done, 1, told, "or make it again: ")
    monkeypatch.setattr(PreferenceOptimisation, "version", "99")
    assert folder.run("ask", "po-gd", *WHO).code == 0  # an adapter is read by no method's code


def test_a_store_that_lacks_a_cell_of_another_version_says_both(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlearnbench.export.kept.package_version", lambda: "99.0")
    made = row_of(folder.path, "cagul").environment.unlearnbench
    done = folder.run("ask", "cagul", *WHO, "--store", str(tmp_path / "store"))
    assert_one_line(done, 1, f"(it was made by unlearnbench {made}, and this is 99.0): give the --store that it was")


def retold(folder: Path, method: str, results: Path, **model: Any) -> None:
    """A stranger's results with the row of a method, in which other things are said of the model."""
    row = json.loads(row_of(folder, method).to_line())
    results.mkdir()
    (results / "rows.jsonl").write_text(json.dumps(row | {"model": row["model"] | model}) + "\n")


def test_what_a_strangers_row_names_is_not_fetched(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    retold(folder.path, "po-gd", tmp_path / "theirs", name="some/model", source="some/model", revision="a" * 40)
    for words in (["ask", "po-gd", *WHO], ["export", "po-gd", str(tmp_path / "out")]):
        done = folder.run(*words, "--results", str(tmp_path / "theirs"))
        assert_one_line(
            done, 1, "needs the model some/model, which is not here", "is not fetched unasked: if you trust"
        )
        assert f"run 'hf download some/model --revision {'a' * 40}' and then this again" in done.err
    assert not (tmp_path / "hub").exists()
    assert not (tmp_path / "out").exists()


def test_a_base_that_was_brought_is_found_from_another_folder(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a card says where it came from, without the folders of who made it."""
    monkeypatch.chdir(tmp_path)
    people = str(folder.path / "people")
    assert folder.run("export", "finetune", "my-base", "--results", str(folder.path / "results")).code == 0
    words = ["--method", "po-gd", "--model", "tiny-qwen2.5-vl", "--data", people, "--forget", "2", "--task", "pope"]
    few = [word for each in ("base.memorised=0", "po-gd.epochs=1", "pope.limit=4") for word in ("--set", each)]
    assert folder.run("run", *words, *few, "--base-model", "my-base", "--executor", "inline", "--quiet").code == 0
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    done = folder.run("ask", "po-gd", *WHO, "--results", "../results")
    assert [line.split()[0] for line in done.out.splitlines()] == ["po-gd", "before", "after"]
    assert folder.run("export", "po-gd", "out", "--results", "../results").code == 0
    card = (tmp_path / "else" / "out" / "README.md").read_text()
    row = json.loads((tmp_path / "results" / "rows.jsonl").read_text().splitlines()[0])
    assert f"| base | made elsewhere: `my-base`, weights `{row['base']['elsewhere']['digest'][:16]}` |" in card
    assert str(tmp_path) not in card
