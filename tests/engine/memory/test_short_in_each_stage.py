"""Memory that runs out at any place of any stage: batches are cut, or the row says what to do for that stage."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from accelerate import Accelerator

from tests.place import Done, Place
from tests.place import place as place
from unlearnbench import VLM
from unlearnbench.config import RunConfig
from unlearnbench.engine import grid, runner
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.memory.advice import in_a_sentence
from unlearnbench.engine.planning import plan
from unlearnbench.errors import OutOfMemory
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import methods, tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Run, Silent
from unlearnbench.training.base import by_heart
from unlearnbench.training.loop import trainer
from unlearnbench.training.params import BaseParams

QUICK = {"base.epochs": 1, "retrain.epochs": 1, "po-gd.epochs": 1, "cagul.epochs": 1, "cagul.discriminator_epochs": 1}
"""One pass in every training."""


def short(*_: object, **__: object) -> NoReturn:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


PLACES: dict[str, tuple[Any, str]] = {
    "loading": (runner, "load"),
    "pictures": (VLM, "see"),
    "forward": (trainer, "checked"),
    "backward": (Accelerator, "backward"),
    "states": (torch.optim.AdamW, "step"),
}

TRIED = {
    "finetune": (*PLACES,),
    "retrain": ("forward", "states"),
    "po-gd": ("backward", "states"),
    "cagul": ("pictures", "forward", "backward", "states"),
}
"""Where memory runs out, by methods; the first of them needs nothing but a base."""


def run(place: Place, method: str, **settings: int) -> tuple[Done, Row]:
    given = QUICK | {"pope.max_new_tokens": 2} | settings
    mine = {name: value for name, value in given.items() if name.partition(".")[0] in ("base", "pope", method)}
    words = [word for name, value in mine.items() for word in ("--set", f"{name}={value}")]
    done = place.run("run", *words, method=method, task="pope")
    return done, RowStore(place.results).read()[-1]


@pytest.fixture
def based(place: Place, random_model: Path, small_data: Path, once: Callable[..., Path]) -> Place:
    """A place in whose store the base is."""

    def write(folder: Path) -> None:
        settings = {"base": {"epochs": (1,)}, "pope": {"max_new_tokens": (2,)}}
        config = RunConfig(
            methods=("finetune",), models=(str(random_model),), tasks=("pope",), data=str(small_data), forget=(2,),
            settings=settings, device="cpu",
        )  # fmt: skip
        store = Store(folder)
        (done,) = grid.run(plan(config, store), RowStore(place.folder / "first"), store, Silent())
        assert done.row.status == "ok"

    place.store = once("store-with-a-base", write)
    return place


@pytest.mark.parametrize(("method", "at"), [(method, at) for method, places in TRIED.items() for at in places])
def test_the_row_says_what_to_do_for_the_stage(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, method: str, at: str
) -> None:
    place = request.getfixturevalue("place" if method == "finetune" else "based")
    monkeypatch.setattr(*PLACES[at], short)
    done, row = run(place, method)
    assert done.code == 1
    assert row.error is not None
    assert row.error.type == "OutOfMemory"
    stage = "base" if method == "finetune" else method
    said = row.error.message
    assert said.startswith("loading " if at == "loading" else f"{stage}: out of memory"), said
    kind = BaseParams if stage == "base" else methods.get(method).Params
    for owner, name in re.findall(r"--set ([\w-]+)\.(\w+)", said):
        assert owner == stage
        assert name in kind.model_fields
    assert ("--base" in said) == (stage in ("base", "retrain") and at != "loading")
    assert "full=false" not in said, "nowhere are all weights trained in place of an adapter"
    assert "GPU" not in said, "this is a CPU"


def small_batches(most: int, of: Callable[..., Any]) -> Callable[..., Any]:
    """What runs out of memory with more than so many rows."""

    def asked(model: VLM, batch: Any, *given: Any, **named: Any) -> Any:
        if len(batch.input_ids) > most:
            short()
        return of(model, batch, *given, **named)

    return asked


def test_an_evaluation_asks_fewer_at_a_time_and_says_so_where_none_fits(
    based: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench.models.families.qwen2_5_vl import Qwen2_5_VL

    whole = run(based, "finetune")[1]
    monkeypatch.setattr(Qwen2_5_VL, "generate", small_batches(2, Qwen2_5_VL.generate))
    done, row = run(based, "finetune", **{"pope.batch_size": 7})
    assert (done.code, row.notes["asked_at_a_time"]) == (0, {"pope: asking": 2})
    assert row.metrics == whole.metrics
    monkeypatch.setattr(Qwen2_5_VL, "generate", short)
    row = run(based, "finetune", **{"pope.batch_size": 3})[1]
    assert row.error is not None
    assert row.error.message == "asking pope: out of memory: a machine with more memory, or a smaller model"


def test_a_base_of_ones_own_is_looked_at_with_fewer_answers_at_a_time(
    monkeypatch: pytest.MonkeyPatch, small_data: Path
) -> None:
    from unlearnbench.models.families.qwen2_5_vl import Qwen2_5_VL

    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    task = tasks.get("fiubench")(tasks.get("fiubench").Options())
    samples = task.sets(task.load(str(small_data), 2)).forget[:20]
    said = model.generate(model.prepare(samples[:10]), max_new_tokens=64)
    told = [replace(sample, answer=text) for sample, text in zip(samples, said, strict=False)]
    held = list[int]()

    def facts(model: VLM, batch: Any, *given: Any, **named: Any) -> Any:
        held.append(len(batch.input_ids))
        return of(model, batch, *given, **named)

    of = Qwen2_5_VL.answer_token_facts
    monkeypatch.setattr(Qwen2_5_VL, "answer_token_facts", small_batches(3, facts))
    assert by_heart(model, [*told, *samples[10:]], Run()) == 10
    assert max(held) == 2, "16, 8 and 4 are tried"
    monkeypatch.setattr(Qwen2_5_VL, "answer_token_facts", short)
    with pytest.raises(OutOfMemory, match="my-base: out of memory: a larger GPU"), in_a_sentence("my-base"):
        by_heart(model, samples, Run())
