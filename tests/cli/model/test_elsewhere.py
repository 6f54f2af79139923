"""Models from elsewhere that cannot be taken: what ``--base-model`` and ``evaluate`` say, in one line, of each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.place import Done, Place, assert_one_line
from unlearnbench.results.store import RowStore

SMALL = ("--set", "fiubench.max_new_tokens=2")


def with_base(place: Place, base: str, *more: str, **options: str) -> Done:
    return place.run("run", *SMALL, *more, **{"task": "fiubench", "base-model": base} | options)


def an_adapter(folder: Path, base: str = "some/base", kind: str = "LORA") -> Path:
    """A folder as PEFT writes it, of an adapter that fits nothing."""
    folder.mkdir()
    about = {"peft_type": kind, "base_model_name_or_path": base, "r": 2, "lora_alpha": 4, "target_modules": ["nothing"]}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    save_file({"base_model.model.nothing.lora_A.weight": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def folders(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """What the words below name, in the folder where they are given."""
    monkeypatch.chdir(place.folder)
    an_adapter(place.folder / "adapter")
    (place.folder / "empty").mkdir()
    (place.folder / "file").touch()
    return place


WORDS = {
    "./nowhere": "there is no model folder ./nowhere",
    "tiny-qwen": "no model 'tiny-qwen'; did you mean 'tiny-qwen2.5-vl'?",
    "file": "file is a file; give the folder that save_pretrained has written",
    "empty": "model folder empty has no config.json",
    "adapter": "that is an adapter; name the model that it is on too: some/base@adapter",
    "tiny-qwen2.5-vl@": "name an adapter after the @",
    "tiny-qwen2.5-vl@empty": "empty holds no adapter_config.json: give the folder that PEFT's save_pretrained has",
    "@./nowhere": "there is no adapter folder ./nowhere; check the path",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_wrong_word_is_named_before_anything_is_read(folders: Place, name: str) -> None:
    assert_one_line(with_base(folders, name), 2, f"--base-model {name}: {WORDS[name]}")
    done = evaluate(folders, name)
    assert_one_line(done, 2, f"evaluate {name}: {WORDS[name]}")
    assert folders.rows() == folders.earlier


def evaluate(place: Place, *words: str, **options: str | None) -> Done:
    given: dict[str, str | None] = {"method": None, "as": "theirs", "executor": "inline", "task": "fiubench"}
    return place.run("evaluate", *words, **given | options)


OPTIONS: dict[str, tuple[dict[str, str], str]] = {
    "two models": (
        {"model": "tiny-qwen2.5-vl,tiny-mllama"},
        "--base-model tiny-qwen2.5-vl: it was made from one model, and --model names 2",
    ),
    "hyperparameters": (
        {"set": "base.epochs=3"},
        "--set base.epochs: nothing of the base is trained with --base-model tiny-qwen2.5-vl",
    ),
    "no share": ({"set": "base.memorised=2"}, "--set base.memorised=2: Input should be less than or equal to 1"),
    "no parameter": (
        {"set": "base.memorized=1"},
        "--set base.memorized: base has no such parameter; did you mean",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_do_not_go_with_a_base_of_ones_own(folders: Place, name: str) -> None:
    options, said = OPTIONS[name]
    assert_one_line(with_base(folders, "tiny-qwen2.5-vl", **options), 2, said)


EVALUATE: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "taken": (
        (),
        {"as": "cagul"},
        "--as cagul: that is a method here; give the model from elsewhere a name",
    ),
    "taken but for a capital": ((), {"as": "CAGUL"}, "--as CAGUL: cagul is a method here, for which it would be taken"),
    "taken but for a dash": ((), {"as": "po_gd"}, "--as po_gd: po-gd is a method here"),
    "no name": ((), {"as": "a b"}, "--as a b: a method's name has letters, digits, '.', '_' and '-'"),
    "seeds": (
        (),
        {"seed": "0,1"},
        "--seed 0,1: one model was made with one seed; evaluate that of each seed",
    ),
    "alone": (("--alone",), {"base-model": "x"}, "--alone: there is no base beside it; leave out --base-model x"),
    "set": ((), {"set": "theirs.epochs=1"}, "--set theirs.epochs: that model was made elsewhere: leave it out"),
}


@pytest.mark.parametrize("name", EVALUATE)
def test_what_cannot_be_evaluated_so(folders: Place, name: str) -> None:
    words, options, said = EVALUATE[name]
    done = evaluate(folders, "tiny-qwen2.5-vl", *words, **options)
    assert_one_line(done, 2, said)


@pytest.mark.parametrize("name", ["nobody/nothing", "tiny-qwen2.5-vl@nobody/nothing"])
def test_what_cannot_be_fetched_is_named_with_all_that_is_missing(folders: Place, name: str) -> None:
    options = {"model": "tiny-qwen2.5-vl", "task": "fiubench", "base-model": name}
    done = folders.run("plan", **options)
    said = "not in the cache, and nothing may be downloaded now: model nobody/nothing"
    assert_one_line(done, 1, said, "hf download nobody/nothing")


def changed(file: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def quantised(folder: Path) -> None:
    changed(folder / "config.json", lambda config: config.update(quantization_config={"quant_method": "awq"}))


def of_another_family(folder: Path) -> None:
    changed(folder / "config.json", lambda config: config.update(model_type="mllama"))


def with_code(folder: Path) -> None:
    changed(folder / "config.json", lambda config: config.update(auto_map={"AutoModel": "modeling.Guarded"}))


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


FILES = {
    quantised: "is quantised (awq)",
    of_another_family: "is of the family 'mllama', and --model {model} of 'qwen2_5_vl': give --model the",
    with_code: "comes with code of its own (auto_map in its config.json), which is not run here",
    without_weights: "holds no *.safetensors",
    cut_short: "is no safetensors file (cut short",
}


@pytest.mark.parametrize("spoil", FILES)
def test_files_that_are_no_base_are_named_before_anything_is_computed(
    folders: Place, spoil: Callable[[Path], None]
) -> None:
    spoil(shutil.copytree(folders.model, folders.folder / "own"))
    said = FILES[spoil].format(model=folders.model)
    assert_one_line(with_base(folders, "own"), 1, said)
    assert_one_line(evaluate(folders, "own"), 1, said)
    assert folders.rows() == folders.earlier


def test_adapters_that_cannot_be_put_on(folders: Place) -> None:
    base = str(folders.model)
    an_adapter(folders.folder / "prompts", kind="PROMPT_TUNING")
    assert_one_line(with_base(folders, f"{base}@prompts"), 1, "an adapter of the kind PROMPT_TUNING, and only LoRA")
    (an_adapter(folders.folder / "pickled") / "adapter_model.safetensors").unlink()
    assert_one_line(
        with_base(folders, f"{base}@pickled"), 1, "holds no adapter_model.safetensors: save the adapter with PEFT"
    )
    done = with_base(folders, f"{base}@adapter")
    assert done.code == 1
    assert f"error: finetune on fiubench: the adapter of {base}@adapter does not fit the model" in done.err


def test_a_model_of_another_shape_and_one_that_knows_nobody_give_rows_that_say_so(folders: Place) -> None:
    own = shutil.copytree(folders.model, folders.folder / "own")
    done = with_base(folders, "own")
    assert done.code == 1
    said = "model own has not memorised what is to be forgotten: of 24 answers it gives 0 word for word"
    assert said in done.err
    row = RowStore(folders.results).read()[-1]
    assert row.error is not None
    assert row.error.message.startswith(said)
    assert with_base(folders, "own", "--set", "base.memorised=0").code == 0, "who asks for nothing gets it"

    weights = load_file(own / "model.safetensors")
    name = next(name for name in weights if name.endswith("mlp.gate_proj.weight"))
    save_file(weights | {name: weights[name][:-1].contiguous()}, own / "model.safetensors", {"format": "pt"})
    done = with_base(folders, "own")
    assert done.code == 1
    assert "error: finetune on fiubench: weights of own do not fit its config.json" in done.err


def test_of_an_adapter_beside_its_base_that_is_named(folders: Place) -> None:
    shutil.copytree(folders.model, an_adapter(folders.folder / "two", "./base") / "base")
    assert_one_line(with_base(folders, "two"), 2, "name the model that it is on too: two/base@two")


def test_a_large_model_from_elsewhere_is_counted(folders: Place) -> None:
    """Nothing is trained of it, and what is asked of it has to fit."""
    words = ("--as", "theirs", "--alone", "--dry-run", "--gpu-memory", "80")
    done = folders.run("evaluate", "./nowhere", *words, model="qwen2.5-vl-7b", device=None, method=None)
    assert_one_line(done, 2, "there is no model folder ./nowhere")
    folder = shutil.copytree(folders.model, folders.folder / "theirs")
    done = folders.run("evaluate", str(folder), *words, model="qwen2.5-vl-7b", device=None, method=None)
    assert "abstract" not in done.err
    assert_one_line(done, 1, "Qwen/Qwen2.5-VL-7B-Instruct")


def test_an_adapter_of_a_store_beside_that_of_peft_is_not_read(folders: Place) -> None:
    (folders.folder / "adapter" / "adapter.json").write_text("{}")
    done = with_base(folders, f"{folders.model}@adapter")
    assert_one_line(done, 1, "adapter.json is of a store, and not of PEFT: remove it")


@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_evaluate_takes_its_options_from_a_file(folders: Place, form: str) -> None:
    """What is typed goes before it; the rows are those of the same words."""
    values = {"as": "theirs", "model": str(folders.model), "alone": True, "task": "fiubench", "seed": 3, "forget": 2}
    values |= {"data": str(folders.data), "device": "cpu", "results": str(folders.results), "store": str(folders.store)}
    text = {"toml": "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())}
    text["yaml"] = "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())
    settings = {"toml": "[set.fiubench]\nmax_new_tokens = 2\n", "yaml": "set: {fiubench: {max_new_tokens: 2}}\n"}
    file = folders.folder / f"theirs.{form}"
    file.write_text(text[form] + settings[form])
    model = str(folders.model)
    nothing = dict.fromkeys(("method", "model", "data", "forget", "device", "results", "store"))
    done = folders.run("evaluate", model, "--json", config=str(file), executor="inline", **nothing)
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["method"]["name"], row["seed"], row["base"]) == ("theirs", 3, None)
    typed = evaluate(folders, model, *SMALL, "--alone", "--json", model=model, seed="3")
    assert [each["row_id"] for each in json.loads(typed.out)] == [row["row_id"]]
    other = folders.run("evaluate", model, "--json", config=str(file), executor="inline", **nothing | {"seed": "4"})
    assert [each["seed"] for each in json.loads(other.out)] == [4]


def test_a_file_names_what_is_no_option_of_evaluate(folders: Place) -> None:
    file = folders.folder / "theirs.toml"
    for text, said in {
        'method = "ga"': "no option 'method'; see --help",
        'as = ["a", "b"]': "as: give one value",
        'weights = "x"': "no option 'weights'",
        'as = "theirs"\nalone = "perhaps"': "Invalid value for '--alone'",
    }.items():
        file.write_text(text)
        done = folders.run("evaluate", "x", config=str(file), method=None)
        assert done.code == 2, text
        assert said in done.err


def fitting(folder: Path, base: str) -> Path:
    """An adapter that fits the random model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder.parent / "own")
    get_peft_model(model, LoraConfig(r=1, target_modules=["q_proj"])).save_pretrained(folder)
    changed(folder / "adapter_config.json", lambda about: about.update(base_model_name_or_path=base))
    return folder


def other_weights(folder: Path) -> None:
    """Change the last byte of a model's weights."""
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DOUBT = "evaluate own@put: the adapter's settings name {base!r} as its model, and it is put on 'own', which is "


def test_an_adapter_on_a_model_that_is_not_its_own_is_told_and_noted(
    folders: Place, caplog: pytest.LogCaptureFixture
) -> None:
    _, other = (shutil.copytree(folders.model, folders.folder / name) for name in ("own", "other"))
    other_weights(other)
    base = str(other)
    fitting(folders.folder / "put", base)
    options = {"model": str(folders.model), "task": "pope", "set": "pope.max_new_tokens=2", "data": "embedded"}
    done = evaluate(folders, "own@put", "--alone", "--json", "--set", "pope.limit=2", **options)
    assert done.code == 0, done.err
    assert caplog.text.count(DOUBT.format(base=base)) == 1
    (row,) = json.loads(done.out)
    assert row["notes"]["adapter"].startswith(f"evaluate own@put: the adapter's settings name {base!r}")
    assert row["notes"]["adapter"].endswith("; the adapter changes nothing, so what is measured is 'own' as it is")
    based = folders.run("plan", **{"task": "fiubench", "base-model": "own@put"})
    assert based.code == 0, based.err
    assert caplog.text.count("--base-model own@put: the adapter's settings name") == 1


@pytest.mark.parametrize("base", ["own", "./own", "{folder}/own", "copy", "./within", "gone", "/gone", "a/hub-id", ""])
def test_nothing_is_said_of_an_adapter_on_its_own_model_or_where_nobody_can_tell(
    folders: Place, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The model by a path from here, from the adapter or from the root, its content elsewhere; and what is not here."""
    for name in ("own", "copy", "put/within"):
        shutil.copytree(folders.model, folders.folder / name)
    shutil.move(folders.folder / "put", folders.folder / "whole")
    adapter = an_adapter(folders.folder / "put", base.format(folder=folders.folder))
    shutil.move(folders.folder / "whole" / "within", adapter)
    done = evaluate(folders, "own@put", "--alone", "--dry-run", model=str(folders.model))
    assert done.code == 0, done.err
    assert "the adapter's settings" not in caplog.text


def test_an_adapter_says_itself_on_which_model_it_is(folders: Place) -> None:
    an_adapter(folders.folder / "tiny", "tiny-qwen2.5-vl")
    done = evaluate(folders, "@tiny", "--alone", "--dry-run", "--json", model=None)
    assert done.code == 0, done.err
    assert [each["model"] for each in json.loads(done.out)] == ["tiny-qwen2.5-vl"]
    done = evaluate(folders, "@adapter", "--alone", model=None)
    assert_one_line(done, 2, "evaluate @adapter: say with --model", "(the adapter is on 'some/base')")


def test_attacked_alone_nothing_is_trained_and_what_needs_a_base_is_refused(folders: Place) -> None:
    shutil.copytree(folders.model, folders.folder / "own")
    asked = {"model": str(folders.model), "task": "fiubench", "attack": "leak"}
    done = evaluate(folders, "own", "--alone", "--dry-run", "--json", **asked)
    assert done.code == 0, done.err
    told = [(each["method"], each["attack"], each["base"]) for each in json.loads(done.out)]
    assert told == [("theirs", None, "not needed"), ("theirs", "leak", "not needed")]
    done = evaluate(folders, "own", "--alone", "--dry-run", **asked | {"attack": "quantise"})
    assert_one_line(done, 2, "attack quantise looks at the base too, and with --alone there is none")


def test_a_second_model_of_the_same_name_and_seed_is_told(folders: Place) -> None:
    for name in ("own", "other"):
        shutil.copytree(folders.model, folders.folder / name)
    other_weights(folders.folder / "other")
    options = {"model": str(folders.model), "task": "pope", "set": "pope.max_new_tokens=2", "data": "embedded"}
    words = ("--alone", "--set", "pope.limit=2")
    first, again = (evaluate(folders, "own", *words, **options) for _ in range(2))
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert "another model of that name" not in first.err + again.err
    second = evaluate(folders, "other", *words, **options)
    assert second.code == 0
    said = f"warning: --as theirs: the results have another model of that name with seed 0 ({folders.folder / 'own'})"
    assert second.err.count(said) == 1
    report = folders.run("report", str(folders.results), **dict.fromkeys(folders.words("report")[1::2]))
    assert "Not counted" not in report.out
