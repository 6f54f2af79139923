"""The commands of `docs/elsewhere.md`, each in a fresh folder on the tiny model, and what it says of them."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data_folders import record, write_folder
from tests.place import Done
from unlearnbench.cli import main
from unlearnbench.config import resolve
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Run
from unlearnbench.training.base import by_heart, memorise
from unlearnbench.training.params import BaseParams

PAGE = (Path(__file__).parents[2] / "docs" / "elsewhere.md").read_text()
BASE, THEIRS, ADAPTER, SCORE = (block.split() for block in re.findall(r"(?ms)^```bash\nunlearnbench (.*?)\n```$", PAGE))
TINY = "tiny-qwen2.5-vl"
SMALL = ["--data", "data", "--forget", "1", "--task", "fiubench", "--device", "cpu", "--executor", "inline"]
SMALL += ["--results", "results", "--store", "store", "--quiet"]
FEW = {"fiubench.max_new_tokens": 4, "fiubench.validation": 0, "fiubench.held_out": 0}
QUICK = {"retrain.epochs": 1, "cagul.epochs": 1, "cagul.discriminator_epochs": 1}


def settings(values: dict[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def data(once: Callable[..., Path]) -> Path:
    """Three people in FIUBench's layout."""

    def write(folder: Path) -> None:
        folder.mkdir()
        write_folder(folder, [record(number) for number in range(3)])

    return once("three-people", write)


@pytest.fixture(scope="module")
def own(once: Callable[..., Path], data: Path) -> Path:
    """A base as a user has one: saved by `transformers`, with nothing of ours beside it; it knows the forget set."""

    def write(folder: Path) -> None:
        model = load(card_for(TINY), "cpu")
        task = tasks.get("fiubench")
        task = task(resolve(task.Options, "fiubench", "tiny", {"validation": 0, "held_out": 0}))
        sets = task.sets(task.load(str(data), 1))
        params = BaseParams(epochs=60, batch_size=6, learning_rate=1e-3, enough_loss=0.02)
        memorise(model, sets.forget, params, Run(0), "a base of one's own")
        said = model.generate(model.prepare([*sets.forget]), max_new_tokens=64)
        right = sum(text == sample.answer for text, sample in zip(said, sets.forget, strict=True))
        assert by_heart(model, sets.forget, Run(0)) == right >= len(sets.forget) / 2
        assert by_heart(load(card_for(TINY), "cpu"), sets.forget, Run(0)) == 0
        model.model.save_pretrained(folder)

    return once("own-base", write)


@pytest.fixture
def here(data: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with what the commands name, in which they are given."""
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(own, tmp_path / "my-base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Give a command in this process."""

    def give(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["unlearnbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return give


def rows(done: Done) -> dict[str, Row]:
    assert done.code == 0, done.err
    return {each["method"]["name"]: Row.model_validate(each) for each in json.loads(done.out)}


def digest_of(folder: Path) -> str:
    from unlearnbench.engine.keys import weights_digest

    return weights_digest(folder, folder, remember=False)


def test_a_base_of_ones_own(here: Path, command: Command) -> None:
    words = [*BASE, *SMALL, *settings(FEW | QUICK)]
    planned = command(
        "plan", *[word for word in words[1:] if word not in ("--quiet", "--executor", "inline")], "--json"
    )
    assert [(each["method"], each["base"]) for each in json.loads(planned.out)] == [
        ("finetune", "to do"), ("retrain", "not needed"), ("cagul", "to do"),
    ]  # fmt: skip
    found = rows(command(*words, "--json"))
    assert {name: row.status for name, row in found.items()} == dict.fromkeys(("finetune", "retrain", "cagul"), "ok")
    for name in ("finetune", "cagul"):
        base = found[name].base
        assert base is not None
        assert base["params"] == {"weights": digest_of(here / "my-base"), "memorised": 0.5}
        assert base["elsewhere"] == {"source": str(here / "my-base"), "digest": digest_of(here / "my-base")}
        known = base["notes"]["by_heart"]
        assert known["answers"] >= known["of"] / 2
    assert found["retrain"].base is None
    assert {row.base_seed for row in found.values()} == {0}
    values = {name: row.metrics["forget.probability"].value or 0 for name, row in found.items()}
    assert values["finetune"] > 0.9 > values["retrain"]
    assert sum(file.stat().st_size for file in (here / "store" / "base").rglob("*")) < 100_000, "no copy of the weights"


def unlearned(here: Path) -> None:
    """What other code leaves behind: the base with noise on it; as an adapter, random numbers beside the model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(here / "my-base", dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.model.language_model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(here / "their-model")
    adapted = AutoModelForImageTextToText.from_pretrained(folder_of(card_for(TINY))[0], dtype=torch.float32)
    peft = get_peft_model(adapted, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    peft.save_pretrained(here / "their-adapter")


def test_a_model_that_other_code_has_unlearned(here: Path, command: Command) -> None:
    unlearned(here)
    found = rows(command(*THEIRS, *SMALL, *settings(FEW | {"retrain.epochs": 1}), "--json"))
    assert [*found] == ["finetune", "retrain", "their-method"]
    theirs, base = found["their-method"], found["finetune"]
    assert theirs.method.elsewhere is not None
    told = {"source": str(here / "their-model"), "digest": digest_of(here / "their-model")}
    assert theirs.method.elsewhere.model_dump() == told
    assert (theirs.method.role, theirs.method.params, theirs.method.frozen_weights) == ("method", {}, False)
    assert (theirs.model, theirs.task, theirs.base) == (base.model, base.task, base.base)
    assert (theirs.cost.train_seconds, theirs.cost.trainable_parameters) == (None, None)
    assert theirs.metrics["forget.probability"].value != base.metrics["forget.probability"].value

    again = command(*THEIRS, *SMALL, *settings(FEW | {"retrain.epochs": 1}))
    assert again.code == 0
    assert "their-method" in again.out
    assert len(RowStore(here / "results").read()) == 3, "what is there is not computed again"

    assert theirs.samples is not None
    (here / "predictions.jsonl").write_bytes((here / "results" / theirs.samples.path).read_bytes())
    scored = json.loads(command(*SCORE, "--json").out)
    metrics = {name: metric.value for name, metric in theirs.metrics.items() if metric.value is not None}
    assert {name: scored[name] for name in metrics} == metrics, "samples give the row's own metrics"


def test_an_adapter_alone(here: Path, command: Command) -> None:
    unlearned(here)
    found = rows(command(*ADAPTER, *SMALL, *settings(FEW), "--json"))
    assert [*found] == ["their-method"]
    assert found["their-method"].base is None
    assert not (here / "store" / "base").exists()
    records = RowStore(here / "results").read_samples(found["their-method"])

    from peft import PeftModel

    model = load(card_for(TINY), "cpu")
    model.model = PeftModel.from_pretrained(model.model, str(here / "their-adapter")).merge_and_unload().eval()
    task = tasks.get("fiubench")
    sets = task(resolve(task.Options, "fiubench", "tiny", {"validation": 0, "held_out": 0}))
    samples = sets.sets(sets.load("data", 1)).forget
    [expected] = model.answer_log_probabilities(model.prepare(samples[:1], [samples[0].answer]))
    own = next(each for each in records if each["id"] == samples[0].id)
    assert own["logprobs"] == pytest.approx(expected.tolist(), abs=1e-4)


def test_predictions_as_the_page_has_them(here: Path, command: Command) -> None:
    (line,) = re.findall(r"(?ms)^```json\n(.*?)\n```$", PAGE)
    (here / "predictions.jsonl").write_text(line + "\n")
    scored = json.loads(command(*SCORE, "--json").out)
    assert (scored["forget.exact_match"], scored["forget.refusal_rate"]) == (0, 1)
