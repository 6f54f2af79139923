"""Keys: every input changes the stages that depend on it and no other. Planning itself is light and leaves no trace."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unlearnbench import Split
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.keys import digest
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.errors import DataError, ModelError, UsageError
from unlearnbench.registry import load_plugin, tasks

PRETRAINED, BASE, UNLEARNED, ROW = "pretrained", "base", "unlearned", "row"
Options = dict[str, Any]

PLUGIN = """
from unlearnbench import Method, Params, Task, method, task

@method("planned")
class Planned(Method):
    class Params(Params):
        strength: float = 1.0

    def unlearn(self, model, sets, run):
        return None

@task("planned-task")
class PlannedTask(Task):
    def load(self, source, forget, seed=0):
        from unlearnbench.tasks.pope.reader import read_pope
        from unlearnbench.tasks.yes_no.task import YesNoData
        from unlearnbench.data.source import locate
        location = locate(source, "pope")
        asked = read_pope(location.folder)
        return YesNoData(location, asked, len(asked.questions))

    def evaluate(self, model, data, run):
        raise NotImplementedError
"""


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugins") / "planned.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    return file


class Setting:
    """A command whose parts a test may change, and the keys of what it would compute."""

    def __init__(self, folder: Path, model: Path, data: Path, plugin: Path) -> None:
        self.model, self.data, self.plugin = folder / "model", folder / "data", plugin
        shutil.copytree(model, self.model)
        shutil.copytree(data, self.data)
        self.store = Store(folder / "store")
        self.options: Options = {"methods": ["planned"], "tasks": ["fiubench"], "seeds": [0], "forget": [2]}

    def plans(self, **changes: Any) -> list[Plan]:
        places = {"models": [str(self.model)], "data": str(self.data)}
        return plan(RunConfig(**places | self.options | changes), self.store)

    def keys(self, **changes: Any) -> dict[str, str]:
        [made] = self.plans(**changes)
        return {
            PRETRAINED: digest(made.pretrained_key),
            **{stage.name: stage.digest for stage in made.stages},
            ROW: made.row_id,
        }


@pytest.fixture
def setting(tmp_path: Path, random_model: Path, small_data: Path, plugin: Path) -> Setting:
    plugin.write_text(PLUGIN)
    return Setting(tmp_path, random_model, small_data, plugin)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in before if before[stage] != after[stage]}


def set_to(owner: str, **values: Any) -> Options:
    return {"settings": {owner: {name: (value,) for name, value in values.items()}}}


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({}, set()),
        ({"seeds": [1]}, {BASE, UNLEARNED, ROW}),
        ({"seeds": [1], "base_seed": 0}, {UNLEARNED, ROW}),
        ({"base_seed": 1}, {BASE, UNLEARNED, ROW}),
        ({"forget": [1]}, {UNLEARNED, ROW}),
        ({"methods": ["finetune"]}, {UNLEARNED, ROW}),
        (set_to("base", epochs=7), {BASE, UNLEARNED, ROW}),
        (set_to("planned", strength=2.0), {UNLEARNED, ROW}),
        (set_to("planned", strength=1.0), set()),
        (set_to("fiubench", scorer="fiubench"), {ROW}),
        (set_to("fiubench", private=["criminal"]), {UNLEARNED, ROW}),
        ({"tasks": ["pope"]}, {ROW}),
        ({"device": "cuda"}, {PRETRAINED, BASE, UNLEARNED, ROW}),
    ],
)
def test_an_option_changes_the_stages_that_depend_on_it(setting: Setting, changes: Options, stages: set[str]) -> None:
    setting.options["device"] = "cpu"
    assert changed(setting.keys(), setting.keys(**changes)) == stages


def flip(path: Path) -> None:
    """Change the last byte."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def reword(path: Path) -> None:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[0]["qa_list"][0]["answer"] += " indeed"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


EVERYTHING = {PRETRAINED, BASE, UNLEARNED, ROW}
FILES: dict[str, tuple[Callable[[Setting], None], set[str]]] = {
    "weights": (lambda s: flip(s.model / "model.safetensors"), EVERYTHING),
    "chat template": (lambda s: flip(s.model / "chat_template.jinja"), EVERYTHING),
    "tokenizer": (lambda s: flip(s.model / "tokenizer.json"), EVERYTHING),
    "an answer": (lambda s: reword(s.data / "full.json"), {BASE, UNLEARNED, ROW}),
    "another task's data": (lambda s: flip(s.data / "mme" / "count.txt"), set()),
    "a picture's time": (lambda s: next((s.data / "SFHQ").iterdir()).touch(), set()),
    "the plug-in's code": (lambda s: s.plugin.write_text(f"{PLUGIN}\n# and more\n") and None, {UNLEARNED, ROW}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_changes_the_stages_that_depend_on_it(setting: Setting, name: str) -> None:
    change, stages = FILES[name]
    before = setting.keys()
    change(setting)
    assert changed(before, setting.keys()) == stages


def test_the_data_of_a_task_without_a_forget_set_change_its_row_alone(setting: Setting) -> None:
    before = setting.keys(tasks=["pope"])
    file = setting.data / "pope" / "coco_pope_random.json"
    file.write_text(file.read_text().replace("Is there a", "Do you see a", 1))
    assert changed(before, setting.keys(tasks=["pope"])) == {ROW}


def test_the_code_of_a_single_file_task_changes_its_row(setting: Setting) -> None:
    setting.options |= {"methods": ["finetune"], "tasks": ["planned-task"]}
    before = setting.keys()
    setting.plugin.write_text(f"{PLUGIN}\n# and more\n")
    assert changed(before, setting.keys()) == {ROW}


def test_where_things_lie_does_not_matter(setting: Setting, tmp_path: Path) -> None:
    before = setting.keys()
    setting.model = setting.model.rename(tmp_path / "another model")
    setting.data = setting.data.rename(tmp_path / "other data")
    assert setting.keys() == before


def test_who_is_forgotten_counts_and_not_the_order_in_which_a_split_names_them(setting: Setting) -> None:
    [made] = setting.plans(forget=[3])
    ids = list(made.sets.forgotten)
    splits = {"one": ids, "other": ids[::-1], "fewer": ids[:2]}
    (setting.data / "split.json").write_text(json.dumps(splits))
    one, other, fewer = (setting.keys(forget=[name]) for name in splits)
    assert one == other == setting.keys(forget=[3])
    assert changed(one, fewer) == {UNLEARNED, ROW}


@pytest.mark.parametrize("split", [None, Split(name="two people", identities=2)], ids=["none", "no digest"])
def test_whoever_says_what_is_forgotten_tells_it_by_a_digest(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, split: Split | None
) -> None:
    monkeypatch.setattr("unlearnbench.tasks.fiubench.task.FIUBenchData.split", split)
    with pytest.raises(UsageError, match=r"does not tell who is forgotten.*make it with unlearnbench\.Split\.made"):
        setting.plans()


def test_a_row_of_an_older_schema_is_no_cells_result(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says in other words, or not at all, who is forgotten, and would stand apart from the rows beside it."""
    before = setting.keys(tasks=["pope"])
    monkeypatch.setattr("unlearnbench.engine.planning.plans.SCHEMA_VERSION", 1)
    assert changed(before, setting.keys(tasks=["pope"])) == {ROW}


def test_methods_tasks_and_forget_sets_share_a_base_and_tasks_an_unlearned_model(setting: Setting) -> None:
    plans = setting.plans(methods=["finetune", "planned"], tasks=["fiubench", "mme", "pope"], forget=[1, 2])
    assert len(plans) == 12
    assert len({each.stages[0].digest for each in plans}) == 1
    assert len({each.last.digest for each in plans}) == 4
    assert len({each.row_id for each in plans}) == 12


def test_the_private_groups_hold_for_the_utility_tasks_too(setting: Setting) -> None:
    private = set_to("fiubench", private=["criminal"])
    plans = setting.plans(tasks=["fiubench", "mme"], **private)
    assert len({each.last.digest for each in plans}) == 1


def test_a_cell_that_the_settings_give_twice_is_planned_once(setting: Setting) -> None:
    settings = {"fiubench": {"scorer": ("strict", "fiubench")}, "planned": {"strength": (1, 1.0)}}
    plans = setting.plans(tasks=["fiubench", "mme"], settings=settings)
    assert [(each.cell.task, getattr(each.task.options, "scorer", None)) for each in plans] == [
        ("fiubench", "strict"),
        ("mme", "official"),
        ("fiubench", "fiubench"),
    ]


def test_the_pretrained_model_needs_no_base(setting: Setting) -> None:
    [made] = setting.plans(methods=["pretrain"])
    assert [stage.name for stage in made.stages] == [UNLEARNED]
    [other] = setting.plans(methods=["pretrain"], **set_to("base", epochs=9))
    assert other.row_id == made.row_id


def test_a_broken_or_foreign_task_nearby_does_not_disturb_a_run(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = setting.keys(tasks=["mme"])
    monkeypatch.setattr(tasks, "_added", dict(tasks._added))
    tasks.register("aaa-broken", "not_there_at_all:Task", "somebody's package")
    assert setting.keys(tasks=["mme"]) == before


# ------------------------------------------------------------------------------------------------- what is checked when
def test_names_and_values_are_checked_before_data_and_data_before_a_model_is_fetched(
    setting: Setting, tmp_path: Path
) -> None:
    setting.options |= {"models": [str(setting.model), "nobody/nothing"], "device": "cpu"}
    (setting.data / "full.json").write_text("{")
    with pytest.raises(UsageError, match=r"^--set fiubench\.batch_size=0: "):
        setting.plans(**set_to("fiubench", batch_size=0))
    with pytest.raises(UsageError, match=r"^no task 'mne'; did you mean 'mme'\?"):
        setting.plans(tasks=["fiubench", "mne"])
    with pytest.raises(ModelError, match="nobody/nothing"):  # what is lacking is said before anything is read
        setting.plans()
    setting.options |= {"models": [str(setting.model)]}
    with pytest.raises(DataError, match=r"full\.json"):
        setting.plans()


def test_a_model_folder_that_is_none_says_what_it_lacks(setting: Setting, tmp_path: Path) -> None:
    (setting.model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        setting.plans()
    (setting.model / "config.json").write_text('{"model_type": ')
    with pytest.raises(ModelError, match=r"config\.json cannot be read \(.*\); save or download the model again"):
        setting.plans()
    (setting.model / "config.json").unlink()
    with pytest.raises(UsageError, match=r"has no config\.json; give a folder written by save_pretrained"):
        setting.plans()


def test_a_row_knows_the_family_of_a_model_that_only_its_files_name(setting: Setting, tmp_path: Path) -> None:
    [made] = setting.plans()
    assert made.source.card.family == "qwen2_5_vl"
    assert (made.source.card.scale, made.source.dtype) == ("tiny", "float32" if made.device == "cpu" else "bfloat16")


# ------------------------------------------------------------------------------------------------------------ lightness
HEAVY = {"torch", "transformers", "numpy", "scipy", "faker", "rouge_score", "datasets", "peft", "huggingface_hub"}
CODE = """
import sys
from unlearnbench.cli import main
sys.argv = ["unlearnbench", "plan", *sys.argv[1:]]
try:
    main()
finally:
    print(len(sys.modules), *({name.partition(".")[0] for name in sys.modules} & %r), file=sys.stderr)
"""
MODULES = 700
"""More than a plan imports; what it costs in seconds is measured by `benchmarks.start_up`."""


def test_planning_our_methods_imports_little_and_nothing_heavy(tmp_path: Path) -> None:
    words = ["--method", "finetune,cagul,pretrain", "--model", "tiny-qwen2.5-vl", "--json", "--device", "cpu"]
    command = [
        sys.executable,
        "-c",
        CODE % HEAVY,
        *words,
        "--store",
        tmp_path / "store",
        "--results",
        tmp_path / "rows",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported, *heavy = done.stderr.split()
    assert heavy == []
    assert int(imported) < MODULES
    assert len(json.loads(done.stdout)) == 9
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_of_the_base_holds_for_its_ideal_too(setting: Setting) -> None:
    """Trained otherwise it would be no ideal for it; what is set of the ideal itself prevails."""
    of_base = {"epochs": (7,), "lora.rank": (3,)}
    plans = setting.plans(methods=["retrain"], settings={"base": of_base})
    assert (plans[0].params.epochs, plans[0].params.lora.rank) == (7, 3)
    assert plans[0].params.model_dump() == plans[0].base.model_dump()
    plans = setting.plans(methods=["retrain"], settings={"base": of_base, "retrain": {"epochs": (9,)}})
    assert (plans[0].params.epochs, plans[0].params.lora.rank) == (9, 3)
