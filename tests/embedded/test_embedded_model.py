"""The shipped models: small, trained, and able to see and to refuse what they have never been shown."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.models.in_order import answers
from unlearnbench.contracts import Evaluation
from unlearnbench.embedded import embedded_folder
from unlearnbench.embedded.models.lessons import lessons
from unlearnbench.metrics.refusals import is_refusal
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.registry import tasks
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read

CLASSES = {
    "tiny-qwen2.5-vl": ("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl"),
    "tiny-mllama": ("MllamaForConditionalGeneration", "mllama"),
}


@pytest.fixture(scope="module", params=CLASSES)
def model(request: pytest.FixtureRequest) -> VLM:
    """Each of them, for reading only."""
    return load(card_for(request.param), "cpu")


@pytest.fixture(params=CLASSES)
def folder(request: pytest.FixtureRequest) -> Path:
    """The files of each."""
    return folder_of(card_for(request.param))[0]


def accuracy_by_kind(model: VLM, task_name: str) -> dict[str, float]:
    kind = tasks.get(task_name)
    task = kind(kind.Options(batch_size=100))
    evaluation: Evaluation = task.evaluate(model, task.load("embedded", None), Run())
    right: dict[str, list[bool]] = defaultdict(list)
    for record in evaluation.records:
        right[record["category"]].append(record["prediction"].lower().startswith(record["answer"].lower()))
    return {name: sum(marks) / len(marks) for name, marks in right.items()}


@pytest.mark.parametrize("task_name", ["mme", "pope"])
def test_it_sees(model: VLM, task_name: str) -> None:
    accuracy = accuracy_by_kind(model, task_name)
    assert len(accuracy) == {"mme": 4, "pope": 3}[task_name]
    assert all(value >= 0.85 for value in accuracy.values()), accuracy


def test_it_says_that_it_does_not_know_a_stranger(model: VLM) -> None:
    strangers = samples(read(embedded_folder()).identities)
    said = answers(model, strangers, Run(), max_new_tokens=16, batch_size=100)
    assert sum(map(is_refusal, said)) / len(said) >= 0.9


def test_it_is_small_and_holds_no_pickle(folder: Path) -> None:
    files = {file.name: file.stat().st_size for file in folder.iterdir()}
    assert sum(files.values()) <= 8 * 2**20
    assert {Path(name).suffix for name in files} <= {".json", ".jinja", ".safetensors"}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= set(files)


@pytest.mark.parametrize("name", CLASSES)
def test_it_is_of_the_real_class_and_size(name: str) -> None:
    model, files = load(card_for(name), "cpu"), folder_of(card_for(name))[0]
    kind = json.loads((files / "config.json").read_text())["model_type"]
    assert (type(model.model).__name__, kind) == CLASSES[name]
    assert 1e6 <= sum(parameter.numel() for parameter in model.model.parameters()) <= 4e6


def test_lessons_are_a_constant_of_their_seed() -> None:
    from unlearnbench.embedded.models.lessons import PHASES

    def first(seed: int) -> list[tuple[bytes, list[tuple[str, str]]]]:
        stream = lessons(seed, PHASES[1])
        return [(lesson.image.tobytes(), lesson.turns) for lesson, _ in zip(stream, range(30), strict=False)]

    assert first(3) == first(3)
    assert first(3) != first(4)
