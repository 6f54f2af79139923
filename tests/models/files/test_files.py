"""What plan says of a model's folder as other hands left it; each line names the model, what is wrong and the fix."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.errors import ModelError, UsageError
from unlearnbench.models.files import check as files
from unlearnbench.models.files.card import ModelCard
from unlearnbench.models.files.load import _check_memory, load
from unlearnbench.models.files.source import card_for


@pytest.fixture
def model(tmp_path: Path, random_model: Path) -> Path:
    return shutil.copytree(random_model, tmp_path / "mine")


def planned(model: Path | str, tmp_path: Path, **options: object) -> object:
    config = {"methods": ["pretrain"], "models": [str(model)], "tasks": ["pope"], "data": "embedded", **options}
    return plan(RunConfig(**config), Store(tmp_path / "store"), dry=True)  # type: ignore[arg-type]


def edited(path: Path, **values: object) -> None:
    found = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in (found | values).items() if value is not None}))


def as_adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct"}
    (folder / "adapter_config.json").write_text(json.dumps(about))


def with_lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def template_beside_the_tokenizer(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    edited(folder / "tokenizer_config.json", chat_template="{{ messages }}")


def cut(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-7])


def renamed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name) and None


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an adapter": (as_adapter, "is an adapter (LORA) of Qwen/Qwen2.5-VL-7B-Instruct, no whole model: merge the two"),
    "no template": (
        lambda folder: (folder / "chat_template.jinja").unlink(),
        "has no chat template: copy that of the model that it was made from to chat_template.jinja, into ",
    ),
    "an empty template": (lambda folder: (folder / "chat_template.jinja").write_text(" "), "has no chat template"),
    "a template that nobody reads": (template_beside_the_tokenizer, "write that of tokenizer_config.json"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer: copy tokenizer*.json"),
    "no processor": (
        lambda folder: (folder / "processor_config.json").unlink(),
        "has no image processor: copy preprocessor_config.json or processor_config.json",
    ),
    "pickles": (renamed("pytorch_model.bin"), "holds no *.safetensors; it has weights as *.bin alone"),
    "GGUF": (renamed("model-q4.gguf"), "holds no *.safetensors; it has GGUF files, made for llama.cpp"),
    "Meta's": (renamed("consolidated.00.pth"), "it has weights in Meta's own format"),
    "a lost shard": (with_lost_shard, "lacks model-00002-of-00002.safetensors (1 of its 2 weight files)"),
    "a cut file": (cut, "model.safetensors is no safetensors file (cut short: "),
    "an empty file": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "(no header)"),
    "a pointer": (
        lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a pointer of Git LFS: fetch the file with git lfs pull",
    ),
    "quantised": (
        lambda folder: edited(folder / "config.json", quantization_config={"quant_method": "awq"}),
        "is quantised (awq): such weights can be neither trained nor edited here",
    ),
    "another family": (
        lambda folder: edited(folder / "config.json", model_type="paligemma"),
        "is of the family 'paligemma', which nobody has proved here; choose one of ",
    ),
    "its authors' format": (
        lambda folder: edited(folder / "config.json", model_type="llava_llama"),
        "not transformers'; give its conversion (llava-hf on the hub)",
    ),
    "no family": (lambda folder: edited(folder / "config.json", model_type=None), "names no model_type"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_keeps_a_model_from_running_is_said_by_plan(model: Path, tmp_path: Path, fault: str) -> None:
    assert planned(model, tmp_path)
    change, said = FAULTS[fault]
    change(model)
    with pytest.raises(ModelError) as caught:
        planned(model, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


def test_an_index_that_names_no_files_says_nothing(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors.index.json").write_text('{"weight_map": ["a"]}')
    assert planned(model, tmp_path)


def test_weights_of_another_shape_are_named_on_loading(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    name = next(each for each in sorted(weights) if each.endswith("down_proj.weight"))
    save_file(weights | {name: torch.zeros(3, 5)}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=f"weights of {re.escape(str(model))} do not fit its config.json, ") as caught:
        load(card_for(str(model)), "cpu")
    assert "down_proj.weight for one (1 in all)" in str(caught.value)


def test_folders_that_are_no_models_say_what_they_are(model: Path, tmp_path: Path) -> None:
    (model / "config.json").unlink()
    below = shutil.copytree(model, tmp_path / "runs" / "checkpoint-500")
    as_adapter(model)
    (below / "config.json").write_text("{}")
    (gguf := tmp_path / "gguf").mkdir()
    (gguf / "model-q4.gguf").touch()
    for name, said in {
        model: "is an adapter (LORA) of Qwen",
        tmp_path / "runs": f"has no config.json; did you mean {below}?",
        gguf: "has GGUF files, made for llama.cpp",
        gguf / "model-q4.gguf": "is a file; give the folder",
        tmp_path / "nowhere": "there is no model folder",
        "./nowhere": "there is no model folder ./nowhere",
    }.items():
        with pytest.raises(UsageError) as caught:
            planned(name, tmp_path)
        assert said in str(caught.value)
        assert str(name) in str(caught.value)


def test_a_base_without_epochs_is_one_of_ones_own(tmp_path: Path) -> None:
    settings = {"base": {"epochs": (0,)}}
    with pytest.raises(
        UsageError, match=r"--set base\.epochs=0: .* finetuned already with --base-model MODEL\[@ADAPTER\]"
    ):
        planned("tiny-qwen2.5-vl", tmp_path, settings=settings)


def test_a_folder_named_like_a_registered_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "tiny-mllama"
    model.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    both = planned(name, tmp_path, models=[name, f"./{name}"])
    families = [each.source.card.family for each in both]  # type: ignore[attr-defined]
    assert families == ["mllama", "qwen2_5_vl"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"--model {name}: the registered model of that name is taken; the folder here is ./{name}"]
    assert card_for(f"./{name}").name == f"./{name}"


def test_bytes_are_counted_by_what_the_files_hold(tmp_path: Path) -> None:
    for place, kind in enumerate((torch.float32, torch.bfloat16, torch.float16, torch.float64)):
        save_file({f"w{place}": torch.zeros(3, 5, dtype=kind)}, tmp_path / f"model-{place}.safetensors")
    save_file({"ids": torch.zeros(7, dtype=torch.int64)}, tmp_path / "model-4.safetensors")
    save_file({"a": torch.zeros(9)}, tmp_path / "adapter_model.safetensors")  # no part of the model
    assert files.loaded_bytes(tmp_path, 4) == 4 * 15 * 4 + 7 * 8
    assert files.loaded_bytes(tmp_path, 2) == 4 * 15 * 2 + 7 * 8


def test_a_real_model_takes_what_its_parameters_take(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    assert files.loaded_bytes(model, 4) == sum(4 * each.numel() for each in weights.values())


def of_zeros(folder: Path, kind: str, numbers: int, size: int) -> None:
    """A file of so many zeros, which takes no room on the disk."""
    header = json.dumps({"w": {"dtype": kind, "shape": [numbers], "data_offsets": [0, numbers * size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + numbers * size)


def test_float32_files_that_fit_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 1 << 30

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    card = ModelCard(name="mine", family="qwen2_5_vl", source="x")
    of_zeros(tmp_path, "F32", 200 << 20, 4)
    _check_memory(card, tmp_path, "cpu", torch.float32)
    of_zeros(tmp_path, "BF16", 200 << 20, 2)
    _check_memory(card, tmp_path, "cpu", torch.float32)
    of_zeros(tmp_path, "BF16", 300 << 20, 2)
    with pytest.raises(ModelError, match=r"needs 1\.2 GiB for its weights on cpu, 1\.0 GiB are free"):
        _check_memory(card, tmp_path, "cpu", torch.float32)
    _check_memory(card, tmp_path, "cpu", torch.bfloat16)
