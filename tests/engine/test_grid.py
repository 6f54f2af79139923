"""Running a grid on a model with random weights: rows, resuming, failures, and what the store is spared."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from unlearnbench import Evaluation, Method, Params, Task, method, task
from unlearnbench.config import RunConfig
from unlearnbench.contracts.sample import Asked
from unlearnbench.data.source import Location, locate
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import Finished
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.keys import weights_digest
from unlearnbench.engine.planning import plan
from unlearnbench.metrics.statistics import summarise
from unlearnbench.models.contract.edits import Weights
from unlearnbench.registry import tasks as task_registry
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent
from unlearnbench.tasks.facts.records import WEIGHED
from unlearnbench.tasks.fiubench.task import FIUBenchOptions, FIUBenchTask
from unlearnbench.tasks.pope.reader import read_pope
from unlearnbench.tasks.yes_no.reader import YesNoSet

CALLS: Counter[str] = Counter()
"""How often each part of the plug-ins below did its work."""


@method("grid-shrink", version="3", reference="a test")
class Shrink(Method):
    """Makes the projector's output smaller."""

    class Params(Params):
        factor: float = 0.5

    def unlearn(self, model: Any, sets: Any, run: Any) -> Weights:
        CALLS["shrink"] += 1
        run.notes["seen"] = len(sets.forget)
        weights = Weights.of(model.projector_parameters())
        return Weights({name: tensor * self.params.factor for name, tensor in weights.tensors.items()})


@method("grid-failing")
class Failing(Method):
    """Fails for as long as it is told to."""

    broken = True

    def unlearn(self, model: Any, sets: Any, run: Any) -> None:
        CALLS["failing"] += 1
        if Failing.broken:
            raise ValueError("broken\non purpose")


class Seen:
    """The data of `Looking`: the pictures of POPE."""

    split = None

    def __init__(self, location: Location, asked: YesNoSet) -> None:
        self.location, self.asked, self.fingerprint = location, asked, asked.fingerprint


@task("grid-looking", version="2")
class Looking(Task):
    """Says how large a picture's visual tokens are; writes nothing a metric needs but the sizes."""

    class Options(Params):
        scale: float = 1.0

    def load(self, source: str, forget: Any, seed: int = 0) -> Seen:
        location = locate(source, self.name)
        return Seen(location, read_pope(location.folder))

    def evaluate(self, model: Any, data: Seen, run: Any) -> Evaluation:
        CALLS["looking"] += 1
        images = sorted({question.image for question in data.asked.questions})
        batch = model.prepare([Asked("What?", (image,)) for image in images])
        sizes = [float(tokens.norm()) * self.options.scale for tokens in model.look(batch)]
        records = [{"image": image.name, "size": size} for image, size in zip(images, sizes, strict=True)]
        return Evaluation(records, {"grid-looking.size": mean_size(records)})


def mean_size(records: list[dict[str, Any]]) -> Any:
    return summarise([record["size"] for record in records], clusters=None, seed=0, higher_is_better=None)


SHORT = {name: {"max_new_tokens": (2,)} for name in ("fiubench", "mme", "pope")}
"""What a model with random weights says is not worth waiting for."""


class Command:
    """A grid on the random model and its folders; `run` is one run of it."""

    def __init__(self, folder: Path, model: Path, data: Path) -> None:
        self.rows, self.store = RowStore(folder / "results"), Store(folder / "store")
        self.options: dict[str, Any] = {
            "methods": ("finetune", "grid-shrink"),
            "models": (str(model),),
            "tasks": ("grid-looking",),
            "data": str(data),
            "forget": (2,),
            "device": "cpu",
            "settings": {"base": {"epochs": (1,), "batch_size": (60,)}},
        }

    def run(self, **changes: Any) -> list[Finished]:
        plans = plan(RunConfig(**self.options | changes), self.store)
        return list(run_grid(plans, self.rows, self.store, Silent()))

    def setting(self, **more: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
        return self.options["settings"] | {owner.replace("_", "-"): values for owner, values in more.items()}

    def stored(self, kind: str) -> dict[str, int]:
        """The store's artefacts of a kind with the times at which their manifests were written."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.store.root.glob(f"{kind}/*/manifest.json")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, random_model: Path, small_data: Path) -> Path:
    """A folder whose store has the base model, and data with a part for `Looking`."""
    folder = tmp_path_factory.mktemp("trained")
    data = shutil.copytree(small_data, folder / "people")
    (data / "grid-looking").symlink_to("pope")
    Command(folder, random_model, data).run(methods=("finetune",))
    return folder


@pytest.fixture
def command(tmp_path: Path, random_model: Path, trained: Path) -> Command:
    """With the base in the store, and no unlearned model."""
    shutil.copytree(trained / "store" / "base", tmp_path / "store" / "base")
    CALLS.clear()
    Failing.broken = True
    return Command(tmp_path, random_model, trained / "people")


def without_times(rows: list[Row]) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json", exclude={"started_at", "finished_at", "cost"}) for row in rows]


def test_a_row_says_all_that_there_is_to_say(command: Command, random_model: Path) -> None:
    [finished] = command.run(
        methods=("grid-shrink",),
        seeds=(5,),
        base_seed=0,
        settings=command.setting(grid_shrink={"factor": (0.25,)}, grid_looking={"scale": (2.0,)}),
    )
    row = finished.row
    assert command.rows.read() == [row]
    assert (row.status, row.error, row.seed, row.base_seed) == ("ok", None, 5, 0)
    assert (row.method.name, row.method.version, row.method.params) == ("grid-shrink", "3", {"factor": 0.25})
    assert row.method.origin.endswith("tests/engine/test_grid.py")
    assert (row.model.name, row.model.family, row.model.dtype) == (str(random_model), "qwen2_5_vl", "float32")
    assert Path(row.model.source) == random_model
    assert row.model.weights_digest == weights_digest(random_model, command.store.root / "digests")
    assert (row.task.name, row.task.version, row.task.options) == ("grid-looking", "2", {"scale": 2.0})
    assert (row.task.split.identities, row.task.split.of) == (2, 6)
    assert row.task.data.model_dump() == {
        "source": "folder",
        "id": "people",
        "revision": None,
        "fingerprint": read_pope(Path(command.options["data"])).fingerprint,
    }
    assert row.trained_on.id == "people"
    assert row.trained_on.fingerprint not in (None, row.task.data.fingerprint)
    assert row.method.code == row.task.code == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    [stored] = command.store.root.glob("unlearned/*/weights.safetensors")
    assert row.cost.trainable_parameters == sum(tensor.numel() for tensor in load_file(stored).values())
    assert row.cost.train_seconds == 0.0
    assert row.cost.eval_seconds is not None
    assert row.cost.eval_seconds > 0
    assert (row.cost.peak_memory_bytes or 0) > 2**20
    assert row.environment.device.startswith("cpu")
    assert row.environment.packages["torch"].startswith(torch.__version__.partition("+")[0])
    assert row.started_at < row.finished_at
    assert row.notes["seen"] > 0
    assert row.base is not None
    assert row.base["params"]["epochs"] == 1
    assert row.base["cost"]["train_seconds"] > 0


def test_the_edit_that_was_stored_is_what_is_evaluated(command: Command) -> None:
    half, whole = command.run(settings=command.setting(grid_shrink={"factor": (0.5, 1.0)}))[1:]
    base = command.run(methods=("finetune",))[0]
    size = {"base": base, "half": half, "whole": whole}
    value = {name: finished.row.metrics["grid-looking.size"].value or 0.0 for name, finished in size.items()}
    assert value["whole"] == value["base"] != 0
    # Weight and bias of the projector's last layer, halved, halve its output; the layers before it shrink it further.
    assert value["half"] < value["base"] / 2


def test_running_again_computes_nothing_and_gives_the_same_rows(command: Command) -> None:
    first = command.run()
    before, calls = {kind: command.stored(kind) for kind in ("base", "unlearned")}, CALLS.copy()
    content = command.rows.rows.read_bytes()
    again = command.run()
    assert [finished.cached for finished in first] == [False, False]
    assert [finished.cached for finished in again] == [True, True]
    assert [finished.row for finished in again] == [finished.row for finished in first]
    assert {kind: command.stored(kind) for kind in ("base", "unlearned")} == before
    assert calls == CALLS
    assert command.rows.rows.read_bytes() == content


def test_a_new_results_folder_reuses_the_store_and_gives_the_same_metrics(command: Command, tmp_path: Path) -> None:
    first = command.run()
    before = command.stored("base"), command.stored("unlearned")
    command.rows = RowStore(tmp_path / "elsewhere")
    again = command.run()
    assert not any(finished.cached for finished in again)
    assert (command.stored("base"), command.stored("unlearned")) == before
    assert CALLS["shrink"] == 1
    assert without_times([f.row for f in again]) == without_times([f.row for f in first])


def test_the_base_is_trained_once_for_all_methods_tasks_and_forget_sets(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(model: Any, *_: Any) -> Weights:
        CALLS["base"] += 1
        return Weights.of(model.projector_parameters())

    monkeypatch.setattr("unlearnbench.training.base.train_base", train)
    everything = ("pretrain", "finetune", "grid-shrink")
    settings = {"base": {"epochs": (3,)}, "mme": SHORT["mme"]}
    finished = command.run(
        tasks=("grid-looking", "mme"), forget=(1, 2), methods=everything, settings=settings | {"mme": SHORT["mme"]}
    )
    assert {each.row.status for each in finished} == {"ok"}
    assert len(finished) == 12
    assert CALLS["base"] == 1
    assert CALLS["shrink"] == 2
    assert len(command.stored("unlearned")) == 6
    assert {each.row.method.name for each in finished if each.row.base is None} == {"pretrain"}


def test_a_failing_method_gets_error_rows_and_the_others_finish(command: Command) -> None:
    methods, tasks = ("grid-failing", "grid-shrink"), ("grid-looking", "pope")
    finished = command.run(methods=methods, tasks=tasks)
    assert [(f.row.method.name, f.row.task.name, f.row.status) for f in finished] == [
        ("grid-failing", "grid-looking", "error"),
        ("grid-failing", "pope", "error"),
        ("grid-shrink", "grid-looking", "ok"),
        ("grid-shrink", "pope", "ok"),
    ]
    for failed in finished[:2]:
        assert failed.row.error is not None
        assert failed.row.error.model_dump() == {"type": "ValueError", "message": "broken on purpose", "log": None}
        assert failed.row.metrics == {}
    assert CALLS["failing"] == 1, "what has failed is not tried again for the next task"

    content, shrunk = command.rows.rows.read_bytes(), CALLS["shrink"]
    Failing.broken = False
    again = command.run(methods=methods, tasks=tasks)
    assert [f.row.status for f in again] == ["ok"] * 4
    assert [f.cached for f in again] == [False, False, True, True]
    assert (CALLS["failing"], CALLS["shrink"]) == (2, shrunk)
    assert command.rows.rows.read_bytes().startswith(content)


def test_a_failing_task_does_not_hold_up_the_next(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looking, "evaluate", lambda *_: 1 / 0)
    finished = command.run(methods=("grid-shrink",), tasks=("grid-looking", "pope"))
    assert [f.row.error and f.row.error.type for f in finished] == ["ZeroDivisionError", None]
    assert CALLS["shrink"] == 1


def test_a_base_that_fails_is_tried_once_for_all_methods(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        CALLS["base"] += 1
        raise ArithmeticError

    monkeypatch.setattr("unlearnbench.training.base.train_base", fail)
    methods = ("finetune", "grid-shrink", "pretrain")
    finished = command.run(methods=methods, settings={"base": {"epochs": (4,)}})
    assert [f.row.error and f.row.error.model_dump() for f in finished] == [
        {"type": "ArithmeticError", "message": "no message", "log": None},
        {"type": "ArithmeticError", "message": "no message", "log": None},
        None,
    ]
    assert CALLS["base"] == 1
    assert len(command.stored("base")) == 1, "the other base, which was there before"


def test_an_interruption_ends_the_run_and_keeps_what_was_done(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Shrink, "unlearn", interrupt)
    with pytest.raises(KeyboardInterrupt):
        command.run()
    monkeypatch.undo()
    [row] = command.rows.read()
    assert (row.method.name, row.status) == ("finetune", "ok")
    assert [f.cached for f in command.run()] == [True, False]


def test_metrics_are_functions_of_the_stored_samples(command: Command) -> None:
    finished = command.run(
        methods=("finetune",),
        tasks=("fiubench", "mme", "pope", "grid-looking"),
        settings=command.options["settings"] | SHORT,
    )
    rows = {f.row.task.name: f.row for f in finished}
    samples = {name: command.rows.read_samples(row) for name, row in rows.items()}
    recomputed = {
        "fiubench": FIUBenchTask(FIUBenchOptions()).measured(samples["fiubench"]).metrics,
        "grid-looking": {"grid-looking.size": mean_size(samples["grid-looking"])},
    }
    for name in ("mme", "pope"):
        kind = task_registry.get(name)
        values = kind(kind.Options.model_validate(rows[name].task.options)).score(samples[name])
        recomputed[name] = {f"{name}.{metric}": value for metric, value in values.items()}
    for name, row in rows.items():
        assert row.status == "ok"
        stored = {metric: value.model_dump() for metric, value in row.metrics.items()}
        assert stored == {metric: vars(value) for metric, value in recomputed[name].items()}
        assert stored

    people = [json.loads(line) for line in Path(command.options["data"], "full.json").read_text().splitlines()]
    sizes = Counter(record["set"] for record in samples["fiubench"])
    assert sum(sizes[name] for name in WEIGHED) == 20 * (len(people) - 1)  # one is for validation
    assert sizes["held_out"] == 20
    assert sizes["other_view"] == sizes["forget"]
    assert {*sizes} == {*WEIGHED, "other_view", "acquaintances"}
    assert len({record["id"] for record in samples["fiubench"]}) == len(samples["fiubench"])
    assert len(samples["mme"]) == 4 * 4 * 2
    assert all(record["prediction"] is not None for record in samples["pope"])
    for record in samples["fiubench"]:
        assert len(record["paraphrased_predictions"]) == (3 if record["set"] == "forget" else 0)
        assert len(record["perturbed_logprobs"]) == (3 if record["set"] in WEIGHED else 0)
        assert all(value <= 0 for value in record["logprobs"])


def test_a_copied_model_folder_under_another_name_shares_everything_but_its_name(
    command: Command, tmp_path: Path, random_model: Path
) -> None:
    first = command.run(methods=("grid-shrink",))
    copy = tmp_path / "copied model"
    shutil.copytree(random_model, copy)
    [again] = command.run(methods=("grid-shrink",), models=(str(copy),))
    assert again.cached
    assert replace(again, plan=first[0].plan, cached=False) == first[0]


def test_exact_asks_anew_and_finds_the_same(command: Command) -> None:
    """Without shortcuts: not the answers that another run gave with them, and the row says so."""
    options: dict[str, Any] = {
        "methods": ("finetune",),
        "tasks": ("fiubench",),
        "settings": command.options["settings"] | {"fiubench": {"max_new_tokens": (4,)}},
    }
    [fast] = command.run(**options)
    command.rows = RowStore(command.rows.folder.with_name("exact"))
    [exact] = command.run(**options, exact=True)
    assert (fast.row.environment.exact, exact.row.environment.exact) == (False, True)
    assert len([*(command.store.root / "answers").glob("*.jsonl")]) == 2
    assert fast.row.row_id == exact.row.row_id
    assert exact.row.metrics.keys() == fast.row.metrics.keys()
    for name, metric in exact.row.metrics.items():
        assert fast.row.metrics[name].value == pytest.approx(metric.value, abs=1e-5)
