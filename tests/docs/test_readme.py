"""What the documents say is true of the code: commands, options, parameters, the row, the plug-in, the metrics."""

import json
import pkgutil
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.config import RunConfig, _names, cells, parse_settings, resolve
from unlearnbench.contracts import AttackParams
from unlearnbench.leaderboard.definition import (
    AttackRule,
    ColumnRule,
    DataRule,
    Definition,
    ModelRule,
    Ranking,
    ReferenceRule,
    TaskRule,
    known,
)
from unlearnbench.registry import REGISTRIES, attacks, load_plugin, methods, metrics, tasks
from unlearnbench.results.row import Row
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE
from unlearnbench.tasks.mme.scores import mme
from unlearnbench.tasks.pope.scores import pope
from unlearnbench.training.params import BaseParams, BroughtParams

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
EVERYTHING = "\n".join([README, *DOCUMENTS.values()])
PLUGIN = ROOT / "tests" / "plugins" / "outside" / "my_ga_gd.py"
OWN_WEIGHTS = ROOT / "tests" / "plugins" / "outside" / "projector_ga.py"
RETAUGHT = ROOT / "tests" / "plugins" / "outside" / "retaught.py"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def commands(*verbs: str) -> list[list[str]]:
    """The words after ``unlearnbench`` of the commands in all documents, of these verbs if any are given."""
    found = []
    for line in "".join(blocks(EVERYTHING, "bash")).replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            program, *words = shlex.split(part, comments=True) or [""]
            if Path(program).name == "unlearnbench" and (not verbs or words[0] in verbs):
                found.append(words)
    return found


def given(words: list[str], option: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == option]


def names(words: list[str], option: str) -> tuple[str, ...]:
    return tuple(name for text in given(words, option) for name in text.split(","))


def test_every_verb_is_shown():
    assert {words[0] for words in commands()} == {
        "run", "plan", "list", "show", "score", "report", "status", "store", "data", "leaderboard", "doctor",
        "evaluate", "export", "ask", "metrics-check",
    }  # fmt: skip


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_has_the_options_that_it_is_shown_with(words):
    verb = words[: 2 if words[0] in ("data", "store", "leaderboard") else 1]
    help_text = CliRunner().invoke(app, [*verb, "--help"]).stdout
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", help_text))


@pytest.mark.parametrize("words", [words for words in commands("leaderboard") if len(words) > 2], ids=" ".join)
def test_a_leaderboard_that_is_named_exists(words):
    assert words[2].startswith("--") or words[2] == "BOARD" or words[2] in known()


def test_the_parts_of_a_leaderboard_are_those_of_the_code():
    table = DOCUMENTS["leaderboards.md"].partition("## Starting one of your own")[2]
    told = {word for quoted in re.findall(r"`([^`]+)`", table) for word in re.findall(r"\w+", quoted)}
    parts = (Definition, ModelRule, DataRule, TaskRule, AttackRule, ReferenceRule, Ranking, ColumnRule)
    assert {name for part in parts for name in part.model_fields} - {"schema_version", "data"} <= told


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A folder of the plug-ins that documents show in full, each under the name that its first line gives it."""
    folder = tmp_path_factory.mktemp("shown")
    for text in blocks(EVERYTHING, "python"):
        if name := re.match(r'"""(\w+\.py): ', text):
            (folder / name[1]).write_text(text)
    return folder


TYPED = [words for words in commands("run", "plan") if "--config" not in words]
"""Those whose methods stand in a file are run by test_running_page.py."""


@pytest.mark.parametrize("words", TYPED, ids=" ".join)
def test_a_run_names_what_exists(words, shown):
    for file in given(words, "--plugin"):
        load_plugin(ROOT / file if (ROOT / file).exists() else shown / file)
    for kind in ("method", "attack", "model", "task"):
        named = {name for name in names(words, f"--{kind}") if not name.startswith("./")}  # a folder of the reader's
        assert named <= set(REGISTRIES[f"{kind}s"].names())
    asked = {"tasks": of_tasks} if (of_tasks := names(words, "--task")) else {}
    config = RunConfig(methods=names(words, "--method"), models=names(words, "--model"), **asked)
    settings = parse_settings(given(words, "--set"), config.owners)
    for cell in cells(config.model_copy(update={"settings": settings})):
        resolve(methods.get(cell.method).Params, cell.method, "tiny", cell.settings.get(cell.method, {}))


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"--set '?(\w+\.[^'` \n]+)", EVERYTHING))))
def test_a_setting_is_a_parameter(setting, shown):
    for file in (OWN_WEIGHTS, RETAUGHT, *shown.glob("pruned.py")):
        load_plugin(file)
    owners = {"base": BaseParams} | {name: methods.get(name).Params for name in methods.names()}
    owners |= {name: tasks.get(name).Options for name in tasks.names()}
    owners |= {name: attacks.get(name).Params for name in attacks.names()} | {"ATTACK": AttackParams}
    [(owner, parameters)] = parse_settings([setting], [*owners]).items()
    for name, values in parameters.items():
        kind = BroughtParams if owner == "base" and name in BroughtParams.model_fields else owners[owner]
        for value in values:
            resolve(kind, owner, "tiny", {name: value})


def test_the_two_commands_are_those_of_the_workflow():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    one, two, *_ = blocks(README, "bash")
    assert "unlearnbench run" in one
    assert "pytest" in two
    assert f"run: {one}" in workflow
    assert f"run: {two}" in workflow


def test_the_row_is_a_row():
    [row] = blocks(DOCUMENTS["results.md"], "json")
    assert not Row.model_validate_json(row).model_extra


def test_the_method_is_the_file_that_is_tested():
    assert blocks(README, "python") == [PLUGIN.read_text()]
    assert len(PLUGIN.read_text().splitlines()) <= 40


def test_the_method_drives_the_losses_on_forget_and_retain_set_apart(small_data: Path):
    from tests.models.in_order import log_probabilities
    from unlearnbench.models.files.load import load
    from unlearnbench.models.files.source import card_for
    from unlearnbench.runtime.run import Run

    load_plugin(OWN_WEIGHTS)
    method = methods.get("projector-ga")
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    sets = split_sets(read(small_data), 1, PRIVATE)

    def loss(samples) -> float:
        weighed = log_probabilities(model, [(sample, sample.answer) for sample in samples], Run(), batch_size=50)
        return sum(-sum(tokens) / len(tokens) for tokens in weighed) / len(weighed)

    def gap() -> float:
        return loss(sets.forget) - loss(sets.retain[:100])

    before = gap()
    edit = method(resolve(method.Params, "projector-ga", "tiny", {"epochs": 2})).unlearn(model, sets, Run(seed=0))
    assert set(edit.tensors) == set(model.projector_parameters())
    assert gap() > before


def test_the_parameters_of_cagul_are_those_of_the_code():
    params = methods.get("cagul").Params
    rows = re.findall(r"(?m)^\| `(\w+)` \| .* \| (.*) \| ?(.*?) ?\|$", DOCUMENTS["cagul.md"])
    assert [name for name, *_ in rows] == list(params.model_fields)
    tiny = params.presets["tiny"]
    for name, default, preset in rows:
        if name in ("refusals", "stop"):  # the document says these in words
            continue
        assert default == f"`{json.dumps(params.model_fields[name].default)}`"
        assert preset == (f"`{json.dumps(tiny[name])}`" if name in tiny else "")
    assert params.presets["large/mllama"] == {"k": 200}
    assert "For the family `mllama` the default of `k` is `200`." in DOCUMENTS["cagul.md"]


def test_the_default_hyperparameters_are_those_of_the_code():
    table = DOCUMENTS["methods.md"].split("<!-- defaults:start -->")[1].split("<!-- defaults:end -->")[0]
    header, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()]
    owners = [name.strip("`") for name in header[1:]]
    told = {line[0].strip("`"): dict(zip(owners, line[1:], strict=True)) for line in lines}
    kinds = {name: BaseParams if name == "base" else methods.get(name).Params for name in owners}
    ours = {name for name in methods.names() if methods.origin(name).startswith("unlearnbench ")}
    assert set(owners) == {"base"} | ours - {"pretrain", "finetune", "retrain", "cagul"}
    for parameter, values in told.items():
        for owner, value in values.items():
            scales = [default_of(kinds[owner], owner, scale, parameter) for scale in ("large", "tiny")]
            assert value == " / ".join(dict.fromkeys(scales)), (owner, parameter)
    unsaid = {"clip_norm", "refusals", "lora.targets", "lora.projector", "stop.samples", "weights", "schedule"}
    for kind in kinds.values():
        assert set(_names(kind)) <= set(told) | unsaid


def default_of(kind, owner, scale, parameter):
    value = resolve(kind, owner, scale, {})
    for part in parameter.split("."):
        if not hasattr(value, part):
            return ""
        value = getattr(value, part)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def test_the_metrics_of_fiubench_and_their_directions_are_those_of_the_code():
    reported = sys.modules[tasks.get("fiubench").__module__].REPORTED
    table = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \|$", DOCUMENTS["metrics.md"].partition("## mme")[0])
    told = {name: [cell.strip() for cell in line.split("|")] for name, line in table}
    assert set(told) == {name for wanted in reported.values() for name in wanted}
    for name, directions in told.items():
        assert f"**{name}**" in DOCUMENTS["metrics.md"]
        metric = metrics.get(name)()
        for (set_name, wanted), direction in zip(reported.items(), directions, strict=True):
            better = metric.direction(set_name) or "neither"
            assert direction == (better if name in wanted else "")


@pytest.mark.parametrize(("task", "score", "category"), [("mme", mme, "color"), ("pope", pope, "random")])
def test_the_yes_no_metrics_are_those_of_the_code(task, score, category):
    about = {"category": category, "question_id": "1", "image_source": "1", "question": "", "prediction": ""}
    for name in score([about | {"answer": answer} for answer in ("Yes", "No")], seed=0):
        shown = name.replace(f"{category}.", "SUBTASK." if task == "mme" else "SPLIT.")
        assert f"**{task}.{shown}**" in DOCUMENTS["metrics.md"]


def test_every_module_and_name_of_ours_that_is_quoted_is_there():
    """In documents and docstrings, which outlive what they name when it moves."""
    groups = {f"unlearnbench.{kind}" for kind in REGISTRIES}  # of entry points
    sources = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for folder in ("unlearnbench", "methods", "tasks", "benchmarks", "tests"):
        sources += (ROOT / folder).rglob("*.py")
    named = {name for file in sources for name in re.findall(r"`(unlearnbench(?:\.\w+)+)`", file.read_text())} - groups
    assert len(named) > 20
    for name in named:
        pkgutil.resolve_name(name)


def test_every_file_of_ours_that_a_document_names_is_there():
    files = set(re.findall(r"`((?:\w[\w.-]*/)+\w[\w.-]*\.(?:py|toml|sh))`", EVERYTHING + CONTRIBUTING))
    assert files
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert [file for file in missing if not Path(file).stem.isupper()] == []  # NAME.py is yours
