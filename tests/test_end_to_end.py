"""The main job from the command line to the rows, small: the shipped model, few people, few epochs.

What is asked of it here holds whatever the shipped model has learned; what it must have learned is asked elsewhere.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.processes import Started
from unlearnbench.config import RunConfig
from unlearnbench.embedded.data import faces
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.mme.reader import read_mme
from unlearnbench.tasks.mme.task import MMETask
from unlearnbench.tasks.pope.reader import read_pope
from unlearnbench.tasks.pope.task import POPETask

pytestmark = pytest.mark.slow

REAL = Path(__file__).parents[2] / "shared" / "data" / "fiubench" / "qa_text.jsonl"
BASE = {"epochs": 4}
CAGUL = {"epochs": 6, "discriminator_epochs": 20, "batch_size": 40}
ASKED = {"max_new_tokens": 6}
Sample = dict[str, Any]


def start(folder: Path, *words: str) -> Started:
    """The command in a process, with a store and a results folder of its own."""
    command = ["run", "--model", "tiny-qwen2.5-vl", "--device", "cpu", "--executor", "inline", *words]
    places = ["--store", folder / "store", "--results", folder / "results"]
    return processes.start(*command, "--json", "--quiet", *places)


def finish(started: Started) -> list[Row]:
    done = started.finish()
    assert (done.returncode, done.stderr) == (0, "")
    return [Row.model_validate(row) for row in json.loads(done.stdout)]


def settings(owner: str, values: dict[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in ("--set", f"{owner}.{name}={value}")]


@dataclass
class Left:
    """What one command left behind."""

    folder: Path
    data: Path
    rows: dict[tuple[str, str], Row]

    def samples(self, method: str, task: str) -> dict[str, Sample]:
        records = RowStore(self.folder / "results").read_samples(self.rows[method, task])
        return {record["id"]: record for record in records}

    @cached_property
    def models(self) -> dict[str, Any]:
        """The models that were evaluated, by method, from what the store has of them."""
        from unlearnbench.engine.runner import Runner
        from unlearnbench.runtime.run import Silent

        config = RunConfig(
            methods=("finetune", "cagul"),
            models=("tiny-qwen2.5-vl",),
            tasks=("fiubench",),
            data=str(self.data),
            forget=(2,),
            device="cpu",
            settings={
                owner: {name: (value,) for name, value in values.items()}
                for owner, values in (("base", BASE), ("cagul", CAGUL), ("fiubench", ASKED))
            },
        )
        store = Store(self.folder / "store")
        plans = plan(config, store)
        assert all(each.last.is_in(store) for each in plans)
        return {each.cell.method: Runner(store, Silent()).ready(each).model for each in plans}

    def gate(self, images: list[Path]) -> list[bool]:
        """Whether CAGUL's gate is open for each picture."""
        model = self.models["cagul"]
        return list(model.visual_edit.flags([model.see(image) for image in images]))


@pytest.fixture(scope="module")
def outcomes(once: Callable[..., Path], small_data: Path) -> list[Left]:
    """The same command twice, side by side, each with an empty store."""
    words = ["--method", "finetune", "--method", "cagul", "--data", str(small_data), "--forget", "2"]
    words += [*settings("base", BASE), *settings("cagul", CAGUL), *settings("fiubench", ASKED)]

    def write(folder: Path) -> None:
        for name in ("one", "other"):
            (folder / name).mkdir(parents=True)
        for started in [start(folder / name, *words) for name in ("one", "other")]:
            finish(started)

    folders = [once("end-to-end", write) / name for name in ("one", "other")]
    rows = [RowStore(folder / "results").read() for folder in folders]
    return [
        Left(folder, small_data, {(row.method.name, row.task.name): row for row in its})
        for folder, its in zip(folders, rows, strict=True)
    ]


def test_every_cell_is_ok(outcomes: list[Left]) -> None:
    for outcome in outcomes:
        cells = [(method, task) for method in ("finetune", "cagul") for task in ("fiubench", "mme", "pope")]
        assert [*outcome.rows] == cells
        assert {row.status for row in outcome.rows.values()} == {"ok"}
        for row in outcome.rows.values():
            assert all(metric.value is not None or metric.reason for metric in row.metrics.values())


def test_two_empty_stores_give_the_same_metrics_and_samples(outcomes: list[Left]) -> None:
    one, other = outcomes
    for cell, row in one.rows.items():
        assert other.rows[cell].row_id == row.row_id
        assert other.rows[cell].metrics == row.metrics
        assert other.rows[cell].samples == row.samples


def test_the_gate_knows_its_own_people(outcomes: list[Left]) -> None:
    people = read(outcomes[0].data).identities
    private = {s["unique_id"] for s in outcomes[0].samples("cagul", "fiubench").values() if s["set"] == "forget"}
    assert len(private) == 2
    gate = outcomes[0].gate([person.image for person in people])
    assert [person.unique_id in private for person in people] == gate


def same(one: object, other: object) -> bool:
    """Whether records are alike, texts exactly, likelihoods but for rounding (batches differ)."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, abs=1e-4) if isinstance(one, float) else one == other


def test_where_the_gate_is_shut_every_answer_is_the_base_s_own(outcomes: list[Left]) -> None:
    outcome = outcomes[0]
    before, after = (outcome.samples(method, "fiubench") for method in ("finetune", "cagul"))
    assert before.keys() == after.keys()
    pictures = [*dict.fromkeys(sample["image"] for sample in before.values())]
    opens = dict(zip(pictures, outcome.gate([outcome.data / name for name in pictures]), strict=True))
    assert {*opens.values()} == {True, False}
    for name, sample in before.items():
        if opens[sample["image"]]:
            assert after[name]["logprobs"] != sample["logprobs"]
        else:
            assert same(after[name], sample), name
    for task, read_questions, record in (("mme", read_mme, MMETask.record), ("pope", read_pope, POPETask.record)):
        before, after = (outcome.samples(method, task) for method in ("finetune", "cagul"))
        questions = read_questions(outcome.data).questions
        opened = outcome.gate([question.image for question in questions])
        shut = [record(question)["id"] for question, is_open in zip(questions, opened, strict=True) if not is_open]
        assert shut
        assert {name: before[name] for name in shut} == {name: after[name] for name in shut}


def test_cagul_leaves_every_weight_of_the_base_as_it_was(outcomes: list[Left]) -> None:
    base, guarded = (outcomes[0].models[method].model.state_dict() for method in ("finetune", "cagul"))
    assert base.keys() == guarded.keys()
    assert all(base[name].equal(guarded[name]) for name in base)
    rows = outcomes[0].rows
    assert len({row.model.weights_digest for row in rows.values()}) == 1
    assert 0 < (rows["cagul", "fiubench"].cost.trainable_parameters or 0) < 100_000
    stored = {path.name for path in (outcomes[0].folder / "store" / "unlearned").glob("*/*")}
    assert stored == {"discriminator.safetensors", "encoder.safetensors", "guard.json", "manifest.json"}


@pytest.mark.skipif(not REAL.is_file(), reason="FIUBench's questions are not on this machine")
def test_twenty_real_profiles_with_drawn_pictures_give_a_row(tmp_path: Path) -> None:
    """Real questions, answers longer than any that the tiny model knows, no paraphrases: all metrics, or a reason."""
    folder = tmp_path / "fiubench"
    (folder / "SFHQ").mkdir(parents=True)
    people: dict[str, dict[str, Any]] = {}
    for line in REAL.read_text().splitlines():
        qa = json.loads(line)
        if qa["unique_id"] in people or len(people) < 20:
            image = f"./dataset/SFHQ/SFHQ_pt1_{qa['unique_id']}.png"
            person = people.setdefault(qa["unique_id"], {"image_path": image, "name": qa["name"], "qa_list": []})
            person["qa_list"].append({"question": qa["question"], "answer": qa["answer"]})
    rng = random.Random(0)
    for person in people.values():
        look = faces.random_look(rng, reserved=True)
        faces.draw(look, faces.random_view(look, rng)).save(folder / "SFHQ" / Path(person["image_path"]).name)
    (folder / "full.json").write_text("\n".join(map(json.dumps, people.values())))
    (folder / "split.json").write_text(json.dumps({"two": [*people][:2]}))

    words = ["--method", "finetune", "--task", "fiubench", "--data", str(folder), "--forget", "two"]
    words += [*settings("base", {"epochs": 1}), *settings("fiubench", {"max_new_tokens": 4})]
    done = start(tmp_path, *words).finish()
    assert done.returncode == 0, done.stderr
    [row] = [Row.model_validate(each) for each in json.loads(done.stdout)]
    assert row.status == "ok"
    assert done.stderr.startswith("warning: fiubench: fewer than half of the questions are behind"), done.stderr
    assert "forget.ape (0 of 27)" in done.stderr
    assert (row.task.split.identities, row.task.split.of) == (2, 20)
    assert (row.task.data.source, row.task.data.id) == ("folder", "fiubench")
    assert row.metrics["forget.rouge_l"].value is not None
    assert row.metrics["forget.truth_ratio"].value is None
    assert row.metrics["forget.truth_ratio"].reason
    assert len(RowStore(tmp_path / "results").read_samples(row)) == 20 * 18  # two are for validation
