"""``unlearnbench run`` and ``plan`` as commands: what they print, how they exit, and what they leave alone."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.place import TINY, Done, Place, assert_one_line

Edit = Callable[[Path], None]


# ------------------------------------------------------------------------------------------------ what the command says
USAGE: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "method": ({"method": "finetune,cagull"}, ("no method 'cagull'", "did you mean 'cagul'?")),
    "model": ({"model": "tiny-qwen2.5-vll"}, ("no model 'tiny-qwen2.5-vll'", "did you mean 'tiny-qwen2.5-vl'?")),
    "second model": ({"model": "tiny-qwen2.5-vl,qwen2.5-vl-7"}, ("no model 'qwen2.5-vl-7'", "did you mean")),
    "hub id": ({"model": "some body/some model"}, ("'some body/some model'", "OWNER/NAME")),
    "task": ({"task": "mme,fiubnch"}, ("no task 'fiubnch'", "did you mean 'fiubench'?")),
    "forget as many": ({"forget": "6"}, ("--forget 6", "6 identities", "from 1 to 5")),
    "forget more": ({"forget": "60"}, ("--forget 60", "6 identities", "from 1 to 5")),
    "forget nobody": ({"forget": "0"}, ("--forget 0", "from 1 to 5")),
    "forget less": ({"forget": "-1"}, ("--forget -1", "from 1 to 5")),
    "split": ({"forget": "forget11"}, ("--forget forget11", "one of: forget10, forget20")),
    "parameter": ({"set": "base.epoch=1"}, ("--set base.epoch", "did you mean 'epochs'?")),
    "parameter of a task": ({"set": "fiubench.score=strict"}, ("--set fiubench.score", "did you mean 'scorer'?")),
    "type": ({"set": "base.epochs=many"}, ("--set base.epochs=many", "valid integer", "its parameters: epochs")),
    "range": ({"set": "mme.batch_size=0"}, ("--set mme.batch_size=0", "greater than", "unlearnbench show mme")),
    "choice": ({"set": "fiubench.scorer=loose"}, ("--set fiubench.scorer=loose", "'strict' or 'fiubench'")),
    "owner": ({"set": "cagul.k=4"}, ("--set cagul.", "'cagul' is not part of this run", "finetune, fiubench")),
    "form": ({"set": "k=4"}, ("--set k=4", "OWNER.PARAM=VALUE")),
    "seed": ({"seed": "0,one"}, ("--seed one", "whole number")),
    "base seed": ({"base-seed": "one"}, ("--base-seed one", "whole number")),
    "device": ({"device": "tpu"}, ("--device tpu", "cpu, cuda")),
    "data": ({"data": "embeded"}, ("--data embeded", "embedded, or hub")),
    "option": ({"methode": "cagul"}, ("--methode", "--help")),
    "plug-in": ({"plugin": "nowhere.py"}, ("no Python file nowhere.py", "--plugin")),
}


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_word_is_named_with_the_fix(place: Place, verb: str, name: str) -> None:
    options, named = USAGE[name]
    done = place.run(verb, **options)
    assert_one_line(done, 2, *named)
    assert done.out == ""
    assert place.rows() == place.earlier
    assert not list(place.store.glob("*/*"))


def test_all_of_a_command_is_checked_before_any_of_it_is_run(place: Place) -> None:
    done = place.run("run", "--set", "base.epochs=1,0", **TINY)
    assert_one_line(done, 2, "--set base.epochs=0")
    assert place.rows() == place.earlier


def test_a_model_folder_without_a_model_is_named(place: Place) -> None:
    done = place.run(model=str(place.data))
    assert_one_line(done, 2, f"model folder {place.data} has no config.json", "save_pretrained")


# ----------------------------------------------------------------------------------------------------------- the data
def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]


def drop_a_question(folder: Path) -> None:
    people = records(folder)
    people[1]["unique_id"] = "shorty"
    people[1]["qa_list"].pop()
    (folder / "full.json").write_text("\n".join(map(json.dumps, people)))
    (folder / "split.json").write_text("{}")


def make_a_folder(folder: Path) -> None:
    (folder / "full.json").unlink()
    (folder / "full.json").mkdir()


def picture(folder: Path) -> Path:
    return min((folder / "SFHQ").iterdir())


def cut(path: Path, bytes_left: int) -> None:
    path.write_bytes(path.read_bytes()[:bytes_left])


DATA: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "full.json missing": (lambda d: (d / "full.json").unlink(), ("full.json is missing", "data make DIR")),
    "full.json truncated": (
        lambda d: cut(d / "full.json", -40),
        ("full.json, line 6", "truncated", "or copy it again"),
    ),
    "full.json empty": (lambda d: cut(d / "full.json", 0), ("full.json holds no identity", "data make DIR")),
    "full.json a folder": (make_a_folder, ("full.json cannot be read", "data make DIR")),
    "split.json missing": (lambda d: (d / "split.json").unlink(), ("split.json is missing", "data make DIR")),
    "split of unknown ids": (
        lambda d: (d / "split.json").write_text('{"forget10": ["who"]}') and None,
        ("split.json: split 'forget10'", "'who'", "use the split.json that belongs"),
    ),
    "picture missing": (lambda d: picture(d).unlink(), ("SFHQ_pt1_", "of identity", "is missing", "SFHQ/")),
    "picture truncated": (lambda d: cut(picture(d), 200), ("SFHQ_pt1_", "cannot be decoded", "replace it")),
    "picture no picture": (lambda d: picture(d).write_text("?") and None, ("SFHQ_pt1_", "not an image")),
    "question missing": (drop_a_question, ("identity shorty has 19 questions instead of 20", "complete its qa_list")),
    "scene missing": (
        lambda d: (d / "pope/images/0001.png").unlink(),
        ("coco_pope_", "picture '0001.png' is missing", "data fetch pope"),
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_damaged_data_are_named_with_the_fix(place: Place, name: str) -> None:
    damage, named = DATA[name]
    damage(place.data)
    done = place.run()
    assert_one_line(done, 1, *named)
    assert done.out == ""
    assert place.rows() == place.earlier


def test_nobody_at_home_in_the_data_folder(place: Place) -> None:
    done = place.run(data=str(place.folder))
    assert_one_line(done, 1, str(place.folder / "full.json"), "give a folder in FIUBench's layout")


# -------------------------------------------------------------------------------------------------------- the folders
@pytest.mark.parametrize("option", ["results", "store"])
@pytest.mark.parametrize("below", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(place: Place, option: str, below: str) -> None:
    """A file stands where the folder should be, which stops even the superuser that tests often are."""
    (place.folder / "file").write_text("mine")
    done = place.run(**{option: str(place.folder / below)})
    assert_one_line(done, 1, str(place.folder / "file"), f"--{option}")
    assert (place.folder / "file").read_text() == "mine"
    assert place.rows() == place.earlier


def test_folders_are_made_with_their_parents(place: Place) -> None:
    new = place.folder / "not" / "yet"
    assert place.run(results=str(new / "results"), store=str(new / "store"), **TINY).code == 0
    assert (new / "results" / "rows.jsonl").is_file()
    assert (new / "store").is_dir()


def test_rows_that_are_no_file_are_named(place: Place) -> None:
    (place.folder / "other" / "rows.jsonl").mkdir(parents=True)
    assert_one_line(place.run(results=str(place.folder / "other")), 1, "other/rows.jsonl", "--results")


# ---------------------------------------------------------------------------------------------------------- the model
def test_too_little_memory_is_one_line_and_an_error_row(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    done = place.run(method="finetune,pretrain", task="mme,pope")
    assert_one_line(done, 1, str(place.model), "GiB are free", "use a smaller model or a larger machine")
    assert place.rows().startswith(place.earlier)
    new = [json.loads(line) for line in place.rows().splitlines()[1:]]
    assert [(row["status"], row["error"]["type"]) for row in new] == [("error", "ModelError")] * 4
    assert "ModelError" in done.out

    monkeypatch.undo()
    before = place.rows()
    done = place.run("run", **TINY)
    assert done.code == 0
    assert place.rows().startswith(before)


def test_damaged_weights_are_named(place: Place) -> None:
    place.model = shutil.copytree(place.model, place.folder / "damaged")
    cut(place.model / "model.safetensors", -1000)
    done = place.run("run", "--quiet", **TINY)
    assert_one_line(done, 1, "model.safetensors is no safetensors file (cut short: ", "copy or download it again")
    assert place.rows() == place.earlier


def test_weights_that_lack_a_part_are_named(place: Place) -> None:
    from safetensors.torch import load_file, save_file

    place.model = shutil.copytree(place.model, place.folder / "damaged")
    weights = load_file(place.model / "model.safetensors")
    name = next(name for name in weights if "layers.2" in name)
    weights.pop(name)
    save_file(weights, place.model / "model.safetensors", {"format": "pt"})
    done = place.run("run", "--quiet", **TINY)
    assert_one_line(done, 1, "damaged lack", name.rpartition("layers.2")[2], "save or download the model again")


# ---------------------------------------------------------------------------------------------------- what it prints
def test_rows_are_printed_as_json_and_as_a_table(place: Place) -> None:
    done = place.run("run", "--json", **TINY)
    assert done.code == 0
    [row] = json.loads(done.out)
    assert (row["method"]["name"], row["task"]["name"], row["status"]) == ("pretrain", "pope", "ok")
    written = json.loads(place.rows().splitlines()[-1])
    assert written.pop("crc32")
    assert written == row
    assert len(row["model"]["template_digest"]) == 64
    assert "pope: asking" in done.err

    content = place.rows()
    again = place.run("run", "--json", "--quiet", **TINY)
    assert (again.code, json.loads(again.out), again.err) == (0, [row], "")
    table = place.run("run", **TINY)
    assert "pretrain" in table.out
    assert "rows.jsonl" in table.out
    assert table.err == ""
    assert place.rows() == content


def test_a_failed_cell_is_printed_as_json_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlearnbench.tasks.pope.task.POPETask.evaluate", lambda *_: 1 / 0)
    done = place.run("run", "--json", **TINY)
    assert_one_line(done, 1, "pretrain on pope: ZeroDivisionError: division by zero")
    [row] = json.loads(done.out)
    assert row["error"] == {"type": "ZeroDivisionError", "message": "division by zero", "log": None}


@pytest.mark.parametrize("words", [["run", "--dry-run"], ["plan"]])
def test_a_plan_touches_nothing(place: Place, words: list[str]) -> None:
    def listing() -> list[tuple[str, int, int]]:
        files = [place.folder, *place.folder.rglob("*")]
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files]

    os.utime(place.model / "model.safetensors", (1, 1))
    before = listing()
    done = place.run(*words, "--task", "fiubench,pope", method="finetune,cagul")
    assert (done.code, listing()) == (0, before)
    assert "cagul" in done.out
    place.store.mkdir()
    before = listing()
    done = place.run(*words, "--json", "--task", "fiubench,pope", method="pretrain,cagul", results="not/there/yet")
    assert (done.code, listing()) == (0, before)
    cells = json.loads(done.out)
    assert [(cell["method"], cell["task"], cell["base"], cell["unlearned"], cell["row"]) for cell in cells] == [
        ("pretrain", "fiubench", "not needed", "to do", "to do"),
        ("pretrain", "pope", "not needed", "to do", "to do"),
        ("cagul", "fiubench", "to do", "to do", "to do"),
        ("cagul", "pope", "to do", "to do", "to do"),
    ]


def test_a_plan_knows_what_is_done(place: Place) -> None:
    assert place.run("run", **TINY).code == 0
    done = place.run("plan", "--task", "pope,mme", "--json", "--set", "pope.max_new_tokens=2", method="pretrain")
    cells = json.loads(done.out)
    assert [(cell["task"], cell["unlearned"], cell["row"]) for cell in cells] == [
        ("pope", "cached", "done"),
        ("mme", "cached", "to do"),
    ]


# -------------------------------------------------------------------------------------- as a process of its own, too
def real(installation: Any, place: Place, *words: str, **environment: str) -> Done:
    done = installation.run(*words, HF_HOME=str(place.folder / "hub"), **environment)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        ({"method": "cagull"}, 2, ("did you mean 'cagul'?",)),
        ({"set": "base.epochs=x"}, 2, ("--set base.epochs=x",)),
        ({"data": "."}, 1, ("full.json",)),
        ({"results": "/dev/null/below"}, 1, ("/dev/null", "--results")),
    ],
)
def test_a_process_ends_in_one_line_too(
    place: Place, installation: Any, options: dict[str, str], code: int, named: tuple[str, ...]
) -> None:
    assert_one_line(real(installation, place, *place.words("run", **options)), code, *named)


@pytest.mark.parametrize("model", ["qwen2.5-vl-3b", "somebody/some-model"])
@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_a_model_of_the_hub_is_named(
    place: Place, installation: Any, model: str, environment: dict[str, str]
) -> None:
    """Port 9 of this machine answers nobody: the attempt really fails."""
    # A large model is first counted, for a GPU that is not here; no base, and so no line that says which.
    large = ("--dry-run", "--gpu-memory", "80") if model == "qwen2.5-vl-3b" else ()
    done = real(installation, place, *place.words("run", *large, model=model, method="pretrain"), **environment)
    assert_one_line(done, 1, "hf download", "--model a local folder")
    assert place.rows() == place.earlier


def test_without_a_network_data_of_the_hub_are_named(place: Place, installation: Any) -> None:
    words = place.words("run", "--task", "fiubench", data="hub")
    assert_one_line(real(installation, place, *words, HF_HUB_OFFLINE="1"), 1, "gray311/FIUBench", "--data DIR")


def test_a_plan_downloads_nothing(place: Place, installation: Any) -> None:
    words = place.words("plan", "--gpu-memory", "80", model="qwen2.5-vl-7b", method="pretrain", device=None)
    done = real(installation, place, *words, HF_ENDPOINT="http://127.0.0.1:9")
    assert_one_line(done, 1, "Qwen/Qwen2.5-VL-7B-Instruct", "nothing may be downloaded now", "hf download")


def test_pictures_of_other_modes_are_read(place: Place) -> None:
    path = picture(place.data)
    with Image.open(path) as image:
        image.convert("P").save(path)
    assert place.run("plan", "--task", "fiubench").code == 0


@pytest.mark.slow
def test_a_diverging_run_is_an_error_row_and_the_others_finish(place: Place) -> None:
    words = ["run", "--task", "pope", "--quiet", "--set", "base.epochs=1", "--set", "po-gd.learning_rate=10,0.001"]
    done = place.run(*words, "--set", "po-gd.epochs=3", method="finetune,po-gd")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "po-gd on pope: training diverged" in done.err
    assert "lower the learning rate" in done.err
    rows = [json.loads(line) for line in place.rows().splitlines()[1:]]
    assert [(row["method"]["name"], row["status"]) for row in rows] == [
        ("finetune", "ok"),
        ("po-gd", "error"),
        ("po-gd", "ok"),
    ]
    assert rows[1]["error"]["type"] == "UnlearnbenchError"
    assert rows[1]["metrics"] == {}
    assert (rows[0]["method"]["role"], rows[2]["method"]["role"]) == ("reference", "method")
    assert [row["method"]["n_trials_tuned"] for row in rows] == [None, None, None]
    assert rows[2]["cost"]["samples_per_second"] > 0
    assert rows[2]["cost"]["peak_memory_bytes"] > 10**8

    shown = place.run("--debug", *words[:-1], "po-gd.learning_rate=10", "--set", "po-gd.epochs=3", method="po-gd")
    assert "Traceback (most recent call last)" in shown.err


def test_a_variant_is_its_parameters(place: Place) -> None:
    done = place.run("plan", "--task", "pope", "--set", "cagul.variant=full,no-encoder", "--json", method="cagul")
    assert len(json.loads(done.out)) == 2
    same = place.run("plan", "--task", "pope", "--set", "cagul.encoder=noise", "--json", method="cagul")
    assert json.loads(same.out)[0]["row_id"] == json.loads(done.out)[1]["row_id"]
    wrong = place.run("run", "--set", "cagul.variant=no-encode", method="cagul")
    assert wrong.code == 2
    assert "cagul has no such variant; did you mean 'no-encoder'" in wrong.err
    assert place.run("run", "--set", "finetune.variant=full").code == 2
