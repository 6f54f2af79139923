"""``unlearnbench metrics-check`` from end to end on small data: twelve models that are trained for an epoch each."""

import json
import shutil
from dataclasses import dataclass
from math import exp
from pathlib import Path
from statistics import fmean

import pytest
from typer.testing import CliRunner

from tests.data_folders import leave_first
from unlearnbench.cli import app
from unlearnbench.embedded.data.make import make
from unlearnbench.engine.artefacts import Store
from unlearnbench.metrics_check.result import MetricsCheck, read_check
from unlearnbench.results.store import RowStore
from unlearnbench.tasks.fiubench.task import FIUBenchTask

MODELS = 12
FEW = ("--model", "tiny-qwen2.5-vl", "--task", "fiubench", "--device", "cpu", "--forget", "1")
SHORT = ("--set", "base.epochs=1", "--set", "fiubench.max_new_tokens=4")


@dataclass
class Checked:
    """A check that was made, with the folders that it used."""

    data: Path
    store: Path
    results: Path
    file: Path
    said: str

    def again(self, *more: str) -> tuple[int, str]:
        where = ("--data", str(self.data), "--store", str(self.store))
        return call(*FEW, *SHORT, *where, *more)

    @property
    def found(self) -> MetricsCheck:
        return read_check(self.file)


def call(*words: str, verb: str = "metrics-check") -> tuple[int, str]:
    done = CliRunner().invoke(app, [verb, *words], env={"COLUMNS": "200"})
    error = f"{type(done.exception).__name__}: {done.exception}" if done.exception else ""
    return done.exit_code, done.output + error


@pytest.fixture(scope="module")
def few_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people, a stranger and somebody known from before."""
    folder = tmp_path_factory.mktemp("few") / "data"
    make(folder, identities=5, seed=3, scenes=2)
    for name in ("strangers.json", "acquaintances.json"):
        leave_first(folder / name, 1)
    return folder


@pytest.fixture(scope="module")
def checked(few_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    folder = tmp_path_factory.mktemp("checked")
    made = Checked(few_people, folder / "store", folder / "results", folder / "metrics.json", "")
    methods = ("--method", "ga,po-gd", "--attack", "quantise", "--set", "quantise.utility=2", "--executor", "inline")
    short = ("--set", "ga.epochs=1", "--set", "po-gd.epochs=1", "--results", str(made.results), "--quiet")
    where = ("--data", str(made.data), "--store", str(made.store))
    code, said = call(*FEW, *SHORT, *where, *methods, *short, verb="run")
    assert code == 0, said
    code, said = made.again("--out", str(made.file), "--rows", str(made.results))
    assert code == 0, said
    made.said = said
    return made


def test_every_metric_has_figures_and_a_verdict(checked: Checked) -> None:
    found = checked.found
    names = {each.metric for each in found.metrics}
    assert {name for level in FIUBenchTask.scored.levels.values() for name in level} <= names
    assert {"forget.rouge_l", "forget.min_k", "forget.truth_odds", "forget.truth_ratio"} <= names
    assert (found.task.name, found.seeds, found.people) == ("fiubench", (0, 1), 1)
    assert [each.name for each in found.kinds if each.knows] == ["base", "base-answers", "base-questions"]
    assert {each.metric: each.passes for each in found.nulls} == {"null.constant": False, "null.random": False}
    for each in found.metrics:
        if each.floor is not None:
            assert {*each.at_nothing} == {0.0}
            assert {*each.at_ideal} == {1.0}
    for word in ("forget.truth_preference", "null.random", "knows  base", "passes"):
        assert word in checked.said


def test_what_a_run_has_made_is_taken_and_nothing_is_made_twice(checked: Checked) -> None:
    """The run has made a base and a retrained model of this seed; bases of three kinds and two seeds are six."""
    store = Store(checked.store)
    assert store.made("base") == 6
    before = {path: path.stat().st_mtime_ns for path in checked.store.rglob("manifest.json")}
    code, said = checked.again("--json", "--quiet")
    assert code == 0, said
    again = json.loads(said)
    first = json.loads(checked.file.read_text())
    assert [each["means"] for each in again["metrics"]] == [each["means"] for each in first["metrics"]]
    assert {path: path.stat().st_mtime_ns for path in checked.store.rglob("manifest.json")} == before


def test_a_run_answers_as_its_row_says(checked: Checked) -> None:
    """The base of the pool and that of the run are one: its metrics are those of the row, but for how batches round."""
    rows = [row for row in RowStore(checked.results).scan().rows if row.attack is None]
    for entry in checked.found.metrics:
        for method, kind in (("finetune", "base"), ("retrain", "retrained")):
            row = next(row for row in rows if row.method.name == method)
            if entry.metric in row.metrics:
                assert entry.means[kind][0] == pytest.approx(row.metrics[entry.metric].value, abs=1e-4)


def test_what_was_interrupted_goes_on(checked: Checked, tmp_path: Path) -> None:
    """A model that is not there yet is made, and the others are taken."""
    store = tmp_path / "store"
    shutil.copytree(checked.store, store)
    altered = [path.parent for path in store.glob("base/*/manifest.json") if "altered" in path.read_text()]
    assert len(altered) == 4
    shutil.rmtree(altered[0])
    code, said = call(*FEW, *SHORT, "--data", str(checked.data), "--store", str(store), "--dry-run")
    assert code == 0
    assert said.count("to do") == 1
    assert said.count("cached") == MODELS - 1
    assert not altered[0].exists()


def test_stored_rows_tell_how_metrics_behave_under_attack(checked: Checked) -> None:
    """Of every method that is whole: what it says before and after, by the samples of the rows."""
    found = checked.found
    entry = next(each for each in found.metrics if each.metric == "forget.probability")
    rows = RowStore(checked.results)
    known: dict[tuple[str, str], float] = {}
    for row in rows.scan().rows:
        own = [each for each in rows.read_samples(row) if each.get("set") == "forget"]
        for variant in {each.get("variant", "") for each in own}:
            values = [fmean(each["logprobs"]) for each in own if each.get("variant", "") == variant]
            known[row.method.name, variant] = fmean(map(exp, values))
    stay = {
        method: fmean(min(1.0, known[method, ""] / known[method, bits]) for bits in ("8 bits", "4 bits"))
        for method in ("ga", "po-gd")
    }
    assert [*entry.robustness] == ["quantise"]
    whole = [fmean(stay.values()), *stay.values()]  # of both, or of one where the other has lost too much to be counted
    assert entry.robustness["quantise"].stay in [pytest.approx(each, abs=1e-4) for each in whole]
    assert found.rankings is not None
    assert {each.methods for each in found.rankings.metrics} == {2}
    assert "Kendall's tau" in checked.said
    assert "When weights are attacked" in checked.said


def test_what_cannot_be_checked_ends_in_a_line(checked: Checked, tmp_path: Path) -> None:
    data, store = ("--data", str(checked.data)), ("--store", str(checked.store))
    wrong = {
        "two seeds at least": (*FEW, *data, *store, "--seed", "3"),
        "on one at a time": (*FEW, *data, *store, "--model", "tiny-mllama"),
        "holds no rows.jsonl": (*FEW, *data, *store, "--rows", str(tmp_path)),
        "that is a folder": (*FEW, *data, *store, "--out", str(tmp_path)),
        "one value to each --set": (*FEW, *data, *store, "--set", "base.epochs=1,2"),
        "no method's row": (*FEW, *store, "--rows", str(checked.results)),
        "cannot be asked about its forget set alone": ("--model", "tiny-qwen2.5-vl", "--task", "mme", *data, *store),
        "nothing": ("--model", "tiny-qwen2.5-vl", "--task", "nothing", *data, *store),
    }
    for said, words in wrong.items():
        code, found = call(*words)
        assert code != 0
        assert said in found, found
        assert "Error" in found  # one of ours, which the console prints in a line
