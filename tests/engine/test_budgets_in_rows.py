"""What rows say of a training's budget, and that no method is handed the strangers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from unlearnbench import Method, method
from unlearnbench.config import RunConfig
from unlearnbench.embedded.data.make import make
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import plan
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent
from unlearnbench.training.params import AscentParams

STRANGERS = 2


@method("budget-ascent", reference="a test")
class Ascent(Method):
    """Ascent on the pretrained model, which needs no base, through what every outside method trains with."""

    start = "pretrained"

    class Params(AscentParams):
        """Few steps."""

    def unlearn(self, model: Any, sets: Any, run: Any) -> Any:
        from unlearnbench.training.unlearning import unlearn

        run.notes["strangers"] = len(sets.strangers)
        return unlearn(model, sets, self.params, run, lambda state, batch: {"forget": -state.nll(batch.forget)})


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, random_model: Path, small_data: Path) -> dict[str, Row]:
    """Of the method above and of the pretrained model, on people beside whom there are strangers."""
    folder = tmp_path_factory.mktemp("budgets")
    data, others = shutil.copytree(small_data, folder / "people"), folder / "others"
    make(others, identities=5, seed=8, scenes=2)
    strangers = [json.loads(line) for line in (others / "full.json").read_text().splitlines()][:STRANGERS]
    (data / "strangers.json").write_text("\n".join(map(json.dumps, strangers)))
    for picture in (others / "SFHQ").iterdir():
        shutil.copy(picture, data / "SFHQ")
    settings = {
        "epochs": (1,),
        "batch_size": (10,),
        "lora.rank": (2,),
        "stop.samples": (24,),
        "stop.forget_loss": (None,),
    }
    config = RunConfig(
        methods=("budget-ascent", "pretrain"),
        models=(str(random_model),),
        tasks=("fiubench",),
        data=str(data),
        forget=(2,),
        device="cpu",
        settings={"budget-ascent": settings, "fiubench": {"max_new_tokens": (2,)}},
    )
    store = Store(folder / "store")
    done = run_grid(plan(config, store), RowStore(folder / "results"), store, Silent())
    return {each.row.method.name: each.row for each in done}


def test_a_row_says_what_training_saw_and_what_an_epoch_is(rows: dict[str, Row]) -> None:
    trained, untouched = rows["budget-ascent"], rows["pretrain"]
    assert (trained.status, untouched.status) == ("ok", "ok")
    asked = 2 * 12  # private questions of two people
    assert trained.cost.examples is not None
    seen = trained.cost.examples.pop("forget")
    assert seen == min(asked, 10 * trained.notes["training"]["steps"])
    assert trained.cost.examples == {"nonprivate": 0, "others": 0, "validation": 0, "held_out": 0}
    assert trained.cost.epoch == "one pass over the forget set"
    assert (untouched.cost.examples, untouched.cost.epoch) == ({}, None)


def test_the_strangers_loss_is_in_the_notes_and_they_are_out_of_reach(rows: dict[str, Row]) -> None:
    notes = rows["budget-ascent"].notes
    assert notes["strangers"] == 0
    limit = notes["early_stopping"]["limit"]
    assert limit["estimate"] == "the starting model's loss on strangers"
    assert limit["strangers"]["people"] == STRANGERS
    assert 0 < limit["strangers"]["questions"] <= 24
    assert limit["forget_loss"] == limit["strangers"]["loss"] > 0


def test_a_row_keeps_both_when_it_is_written_and_read(rows: dict[str, Row]) -> None:
    row = rows["budget-ascent"]
    assert Row.model_validate_json(row.to_line()).cost == row.cost
    old = json.loads(row.to_line())
    del old["cost"]["examples"], old["cost"]["epoch"]  # a row of before they were counted
    assert Row.model_validate_json(json.dumps(old)).cost.examples is None
