"""What ``--set`` and the other options of a grid mean: values, cells, and what is said of those that cannot be."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from unlearnbench import Params, Task
from unlearnbench.config import RunConfig, cells, forgetting_task, parse_settings, resolve, split_list
from unlearnbench.errors import UsageError
from unlearnbench.registry import Registry, methods, tasks
from unlearnbench.training.params import BaseParams

OWNERS = ("cagul", "ga.v2", "ga", "fiubench", "base")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
words = st.text(st.characters(categories=("L",)), min_size=1).filter(
    lambda word: word not in ("null", "true", "false", "NaN", "Infinity")
)


@given(st.lists(json_values, min_size=1), st.sampled_from([",", " , ", ",\n"]))
def test_json_values_are_read_back_whatever_commas_they_hold(values: list[Any], comma: str) -> None:
    text = comma.join(json.dumps(value) for value in values)
    assert parse_settings([f"cagul.k={text}"], OWNERS) == {"cagul": {"k": tuple(values)}}


@given(st.lists(words, min_size=1))
def test_bare_words_are_text(values: list[str]) -> None:
    assert parse_settings([f"cagul.mode={','.join(values)}"], OWNERS) == {"cagul": {"mode": tuple(values)}}


@given(st.text())
def test_splitting_loses_nothing(text: str) -> None:
    parts = split_list(text)
    assert "".join(",".join(parts).split()) == "".join(text.split())
    assert all(part == part.strip() for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("4,8", ["4", "8"]),
        ('["a,b"],[]', ['["a,b"]', "[]"]),
        (r'"say \"no, never\"",x', [r'"say \"no, never\""', "x"]),
        ("x],y", ["x]", "y"]),
        ("1e5x,2", ["1e5x", "2"]),
        ('say "a,b', ['say "a', "b"]),
    ],
)
def test_commas_split_outside_of_json_alone(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_repeated_settings_add_up_like_a_list() -> None:
    once = parse_settings(["cagul.k=4,8", "base.epochs=1"], OWNERS)
    assert parse_settings(["cagul.k=4", "base.epochs=1", "cagul.k=8"], OWNERS) == once
    assert once == {"cagul": {"k": (4, 8)}, "base": {"epochs": (1,)}}


def test_names_of_owners_and_of_parameters_may_have_dots() -> None:
    settings = parse_settings(["ga.v2.lora.rank=8", "ga.lora.rank=4", "other.lora.rank=2"], OWNERS)
    assert settings == {"ga.v2": {"lora.rank": (8,)}, "ga": {"lora.rank": (4,)}, "other": {"lora.rank": (2,)}}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_text(word: str) -> None:
    assert parse_settings([f"cagul.k={word}"], OWNERS) == {"cagul": {"k": (word,)}}


@pytest.mark.parametrize("text", ["", "k", "k=4", "cagul.k", "cagul.k=", ".k=4", "cagul.=4", "=4", "cagul=4"])
def test_a_setting_that_is_none_is_told_its_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--set .*: write OWNER\.PARAM=VALUE, for .* base\.epochs=10,20$"):
        parse_settings([text], OWNERS)


# ----------------------------------------------------------------------------------------------------------- the grid
def grid(**options: Any) -> RunConfig:
    return RunConfig(**{"methods": ("finetune", "cagul"), "models": ("tiny",), "tasks": ("fiubench", "mme"), **options})


def test_one_cell_for_every_combination_with_the_tasks_of_a_model_together() -> None:
    made = cells(grid(models=("tiny", "large"), seeds=(0, 1), settings={"cagul": {"k": (4, 8)}}))
    shown = [(cell.model, cell.seed, cell.method, cell.settings.get("cagul", {}).get("k"), cell.task) for cell in made]
    assert shown == [
        (model, seed, method, k, task)
        for model in ("tiny", "large")
        for seed in (0, 1)
        for method, k in (("finetune", None), ("cagul", 4), ("cagul", 8))
        for task in ("fiubench", "mme")
    ]


@given(
    st.dictionaries(st.sampled_from(["k", "epochs", "lr"]), st.lists(st.integers(), min_size=1, max_size=3)),
    st.lists(st.integers(), min_size=1, max_size=3),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_the_grid_is_a_product(own: dict[str, list[int]], base: list[int], forget: list[int]) -> None:
    made = cells(
        RunConfig(
            methods=("cagul",),
            models=("tiny",),
            tasks=("mme",),
            forget=forget,
            settings={"base": {"e": base}, "cagul": own},
        )
    )
    expected = len(base) * len(forget)
    for values in own.values():
        expected *= len(values)
    assert len(made) == expected
    assert all(set(cell.settings.get("cagul", {})) == set(own) for cell in made)


def test_the_base_has_the_run_s_seed_unless_it_is_given_its_own() -> None:
    assert {(cell.seed, cell.base_seed) for cell in cells(grid(seeds=(3, 4)))} == {(3, 3), (4, 4)}
    assert {(cell.seed, cell.base_seed) for cell in cells(grid(seeds=(3, 4), base_seed=0))} == {(3, 0), (4, 0)}


def test_the_settings_of_the_task_with_the_forget_set_hold_for_all_tasks() -> None:
    """Else the utility of a model would be measured on another one than the one that was unlearned."""
    made = cells(grid(methods=("cagul",), settings={"fiubench": {"private": (["health"], ["criminal"])}}))
    assert [(cell.task, cell.settings["fiubench"]["private"]) for cell in made] == [
        (task, private) for private in (["health"], ["criminal"]) for task in ("fiubench", "mme")
    ]


def test_a_run_that_names_no_task_has_those_that_say_so(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    class Mine(Task):
        name = "a-task-of-mine"
        by_default = True
        load = evaluate = None  # type: ignore[assignment]

    registry = Registry("tasks", "unlearnbench.contracts:Task")
    registry.register("a-task-of-mine", Mine, "mine.py")
    registry.register("a-broken-one", "no_such_module:Task", "broken.py")
    monkeypatch.setattr("unlearnbench.config.tasks", registry)
    assert RunConfig(methods=("ga",), models=("m",)).tasks == ("a-task-of-mine", "fiubench", "mme", "pope")
    assert "left out: task 'a-broken-one' from broken.py cannot be imported" in caplog.text
    assert forgetting_task() == "fiubench"


def test_settings_of_nobody_in_the_run_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        cells(grid(settings={"cagull": {"k": (4,)}}))
    assert str(error.value) == (
        "--set cagull.…: 'cagull' is not part of this run; did you mean 'cagul'? "
        "choose one of: finetune, cagul, fiubench, mme, base"
    )


@pytest.mark.parametrize("fault", [{"methods": ()}, {"models": ()}, {"seeds": ("x",)}, {"epochs": 3}])
def test_a_grid_is_checked_when_it_is_made(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        grid(**fault)


# --------------------------------------------------------------------------------------------------------- parameters
class Adapter(Params):
    rank: int = 8
    alpha: float = 16.0


class Example(Params):
    """As a method would nest it."""

    epochs: int = Field(3, ge=1)
    mode: str = "plain"
    lora: Adapter = Adapter(rank=128, alpha=256.0)
    words: tuple[str, ...] = ("a",)

    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"epochs": 30, "mode": "small"}}

    @field_validator("words")
    @classmethod
    def _some(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not words:
            raise ValueError("give at least one word")
        return words


def test_what_was_set_wins_over_the_preset_and_that_over_the_default() -> None:
    assert resolve(Example, "x", "large", {}) == Example()
    assert resolve(Example, "x", "tiny", {}) == Example(epochs=30, mode="small")
    assert resolve(Example, "x", "tiny", {"epochs": 5}) == Example(epochs=5, mode="small")
    assert resolve(Example, "x", "tiny", {"words": ["b", "c"]}).words == ("b", "c")


def test_a_preset_of_a_family_wins_over_that_of_the_scale() -> None:
    class Own(Example):
        presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"mode": "narrow"}, "tiny/mllama": {"epochs": 4}}

    assert resolve(Own, "x", "tiny", {}, "mllama") == Own(epochs=4, mode="narrow")
    assert resolve(Own, "x", "tiny", {}, "qwen2_5_vl") == Own(epochs=30, mode="narrow")
    assert resolve(Own, "x", "large", {}, "mllama") == Own()


def test_cagul_replaces_as_many_tokens_as_the_paper() -> None:
    kind = methods.get("cagul").Params
    found = [resolve(kind, "cagul", "large", {}, family).k for family in ("qwen2_5_vl", "mllama")]
    assert found == [20, 200]


def test_a_dotted_name_changes_one_field_of_a_nested_parameter() -> None:
    assert resolve(Example, "x", "large", {"lora.rank": 4}).lora == Adapter(rank=4, alpha=256.0)
    assert resolve(Example, "x", "large", {"lora": {"alpha": 1.0}}).lora == Adapter(rank=8, alpha=1.0)
    assert resolve(Example, "x", "large", {"lora": {"alpha": 1.0}, "lora.rank": 2}).lora == Adapter(rank=2, alpha=1.0)


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"epochs": "many"}, "--set x.epochs=many: Input should be a valid integer"),
        ({"epochs": 0}, "--set x.epochs=0: Input should be greater than or equal to 1"),
        ({"epochs": 1.5}, "--set x.epochs=1.5: Input should be a valid integer"),
        ({"mode": 4}, "--set x.mode=4: Input should be a valid string"),
        ({"words": []}, "--set x.words=[]: give at least one word"),
        ({"words": "a"}, """--set x.words=a: it is a list: write it as JSON, --set 'x.words=["a"]'; see"""),
        ({"words": ["a", 1]}, "--set x.words=1: Input should be a valid string"),
        ({"lora.rank": "high"}, "--set x.lora.rank=high: Input should be a valid integer"),
        ({"epochs.more": 4}, "--set x.epochs={'more': 4}: Input should be a valid integer"),
        (
            {"epoch": 4},
            "--set x.epoch: x has no such parameter; did you mean 'epochs'? it has: epochs, mode, lora.rank",
        ),
        ({"lora.ranks": 4}, "--set x.lora.ranks: x has no such parameter; did you mean 'lora.rank'? it has: "),
        (
            {"epochs": 4, "qq": 4},
            "--set x.qq: x has no such parameter; it has: epochs, mode, lora.rank, lora.alpha, wor",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_the_fix(settings: dict[str, Any], begins: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(Example, "x", "large", settings)
    message = str(error.value)
    assert message.startswith(begins)
    assert "\n" not in message
    assert message.endswith("; see unlearnbench show x") or "it has: " in message


def test_a_class_without_parameters_says_so() -> None:
    with pytest.raises(UsageError, match=r"^--set x\.k: x has no such parameter; it has: none$"):
        resolve(Params, "x", "large", {"k": 4})


@pytest.mark.parametrize("scale", ["tiny", "large"])
def test_our_own_defaults_are_sound_at_every_scale(scale: str) -> None:
    ours = [
        name for name in methods.names() if methods.origin(name).startswith("unlearnbench ")
    ]  # other tests add more
    params = [methods.get(name).Params for name in ours]
    options = [tasks.get(name).Options for name in ("fiubench", "mme", "pope")]
    for kind in (*params, *options, BaseParams):
        expected = kind().model_dump()
        for name, value in kind.preset(scale).items():
            *outer, field = name.split(".")
            place = expected
            for part in outer:
                place = place[part]
            assert place.get(field) != value, f"{kind.__module__}: the preset of {name} is the default"
            place[field] = value
        assert resolve(kind, "x", scale, {}).model_dump() == expected


def test_the_base_is_described_by_its_parameters_as_it_has_no_page() -> None:
    with pytest.raises(
        UsageError,
        match=r"^--set base\.epochs=0: .*; its parameters: epochs, batch_size, micro_batch_size, learning_rate",
    ):
        resolve(BaseParams, "base", "tiny", {"epochs": 0})


class Varied(Params):
    k: int = 4
    mode: str = "plain"
    variants: ClassVar[dict[str, dict[str, Any]]] = {"bare": {"mode": "none", "k": 1}}


class Narrower(Varied):
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"k": 2}}


def test_a_variant_sets_its_parameters_and_what_is_set_beside_it_prevails() -> None:
    assert resolve(Varied, "x", "tiny", {"variant": "bare"}) == Varied(k=1, mode="none")
    assert resolve(Varied, "x", "tiny", {"k": 9, "variant": "bare"}) == Varied(k=9, mode="none")
    assert resolve(Narrower, "x", "tiny", {"variant": "full"}) == Narrower(k=2)
    assert resolve(Narrower, "x", "tiny", {"variant": "bare"}).k == 1
    with pytest.raises(UsageError, match=r"--set x.variant=bar: .* it has: full, bare"):
        resolve(Varied, "x", "tiny", {"variant": "bar"})


def test_presets_of_base_classes_hold_too() -> None:
    class Wider(Narrower):
        presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {"mode": "small"}, "large": {"k": 8}}

    assert resolve(Wider, "x", "tiny", {}) == Wider(k=2, mode="small")
    assert resolve(Wider, "x", "large", {}) == Wider(k=8)
