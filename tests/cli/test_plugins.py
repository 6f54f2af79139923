import json
import re

import pytest

METHODS = "unlearnbench.methods"


def test_an_installed_package_adds_a_method_by_one_entry_point(installation, forgetful):
    installation.install("some-package", {METHODS: {"forgetful": "some_module:Forgetful"}}, some_module=forgetful)
    listed = json.loads(installation.run("list", "methods", "--json").stdout)["methods"]
    assert {"name": "forgetful", "origin": "some-package 1.0", "description": "Forgets everything"} in listed
    shown = json.loads(installation.run("show", "forgetful", "--json").stdout)
    assert shown["origin"] == "some-package 1.0"


def test_a_single_file_adds_a_method(installation, forgetful):
    (installation.directory / "mine.py").write_text(forgetful)
    listed = json.loads(installation.run("list", "methods", "--json", "--plugin", "mine.py").stdout)["methods"]
    assert {"name": "forgetful", "origin": "mine.py", "description": "Forgets everything"} in listed
    found = json.loads(installation.run("show", "forgetful", "--plugin", "mine.py", "--json").stdout)
    parameters = found.pop("parameters")
    assert found == {
        "name": "forgetful",
        "kind": "method",
        "origin": "mine.py",
        "version": "3",
        "reference": "arXiv:0000.00000",
        "start": "pretrained",
        "role": "method",
        "frozen_weights": False,
        "description": "Forgets everything.",
        "variants": {},
        "n_trials_tuned": {},
    }
    keys = ("name", "type", "default", "presets", "description")
    assert [tuple(parameter[key] for key in keys) for parameter in parameters] == [
        ("steps", "int", 7, {"tiny": 70}, "how many"),
        ("mode", "str | None", None, {}, ""),
        ("schedule.rate", "float", 0.5, {}, "how fast"),
    ]


def test_show_prints_the_same_as_text(installation, forgetful):
    (installation.directory / "mine.py").write_text(forgetful)
    text = installation.run("show", "forgetful", "--plugin", "mine.py").stdout
    for fact in ("mine.py", "arXiv:0000.00000", "Forgets everything.", "schedule.rate", "how many", "70 (tiny models)"):
        assert fact in text


@pytest.fixture
def broken(installation, forgetful):
    """A sound plug-in, others that are broken each in their own way, and a name that two packages claim."""
    names = {
        "forgetful": "good:Forgetful",
        "lacking": "lacking:Method",
        "exiting": "exiting:Method",
        "misspelt": "good:Forgotten",
        "wrong": "good:Schedule",
        "alias": "good:Forgetful",
        "contested": "good:Forgetful",
    }
    modules = {"good": forgetful, "lacking": "import not_installed_anywhere", "exiting": "raise SystemExit(7)"}
    installation.install("first", {METHODS: names, "unlearnbench.models": {"odd": "good:Forgetful"}}, **modules)
    installation.install("second", {METHODS: {"contested": "lacking:Method"}})
    return installation


def test_check_says_what_is_broken_and_why_and_exits_1(broken):
    done = broken.run("list", "--check", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    errors = {row["name"]: row["error"] for row in found["methods"]}
    assert errors["forgetful"] is None
    assert errors["cagul"] is None
    for name, cause in {
        "lacking": "ModuleNotFoundError: No module named 'not_installed_anywhere'",
        "exiting": "SystemExit: 7",
        "misspelt": "has no attribute 'Forgotten'",
        "wrong": "not a subclass of unlearnbench.contracts.Method",
        "alias": "calls itself 'forgetful'",
    }.items():
        assert cause in errors[name]
        assert f"method '{name}' from first 1.0" in errors[name]
    assert "first 1.0 (good:Forgetful) and by second 1.0 (lacking:Method)" in errors["contested"]
    [odd] = [row["error"] for row in found["models"] if row["name"] == "odd"]
    assert "not an instance of unlearnbench.models.files.card.ModelCard" in odd
    table = broken.run("list", "methods", "--check", COLUMNS="500")
    assert table.returncode == 1
    assert re.search(r"forgetful +first 1.0 +ok", table.stdout)
    assert "No module named 'not_installed_anywhere'" in table.stdout


def test_a_broken_plugin_stops_only_who_asks_for_it(broken):
    listed = broken.run("list", "methods")
    assert listed.returncode == 0
    assert {"forgetful", "lacking", "contested", "cagul"} <= set(listed.stdout.split())
    assert broken.run("show", "forgetful").returncode == 0
    for name in ("lacking", "contested"):
        asked = broken.run("show", name)
        assert asked.returncode == 1
        assert asked.stderr.startswith(f"error: method '{name}'")
        assert asked.stderr.count("\n") == 1


def test_two_packages_may_name_one_target(installation, forgetful):
    for name in ("first", "second"):
        installation.install(name, {METHODS: {"forgetful": "some_module:Forgetful"}}, some_module=forgetful)
    assert installation.run("show", "forgetful").returncode == 0


def test_a_file_that_takes_a_name_of_ours_collides_when_that_is_asked_for(installation, forgetful):
    (installation.directory / "mine.py").write_text(forgetful.replace('"forgetful"', '"cagul"'))
    assert installation.run("show", "tiny-qwen2.5-vl", "--plugin", "mine.py").returncode == 0
    asked = installation.run("show", "cagul", "--plugin", "mine.py")
    assert asked.returncode == 1
    assert re.search(r"'cagul' is claimed by unlearnbench \S+ \(.*\) and by mine.py \(", asked.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["list", "method"],
            "no kind 'method'; did you mean 'methods'? there are methods, attacks, tasks, models, families, metrics",
        ),
        (["show", "cagull"], "no plug-in 'cagull' of any kind; did you mean 'cagul'? see unlearnbench list"),
        (["show", "cagul", "--kind", "tasks"], "no plug-in 'cagul' among the tasks; did you mean 'cagul'?"),
        (["list", "--plugin", "nowhere.py"], "no Python file nowhere.py; give --plugin"),
    ],
)
def test_usage_errors_are_one_line_with_the_fix(installation, arguments, message):
    done = installation.run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_name_of_two_kinds_wants_the_kind(installation, forgetful):
    entry_points = {METHODS: {"forgetful": "some_module:Forgetful"}, "unlearnbench.tasks": {"forgetful": "other:Task"}}
    installation.install("some-package", entry_points, some_module=forgetful)
    asked = installation.run("show", "forgetful")
    assert asked.returncode == 2
    assert "add --kind methods or --kind tasks" in asked.stderr
    assert installation.run("show", "forgetful", "--kind", "methods").returncode == 0


def test_every_plugin_of_ours_is_sound_and_can_be_shown(installation):
    listed = json.loads(installation.run("list", "--check", "--json").stdout)
    assert all(row["error"] is None for row in listed.pop("leaderboards"))
    assert {kind: [row["error"] for row in rows if row["error"]] for kind, rows in listed.items()} == {
        "methods": [],
        "attacks": [],
        "tasks": [],
        "models": [],
        "families": [],
        "metrics": [],
    }
    assert {"cagul", "finetune", "pretrain"} <= {row["name"] for row in listed["methods"]}
    for name in ("quantise", "fiubench", "tiny-qwen2.5-vl", "rouge_l"):
        assert json.loads(installation.run("show", name, "--json").stdout)["name"] == name


def test_what_is_listed_says_what_it_is_without_being_imported(installation, forgetful):
    """Nor are packages that plug-ins stand in; a name may be handed on by other modules."""
    handing = {"some-package": {METHODS: {"forgetful": "handing:Known"}, "unlearnbench.models": {"own": "cards:OWN"}}}
    loud = "raise SystemExit('imported')"
    card = (
        f"{loud}\nOWN = ModelCard(name='own', source='some/where', parameters=3_000_000_000, description='Ours. Big.')"
    )
    sources = {"handing": f"{loud}\nfrom inner import Forgetful as Known", "inner": loud + forgetful, "cards": card}
    for package, entry_points in handing.items():
        installation.install(package, entry_points, **sources)
    listed = json.loads(installation.run("list", "--json").stdout)
    about = {row["name"]: (row["description"], row.get("needs")) for rows in listed.values() for row in rows}
    assert about["forgetful"] == ("Forgets everything", None)
    assert about["own"] == ("Ours", "6.0 GB of files; a GPU with more memory than that (plan --memory)")
    assert about["tiny-mllama"][1] == "nothing: it ships with its package"
    assert about["cagul"][0].startswith("Attention-guided")  # handed on by a package of ours
    assert all(said for said, _ in about.values())


@pytest.mark.parametrize("name", ["qwen2.5-vl-3b", "qwen2.5-vl-7b", "llama-3.2-11b-vision"])
def test_a_large_model_has_the_parameters_that_its_card_says(name):
    from unlearnbench.engine.memory.counts import counts
    from unlearnbench.models.files.source import card_for

    card = card_for(name)
    assert card.parameters == counts(card).total


def test_whatever_is_listed_is_shown(installation):
    listed = json.loads(installation.run("list", "--json").stdout)
    for rows in listed.values():
        name = rows[-1]["name"]
        found = json.loads(installation.run("show", name, "--json").stdout)
        assert found["name"] == name
    assert found["kind"] == "leaderboard"
    assert found["references"].startswith("finetune, retrain")
    assert "private attributes" in installation.run("show", name).stdout.lower()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["run", "--method", "ga-"], ["ga-gd", "ga-kl"]),
        (["run", "--method", "cagul,po"], ["cagul,po-gd"]),
        (["plan", "--model", "tiny-q"], ["tiny-qwen2.5-vl"]),
        (["list", "lead"], ["leaderboards"]),
        (["show", "private-"], ["private-attributes-tiny"]),
        (["run", "--checkp"], ["--checkpoint-minutes"]),
    ],
)
def test_the_shell_completes_names(installation, typed, completed):
    words = ["unlearnbench", *typed]
    asked = {
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_UNLEARNBENCH_COMPLETE": "complete_bash",
    }
    assert installation.run(**asked).stdout.split() == completed


def test_the_shell_is_told_how_to_complete(installation):
    assert "complete_bash" in installation.run(_UNLEARNBENCH_COMPLETE="source_bash").stdout
    assert "--install-completion" in installation.run("--help").stdout


def test_the_base_shows_its_parameters_as_a_method_does(installation):
    from unlearnbench.training.params import BaseParams, BroughtParams

    shown = json.loads(installation.run("show", "base", "--json").stdout)
    assert (shown["name"], shown["kind"]) == ("base", "stage")
    told = {each["name"]: each for each in shown["parameters"]}
    assert told["epochs"]["default"] == BaseParams().epochs
    assert told["epochs"]["presets"]["tiny"] == BaseParams.preset("tiny")["epochs"]
    assert told["memorised"]["default"] == BroughtParams().memorised
    assert told["memorised"]["description"].startswith("with --base-model: least share")
    assert {"enough_loss", "lora.rank", "optimiser"} <= {*told}
    assert all(each["description"] for each in told.values())
    assert "did you mean 'base'?" in installation.run("show", "bases").stderr
