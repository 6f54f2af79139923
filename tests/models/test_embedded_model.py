"""The shipped model: small, trained, and able to see and to refuse what it has never been shown."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from unlearnbench import models as models_package
from unlearnbench.contracts import Evaluation
from unlearnbench.data.embedded import embedded_folder
from unlearnbench.data.fiubench import read
from unlearnbench.data.questions import samples
from unlearnbench.data.refusals import is_refusal
from unlearnbench.models.asking import answers
from unlearnbench.models.embedded.lessons import lessons
from unlearnbench.models.vlm import VLM
from unlearnbench.registry import tasks
from unlearnbench.training.run import Run

FOLDER = Path(models_package.__file__).parent / "embedded" / "tiny-qwen2.5-vl"


def accuracy_by_kind(model: VLM, task_name: str) -> dict[str, float]:
    kind = tasks.get(task_name)
    task = kind(kind.Options(batch_size=100))
    evaluation: Evaluation = task.evaluate(model, task.load("embedded", None), Run())
    right: dict[str, list[bool]] = defaultdict(list)
    for record in evaluation.records:
        right[record["category"]].append(record["prediction"].lower().startswith(record["answer"].lower()))
    return {name: sum(marks) / len(marks) for name, marks in right.items()}


@pytest.mark.parametrize("task_name", ["mme", "pope"])
def test_it_sees(tiny: VLM, task_name: str) -> None:
    accuracy = accuracy_by_kind(tiny, task_name)
    assert len(accuracy) == {"mme": 4, "pope": 3}[task_name]
    assert all(value >= 0.85 for value in accuracy.values()), accuracy


def test_it_says_that_it_does_not_know_a_stranger(tiny: VLM) -> None:
    strangers = samples(read(embedded_folder()).identities)
    said = answers(tiny, strangers, Run(), max_new_tokens=16, batch_size=100)
    assert sum(map(is_refusal, said)) / len(said) >= 0.9


def test_it_is_small_and_holds_no_pickle() -> None:
    files = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert sum(files.values()) <= 8 * 2**20
    assert {Path(name).suffix for name in files} <= {".json", ".jinja", ".safetensors"}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= set(files)


def test_it_is_of_the_real_class_and_size(tiny: VLM) -> None:
    assert type(tiny.model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert json.loads((FOLDER / "config.json").read_text())["model_type"] == "qwen2_5_vl"
    assert 1e6 <= sum(parameter.numel() for parameter in tiny.model.parameters()) <= 4e6


def test_lessons_are_a_constant_of_their_seed() -> None:
    from unlearnbench.models.embedded.lessons import PHASES

    def first(seed: int) -> list[tuple[bytes, list[tuple[str, str]]]]:
        stream = lessons(seed, PHASES[1])
        return [(lesson.image.tobytes(), lesson.turns) for lesson, _ in zip(stream, range(30), strict=False)]

    assert first(3) == first(3)
    assert first(3) != first(4)
