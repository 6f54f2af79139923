"""The methods that `docs/adding-a-method.md` shows: parameters and a loss, and three matrices on hidden states."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.processes import run as unlearnbench
from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.models.contract.edits import Weights
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import load_plugin, methods
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE
from unlearnbench.testing import check_method

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-method.md"
NAMES = {"hinge_gd.py": "hinge-gd", "steered.py": "steered"}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The page's blocks of Python as files, registered in this process for as long as they are used."""
    folder = tmp_path_factory.mktemp("plugins")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    files = [folder / name for name in NAMES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "_added", {})
        for file, text in zip(files, blocks, strict=True):
            assert text.startswith(f'"""{file.name}: ')
            file.write_text(text)
            load_plugin(file)
        yield files


@pytest.mark.parametrize("name", NAMES.values())
def test_they_pass_the_checks(plugins: list[Path], name: str) -> None:
    check_method(name)


def test_they_run_as_ours_do(plugins: list[Path], small_data: Path, shared_store: Path, tmp_path: Path) -> None:
    words = ["--method", ",".join(NAMES.values()), "--model", "tiny-qwen2.5-vl", "--task", "pope", "--device", "cpu"]
    words += [word for file in plugins for word in ("--plugin", file)]
    words += ["--data", small_data, "--forget", "2", "--set", "base.epochs=1"]
    small = ["--set", "pope.max_new_tokens=2", "--set", "hinge-gd.epochs=1", "--set", "steered.epochs=1"]
    places = ["--results", tmp_path, "--store", shared_store, "--executor", "inline", "--quiet", "--json"]
    done = unlearnbench("run", *words, *small, *places)
    assert done.returncode == 0, done.stderr
    rows = {row["method"]["name"]: row for row in json.loads(done.stdout)}
    assert {row["status"] for row in rows.values()} == {"ok"}
    sizes = {name: p.numel() for name, p in load(card_for("tiny-qwen2.5-vl"), "cpu").model.named_parameters()}
    three = sum(sizes[f"model.language_model.layers.{number}.mlp.down_proj.weight"] for number in (0, 1, 2))
    assert rows["steered"]["cost"]["trainable_parameters"] == three
    planned = unlearnbench("plan", "--memory", *words, "--json")
    stages = {stage["stage"]: stage for stage in json.loads(planned.stdout)}
    assert stages["steered"]["parts"]["gradients"] == 4 * three


@torch.no_grad()
def states(model: VLM, samples: Sequence[Sample]) -> Tensor:
    """What block 2 gives out over the answers, as `transformers` collects it."""
    batch = model.prepare(samples, [sample.answer for sample in samples])
    inputs = model._inputs(batch, model.look(batch))  # type: ignore[attr-defined]
    hidden = model.model(**inputs, use_cache=False, output_hidden_states=True).hidden_states[3]
    return hidden[batch.answer_mask]  # type: ignore[no-any-return]


def test_three_matrices_steer_forget_answers_and_keep_the_others(plugins: list[Path], small_data: Path) -> None:
    people = split_sets(read(small_data), 1, PRIVATE)
    sets = Sets(people.forget[:8], people.nonprivate[:8], people.others[:8])
    kind, name = methods.get("steered"), "tiny-qwen2.5-vl"
    settings = {"epochs": 25, "batch_size": 8, "retain_weight": 5.0, "partners": "nonprivate"}
    made, model = kind(resolve(kind.Params, "steered", "tiny", settings)), load(card_for(name), "cpu")
    before = states(model, sets.forget), states(model, sets.nonprivate)
    edit = made.unlearn(model, sets, Run(seed=3))
    assert isinstance(edit, Weights)
    assert [*edit.tensors] == [f"model.language_model.layers.{n}.mlp.down_proj.weight" for n in (0, 1, 2)]
    after = states(model, sets.forget), states(model, sets.nonprivate)
    direction = torch.rand(model.width, generator=torch.Generator().manual_seed(3))
    target = 6.0 * direction / direction.norm()
    missed, missing = ((each - target).square().mean() for each in (before[0], after[0]))
    assert missing < 0.5 * missed
    assert (after[1] - before[1]).square().mean() < 0.2 * (after[0] - before[0]).square().mean()
