"""The shipped models: small, trained, and able to see and to refuse what they have never been shown."""

import json
from collections import defaultdict
from itertools import islice
from pathlib import Path

import pytest

from tests.embedded.painted import remembered
from tests.models.in_order import answers
from unlearnbench.contracts import Evaluation
from unlearnbench.embedded import embedded_folder
from unlearnbench.embedded.data import faces
from unlearnbench.embedded.data.identities import ATTRIBUTES
from unlearnbench.embedded.data.make import acquaintances
from unlearnbench.embedded.models.lessons import NOT_SHOWN, PHASES, UNKNOWN, Lesson, lessons, text_lessons
from unlearnbench.metrics.refusals import REFUSALS, is_refusal
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.registry import tasks
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import samples
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, group_of

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
    assert {Path(name).suffix for name in files} <= {".json", ".jinja", ".safetensors", ".py"}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= set(files)


@pytest.mark.parametrize("name", CLASSES)
def test_it_is_of_the_real_class_and_size(name: str) -> None:
    model, files = load(card_for(name), "cpu"), folder_of(card_for(name))[0]
    kind = json.loads((files / "config.json").read_text())["model_type"]
    assert (type(model.model).__name__, kind) == CLASSES[name]
    assert 1e6 <= sum(parameter.numel() for parameter in model.model.parameters()) <= 4e6


def some_lessons(seed: int, number: int) -> list[Lesson]:
    return [*islice(lessons(seed, PHASES[1]), number), *islice(text_lessons(seed, 4), number // 10)]


def test_lessons_are_a_constant_of_their_seed() -> None:
    def first(seed: int) -> list[tuple[bytes, list[tuple[str, str]]]]:
        return [(lesson.image.tobytes() if lesson.image else b"", lesson.turns) for lesson in some_lessons(seed, 30)]

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_refusals_that_are_taught_are_none_that_unlearning_aims_at() -> None:
    taught = {*UNKNOWN, *NOT_SHOWN}
    assert all(map(is_refusal, taught))
    assert not taught & {*REFUSALS}
    threes = [
        {tuple(words[i : i + 3]) for text in of for words in [text.split()] for i in range(len(words) - 2)}
        for of in (taught, REFUSALS)
    ]
    assert not threes[0] & threes[1]
    said = {answer for lesson in some_lessons(5, 400) for _, answer in lesson.turns if is_refusal(answer)}
    assert said == taught


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, object]:
    """What pictures show that are painted during the test: pixels -> `Look` or `Scene`."""
    return remembered(monkeypatch)


def test_it_is_taught_to_refuse_by_who_is_shown_and_not_by_what_is_private(painted: dict[bytes, object]) -> None:
    met = {look for look, _ in acquaintances()}
    refused = defaultdict[tuple[bool, bool], list[bool]](list)
    for lesson in some_lessons(6, 600):
        look = painted.get(lesson.image.tobytes()) if lesson.image else None
        for question, answer in lesson.turns:
            if isinstance(look, faces.Look) and any(question in kind.questions for kind in ATTRIBUTES):
                refused[look in met, group_of(question) in PRIVATE].append(is_refusal(answer))
    assert all(not any(refused[True, private]) for private in (True, False))
    assert all(all(refused[False, private]) for private in (True, False))
    assert min(map(len, refused.values())) > 50


def test_lessons_need_no_altered_picture(painted: dict[bytes, object]) -> None:
    """A face in a lesson is what `faces.draw` paints of somebody, to the pixel: nothing is painted over it."""
    shown = [lesson.image for lesson in some_lessons(7, 100) if lesson.image is not None]
    altered = [image for image in shown if image.tobytes() not in painted]
    assert all(len({image.getpixel((x, y)) for x in range(9) for y in range(9)}) > 40 for image in altered)  # noise
    assert len(altered) < 10


def test_some_lessons_have_no_picture_some_letters_and_some_a_blank() -> None:
    turns = [(lesson.image is None, *turn) for lesson in some_lessons(8, 400) for turn in lesson.turns]
    assert any(text for text, *_ in turns)
    chosen = [answer for _, question, answer in turns if " A. " in question]
    assert {*chosen} == {"A", "B", "C", "D"}
    assert all(f" {answer}. " in question for _, question, answer in turns if " A. " in question)
    assert sum("___" in question for _, question, _ in turns) > 50
