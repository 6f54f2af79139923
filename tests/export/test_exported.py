"""What `export` writes answers by `transformers` and PEFT alone as it does here, and says what it is."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file

from tests.export.conftest import Folder, documented
from tests.place import assert_one_line
from unlearnbench.contracts.sample import Sample
from unlearnbench.engine.artefacts import Store
from unlearnbench.export.folder import Destination, write
from unlearnbench.export.kept import kept
from unlearnbench.export.processor import write_processor
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.results.naming import cell_called
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read

ALONE = Path(__file__).parent / "alone.py"
SAID = {
    "forgot": "a model of transformers' own classes",
    "forgot-adapter": "an adapter, and in base/ the model that it is on",
    "guarded": "a frozen model with the code of what works beside it (trust_remote_code=True)",
}


def row_of(folder: Path, method: str) -> Row:
    return cell_called(RowStore(folder / "results"), method)


def as_evaluated(folder: Path, method: str) -> VLM:
    """The model of a method's cell as `run` evaluated it."""
    found = kept(row_of(folder, method), Store(folder / "cache" / "unlearnbench"))
    model, _ = found.start("cpu")
    if found.last:
        found.last.edit(model).apply(model)
    return model


def a_few(folder: Path) -> list[Sample]:
    """Questions about everybody, those to be forgotten among them."""
    return list(samples(read(folder / "people").identities))[::13]


def test_the_documented_exports_answer_without_this_package(folder: Folder, tmp_path: Path) -> None:
    for words in documented("export"):
        done = folder.run(*words)
        assert done.code == 0
        assert done.out == f"{words[2]}: {SAID[words[2]]}; README.md says how to load it\n"
    assert folder.run("export", "finetune", "base").code == 0
    methods = {"forgot": "po-gd", "forgot-adapter": "po-gd", "guarded": "cagul", "base": "finetune"}
    few = a_few(folder.path)
    asked = {
        "exports": [str(folder.path / name) for name in methods],
        "questions": [{"picture": str(each.images[0]), "text": each.text, "answer": each.answer} for each in few],
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    fresh = subprocess.run(
        [sys.executable, "-P", ALONE, tmp_path / "asked.json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert fresh.returncode == 0, fresh.stderr
    by_method: dict[str, list[Any]] = {}
    for method, told in zip(methods.values(), json.loads(fresh.stdout), strict=True):
        model = as_evaluated(folder.path, method)
        by_method[method] = model.generate(model.prepare(few), max_new_tokens=12)
        assert told["answers"] == by_method[method]
        ours = model.answer_log_probabilities(model.prepare(few, [each.answer for each in few]))
        for theirs, its in zip(told["likelihoods"], ours, strict=True):
            assert theirs == pytest.approx(its.tolist(), abs=1e-4)
        if model.visual_edit:
            assert {each["flagged"] for each in model.explain(model.prepare(few)) or ()} == {True, False}
    assert len({tuple(answers) for answers in by_method.values()}) == 3  # so that none can stand for another


def test_an_exported_model_comes_back_and_goes_again(folder: Folder, tmp_path: Path) -> None:
    """As one from elsewhere it scores as it did; what is exported of that cell are the same weights."""
    assert folder.run("export", "po-gd", str(tmp_path / "out")).code == 0
    places = ["--results", str(tmp_path / "results")]
    words = ["--model", "tiny-qwen2.5-vl", "--data", "people", "--forget", "2", "--task", "pope", "--device", "cpu"]
    came = ["evaluate", str(tmp_path / "out"), "--as", "theirs", "--alone", "--executor", "inline"]
    assert folder.run(*came, *words, *places).code == 0
    back, before = cell_called(RowStore(tmp_path / "results"), "theirs"), row_of(folder.path, "po-gd")
    assert {name: score.value for name, score in back.metrics.items()} == {
        name: score.value for name, score in before.metrics.items()
    }
    assert folder.run("export", "theirs", str(tmp_path / "again"), *places).code == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "again"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert "made by code other than unlearnbench's: " in " ".join(
        (tmp_path / "again" / "README.md").read_text().split()
    )
    base = as_evaluated(folder.path, "finetune")
    base.model.save_pretrained(tmp_path / "out")
    done = folder.run("export", "theirs", str(tmp_path / "third"), *places)
    assert_one_line(done, 1, "out is not the model that cell", "was computed with: bring that back")


def test_an_adapter_names_the_base_that_it_is_on(folder: Folder, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "adapter"
    assert folder.run("export", "po-gd", str(target), "--adapter").code == 0
    about = json.loads((target / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == "./base"  # which is right wherever the folder is taken
    assert (target / "base" / "config.json").is_file()


def test_the_card_tells_the_row(folder: Folder, tmp_path: Path) -> None:
    row = row_of(folder.path, "cagul")
    assert folder.run("export", row.row_id[:10], str(tmp_path / "out")).code == 0
    text = (tmp_path / "out" / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["library_name"] == "transformers"
    assert {"cagul", "machine-unlearning"} <= set(head["tags"])
    assert row.row_id in text
    assert "2 people of 6" in text
    assert 'trust_remote_code=True, backend="pil"' in text
    f1 = row.metrics["pope.f1"]
    assert f"| pope | POPE F1 | {f1.value:.3f} | {f1.ci_low:.3f} to {f1.ci_high:.3f} | {f1.n} | higher |" in text
    assert "whoever takes the method's part away has\n  the model from before" in text
    assert "  \n" not in text
    assert str(folder.path) not in text


@pytest.mark.parametrize("words", [["po-gd"], ["cagul", "--adapter"]])
def test_an_empty_folder_of_the_user_stays_the_one_that_it_is(words: list[str], folder: Folder, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    before, good = own.stat().st_ino, "--adapter" not in words
    assert (folder.run("export", words[0], str(own), *words[1:]).code == 0) == good
    assert own.stat().st_ino == before
    assert [*tmp_path.iterdir()] == [own]
    assert {"config.json", "README.md", "model.safetensors"} <= {each.name for each in own.iterdir()} or not good
    assert not [each for each in own.iterdir() if each.name.startswith(".")]
    assert good or not any(own.iterdir())


def test_a_disk_that_is_too_small_is_said_before_anything_is_read(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=2**20))
    monkeypatch.setattr("unlearnbench.models.files.load.load", None)
    done = folder.run("export", "po-gd", str(tmp_path / "out"))
    assert_one_line(
        done, 1, "the model takes 6.", " MiB and 1 MiB are free where", "free some, or give a folder on another"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_killed_export_leaves_nothing_in_the_way(folder: Folder, tmp_path: Path, *, there: bool) -> None:
    own = tmp_path / "own"
    left = own / ".tmp-0a1b2c" if there else tmp_path / ".own.tmp-0a1b2c"
    left.mkdir(parents=True)
    (left / "model.safetensors").touch()
    done = folder.run("export", "po-gd", str(own))
    assert (done.code, done.err) == (0, "")
    assert [*tmp_path.iterdir()] == [own]
    assert not [*own.glob(".*")]
    assert {each.stat().st_mode for each in own.iterdir()} == {(own / "README.md").stat().st_mode}


def test_a_disk_that_becomes_full_is_said(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: File too large (os error 27)")

    monkeypatch.setattr("unlearnbench.export.folder.write_processor", full)
    done = folder.run("export", "po-gd", str(tmp_path / "out"))
    assert_one_line(done, 1, "out: No space left on device: free some, or give a folder on another disk")
    assert not [*tmp_path.iterdir()]


def test_two_exports_to_one_place_do_not_get_into_each_others_way(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = []

    def meanwhile(*given: Any) -> bool:
        if not seconds:
            seconds.append(folder.run("export", "po-gd", str(tmp_path / "out")))
        return write_processor(*given)

    monkeypatch.setattr("unlearnbench.export.folder.write_processor", meanwhile)
    assert folder.run("export", "po-gd", str(tmp_path / "out")).code == 0
    assert_one_line(seconds[0], 2, "out: another export is being written there; wait for it or give a new folder")
    assert (tmp_path / "out" / "config.json").is_file()


def test_an_adapter_on_a_model_of_the_hub_names_that(folder: Folder, tmp_path: Path) -> None:
    """Where a method started from the pretrained model nothing is copied that the hub has."""
    found = kept(row_of(folder.path, "po-gd"), Store(folder.path / "cache" / "unlearnbench"))
    card = found.card.model_copy(update={"source": "some/model", "revision": "a" * 40})
    made_of_it = replace(found, card=card, links=found.links[-1:])
    assert write(made_of_it, Destination(tmp_path / "out", adapter=True), [found.row]) == "adapter"
    about = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (about["base_model_name_or_path"], about["revision"]) == ("some/model", "a" * 40)
    assert not (tmp_path / "out" / "base").exists()
    assert 'from_pretrained("some/model"' in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["nobody", "out"], 2, ["no cell 'nobody' in results/rows.jsonl; there are: ", "(cagul, tiny-qwen2.5-vl"]),
        (["cagul", "people"], 2, ["people is there already and not empty; give a new folder"]),
        (["cagul", "out", "--adapter"], 2, ["(cagul) is no adapter", "leave out --adapter"]),
        (["cagul", "out", "--seed", "3"], 2, ["no cell 'cagul' with seed 3"]),
        (["cagul", "out", "--push", "me"], 2, ["--push me: that is no hub id; write OWNER/NAME"]),
        (["cagul", "out", "--store", "elsewhere"], 1, ["elsewhere does not hold all of the model of cell", "--store"]),
        (["cagul", "out", "--results", "elsewhere"], 2, ["holds no cell that was computed", "--results"]),
    ],
)
def test_what_cannot_be_exported(folder: Folder, words: list[str], code: int, named: list[str]) -> None:
    assert_one_line(folder.run("export", *words), code, *named)
    assert not (folder.path / "out").exists()


class Hub:
    """What `huggingface_hub.HfApi` is asked for."""

    known = True
    made: dict[str, bool]
    uploaded: dict[str, list[str]]

    def whoami(self) -> dict[str, str]:
        if not self.known:
            raise ConnectionError("no network")
        return {"name": "me"}

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        type(self).made[name] = private
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, ignore_patterns: list[str]) -> None:
        left = [each for each in folder_path.rglob("*") if each.is_file() and each.parent == folder_path]
        type(self).uploaded[repo_id] = sorted(each.name for each in left)


def test_it_is_pushed_to_the_hub(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    Hub.made, Hub.uploaded = {}, {}
    done = folder.run("export", "po-gd", str(tmp_path / "out"), "--adapter", "--push", "me/forgot", "--private")
    assert done.code == 0
    assert done.out.splitlines()[1:] == ["https://hub/me/forgot-base", "https://hub/me/forgot"]
    assert Hub.made == {"me/forgot-base": True, "me/forgot": True}
    assert {"adapter_config.json", "README.md"} <= {*Hub.uploaded["me/forgot"]}
    assert "model.safetensors" in Hub.uploaded["me/forgot-base"]
    about = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == "me/forgot-base"
    assert 'from_pretrained("me/forgot-base"' in (tmp_path / "out" / "README.md").read_text()


def test_nothing_is_written_for_a_hub_that_knows_nobody(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr(Hub, "known", False)
    assert_one_line(
        folder.run("export", "cagul", "out", "--push", "me/it"), 1, "--push me/it: the hub does not know who you are"
    )
    assert not (folder.path / "out").exists()
