"""Attacked cells: what is planned and shared, how models and queries are attacked, and what a row says of it."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnbench import Asked, Asking, Attack, AttackParams, Edit, Method, Sample, Sets, attack, method
from unlearnbench.cli.parts.grid import GridOptions
from unlearnbench.config import RunConfig, cells
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.attacking import of_both_parts
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.errors import PluginError, UsageError
from unlearnbench.models.contract.edits import Weights
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent


class FactorParams(AttackParams):
    factor: float = 0.0
    utility: int = 3


@attack("attacked-scaled")
class Scaled(Attack):
    """Multiplies the projector's weights, by one and by a factor."""

    access = "weights-write"
    Params = FactorParams
    params: FactorParams

    def change(self, model: Any, sets: Any, run: Any) -> dict[str, Weights]:
        own = Weights.of(model.projector_parameters()).tensors
        factors = {"as it was": 1.0, "scaled": self.params.factor}
        return {name: Weights({key: each * by for key, each in own.items()}) for name, by in factors.items()}


@attack("attacked-asked")
class Otherwise(Attack):
    """Asks in another way."""

    access = "prompt"
    Params = FactorParams

    def victims(self, sets: Any) -> Any:
        return sets.forget[:2]

    def ask(self, model: Any, target: Any, run: Any) -> Any:
        louder = Asking(query=lambda sample: Asked(sample.text.upper(), sample.images))
        asked = {"forget": target.victims, "retain": target.utility}
        return {"plain": target.records(model, asked), "loud": target.records(model, asked, louder)}


@attack("attacked-nothing")
class Nothing(Attack):
    """Defines nothing."""

    access = "prompt"


@attack("attacked-bare")
class Bare(Otherwise):
    """Says not what it has a hand on."""

    access = "everything"  # type: ignore[assignment]


@attack("attacked-odd")
class Odd(Scaled):
    """Calls a variant by what cannot be part of a metric's name."""

    def change(self, model: Any, sets: Any, run: Any) -> dict[str, Weights]:
        return {"a.b": Weights.of(model.projector_parameters())}


@pytest.fixture(scope="module")
def options(random_model: Path, small_data: Path) -> dict[str, Any]:
    settings = {"base": {"epochs": (1,)}, "fiubench": {"max_new_tokens": (2,)}}
    return {
        "models": (str(random_model),),
        "tasks": ("fiubench", "pope"),
        "data": str(small_data),
        "forget": (2,),
        "device": "cpu",
        "limit": 2,
        "settings": settings,
    }


def planned(options: dict[str, Any], store: Store, **more: Any) -> list[Plan]:
    settings = options["settings"] | more.pop("settings", {})
    return plan(RunConfig(**(options | {"settings": settings, "methods": ("finetune",)} | more)), store)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def rows(place: Path, options: dict[str, Any]) -> dict[tuple[str, str], Row]:
    """By method and attack, on fiubench."""
    plans = planned(options, Store(place / "store"), attacks=("attacked-scaled", "attacked-asked"), tasks=("fiubench",))
    found = [each.row for each in run_grid(plans, RowStore(place / "rows"), Store(place / "store"), Silent())]
    assert {row.status for row in found} == {"ok"}, [row.error for row in found]
    return {(row.method.name, row.attack.name if row.attack else ""): row for row in found}


def test_a_grid_attacks_every_model_where_something_is_forgotten(options: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(**options, methods=("finetune",), attacks=("attacked-scaled",))
    assert [(cell.task, cell.attack) for cell in cells(config)] == [
        ("fiubench", None),
        ("pope", None),
        ("fiubench", "attacked-scaled"),
    ]
    with pytest.raises(UsageError, match=r"none of the tasks pope can be attacked; add one that can: .*fiubench"):
        cells(config.model_copy(update={"tasks": ("pope",), "settings": {}}))


def test_cells_without_an_attack_keep_their_names(options: dict[str, Any], tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = {each.row_id for each in planned(options, store)}
    after = planned(options, store, attacks=("attacked-scaled", "attacked-asked"))
    assert before == {each.row_id for each in after if each.cell.attack is None}
    assert len({each.row_id for each in after}) == 4


def test_references_are_attacked_too(random_model: Path) -> None:
    grid = GridOptions(method=["ga"], model=[str(random_model)], attack=["attacked-asked"])
    assert grid.config().methods == ("finetune", "retrain", "ga")
    assert replace(grid, attack=None).config().methods == ("ga",)


def test_parameters_make_cells_of_their_own_and_a_guard_only_where_there_is_one(
    options: dict[str, Any], tmp_path: Path
) -> None:
    settings = {"attacked-scaled": {"factor": (0.0, 2.0), "guard": ("on", "off")}}
    found = planned(
        options, Store(tmp_path), attacks=("attacked-scaled",), tasks=("fiubench",), settings=settings,
        methods=("finetune", "cagul"),
    )  # fmt: skip
    attacked = [(each.cell.method, each.aimed.params.guard) for each in found if each.aimed]
    assert attacked == [("finetune", "on")] * 2 + [("cagul", "on"), ("cagul", "off")] * 2


def test_what_is_wrong_with_an_attack_is_said_before_anything_is_computed(
    options: dict[str, Any], tmp_path: Path
) -> None:
    faults = {"attacked-nothing": "does nothing", "attacked-bare": "an access", "attacked-no": "no attack"}
    for name, said in faults.items():
        with pytest.raises((PluginError, UsageError), match=said):
            planned(options, Store(tmp_path), attacks=(name,))


def test_variants_are_asked_each_by_itself_and_told_in_the_row(rows: dict[tuple[str, str], Row], place: Path) -> None:
    clean, row = rows["finetune", ""], rows["finetune", "attacked-scaled"]
    assert row.attack is not None
    assert (row.attack.access, row.attack.variants) == ("weights-write", ["as it was", "scaled"])
    assert (row.attack.people, row.attack.questions) == (2, len(_forget(clean, place)))
    assert clean.attack is None
    assert row.task.split == clean.task.split
    by_variant = {
        name: {each["id"]: each for each in _records(row, place) if each["variant"] == name}
        for name in row.attack.variants
    }
    before = _forget(clean, place)
    for sample, record in before.items():
        assert by_variant["as it was"][sample]["logprobs"] == pytest.approx(record["logprobs"], abs=2e-5)
    assert any(by_variant["scaled"][name]["logprobs"] != before[name]["logprobs"] for name in before)
    asked_beside = [each for each in by_variant["scaled"].values() if each["set"] == "retain"]
    assert len(asked_beside) == 3
    own = row.metrics["forget@as it was.probability"].value
    assert own == pytest.approx(clean.metrics["forget.probability"].value, abs=1e-4)
    assert "forget.probability" not in row.metrics


def test_an_attack_that_only_asks_leaves_no_artefact_and_costs_no_training(
    rows: dict[tuple[str, str], Row], place: Path
) -> None:
    assert len([*(place / "store" / "attacked").glob("*/manifest.json")]) == 1
    row, clean = rows["finetune", "attacked-asked"], rows["finetune", ""]
    assert row.attack is not None
    assert row.attack.questions == 2
    assert row.cost.train_seconds is None
    plain = {each["id"]: each for each in _records(row, place) if (each["variant"], each["set"]) == ("plain", "forget")}
    clean_records = _forget(clean, place)
    for name, each in plain.items():  # beside other questions, which show in the last of five decimals
        assert each["logprobs"] == pytest.approx(clean_records[name]["logprobs"], abs=1.1e-5)
    loud = next(each for each in _records(row, place) if each["variant"] == "loud")
    assert loud["logprobs"] != plain[loud["id"]]["logprobs"]


def test_rows_of_attacks_are_read_back_and_do_not_count_as_the_models_own(
    rows: dict[tuple[str, str], Row], place: Path
) -> None:
    from unlearnbench.analysis.comparison import compare
    from unlearnbench.results.naming import cell_called

    again = Row.model_validate_json(rows["finetune", "attacked-scaled"].to_line())
    assert again == rows["finetune", "attacked-scaled"]
    (table,) = compare(rows.values())
    assert [row.row_id for line in table.lines for row in line.rows] == [rows["finetune", ""].row_id]
    assert cell_called(RowStore(place / "rows"), "finetune").row_id == rows["finetune", ""].row_id
    old = {name: value for name, value in json.loads(rows["finetune", ""].to_line()).items() if name != "attack"}
    assert Row.model_validate(old) == rows["finetune", ""]


def test_a_variant_whose_name_cannot_be_told_is_an_error_row(options: dict[str, Any], place: Path) -> None:
    store = Store(place / "store")
    plans = planned(options, store, attacks=("attacked-odd",), tasks=("fiubench",))
    found = [each.row for each in run_grid(plans, RowStore(place / "rows"), store, Silent())]
    assert [row.status for row in found] == ["ok", "error"]
    assert "a variant is called 'a.b'" in str(found[1].error and found[1].error.message)


def _records(row: Row, place: Path) -> list[dict[str, Any]]:
    return [*RowStore(place / "rows").read_samples(row)]


def _forget(row: Row, place: Path) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in _records(row, place) if each["set"] == "forget"}


def test_a_model_asked_bare_is_without_what_a_method_put_beside_its_weights(
    options: dict[str, Any], place: Path
) -> None:
    """With the guard off nothing of it is left: the very answers of the base."""
    quick = {"cagul": {"epochs": (1,), "discriminator_epochs": (1,), "batch_size": (60,)}}
    asked = {"attacked-asked": {"guard": ("on", "off")}, "attacked-scaled": {"guard": ("off",)}}
    store = Store(place / "store")
    plans = planned(
        options, store, attacks=("attacked-asked", "attacked-scaled"), tasks=("fiubench",), settings=quick | asked,
        methods=("finetune", "cagul"),
    )  # fmt: skip
    found = [each.row for each in run_grid(plans, RowStore(place / "rows"), store, Silent())]
    by_name: dict[tuple[str, str, str], list[Any]] = {}
    for row in found:
        assert row.status == "ok", row.error
        if row.attack:
            likelihoods = [each["logprobs"] for each in _records(row, place)]
            by_name[row.method.name, row.attack.name, row.attack.params["guard"]] = likelihoods
    assert by_name["cagul", "attacked-asked", "off"] == by_name["finetune", "attacked-asked", "on"]
    for own, base in zip(
        by_name["cagul", "attacked-scaled", "off"], by_name["finetune", "attacked-scaled", "on"], strict=True
    ):
        assert torch.tensor(own) == pytest.approx(torch.tensor(base), abs=1e-5)


class Hushed(Edit):
    """Says nothing, by a method of the model that it replaces."""

    def apply(self, model: Any) -> None:
        model.generate = lambda batch, *_, **__: [""] * len(batch.input_ids)

    def save(self, folder: Path) -> None:
        (folder / "hushed.txt").write_text("hush")

    @classmethod
    def load(cls, folder: Path, model: Any) -> "Hushed":
        return cls()


@method("attacked-hush")
class Hush(Method):
    """Leaves the weights alone, and guards them by no edit of visual tokens."""

    frozen_weights = True

    @classmethod
    def edit_class(cls) -> type[Hushed]:
        return Hushed

    def unlearn(self, model: Any, sets: Any, run: Any) -> Hushed:
        return Hushed()


def test_with_the_guard_off_nothing_is_left_of_frozen_weights_whatever_they_were_guarded_by(
    options: dict[str, Any], place: Path
) -> None:
    asked = {name: {"guard": ("on", "off")} for name in ("attacked-asked", "attacked-scaled")}
    store = Store(place / "store")
    plans = planned(
        options, store, attacks=(*asked,), tasks=("fiubench",), settings=asked, methods=("finetune", "attacked-hush")
    )
    said: dict[tuple[str, str, str], list[str]] = {}
    for row in (each.row for each in run_grid(plans, RowStore(place / "rows"), store, Silent())):
        assert row.status == "ok", row.error
        if row.attack:
            own = [each["prediction"] for each in _records(row, place)]
            said[row.method.name, row.attack.name, row.attack.params["guard"]] = own
    for name in asked:
        assert not any(said["attacked-hush", name, "on"])
        assert said["attacked-hush", name, "off"] == said["finetune", name, "on"]


@attack("attacked-sly")
class Sly(Otherwise):
    """Takes the pictures away while it asks, and brings them back: nothing is seen of that afterwards."""

    def ask(self, model: Any, target: Any, run: Any) -> Any:
        own = Weights.of(model.projector_parameters())
        Weights({name: each * 0 for name, each in own.tensors.items()}).apply(model)
        found = target.records(model, {"forget": target.victims, "retain": target.utility})
        own.apply(model)
        return {"": found}


def test_what_a_model_said_while_it_was_altered_is_remembered_of_no_other_asking(
    options: dict[str, Any], place: Path, tmp_path: Path
) -> None:
    """The answers of another attack to the same questions are its own, whichever was there first."""
    shutil.copytree(place / "store", tmp_path / "store")
    said: dict[str, list[list[Any]]] = {}
    for order in (("attacked-sly", "attacked-asked"), ("attacked-asked", "attacked-sly")):
        shutil.rmtree(tmp_path / "store" / "answers", ignore_errors=True)
        for name in order:
            store, rows = Store(tmp_path / "store"), tmp_path / "-".join((*order, name))
            [_, cell] = planned(options, store, methods=("finetune",), attacks=(name,), tasks=("fiubench",))
            [row] = [each.row for each in run_grid([cell], RowStore(rows), store, Silent())]
            assert row.status == "ok", row.error
            records = [json.loads(line) for line in (rows / row.samples.path).read_text().splitlines()]
            said.setdefault(name, []).append([each["logprobs"] for each in records if each["variant"] != "loud"])
    assert said["attacked-asked"][0] == said["attacked-asked"][1]
    assert said["attacked-sly"][0] == said["attacked-sly"][1] != said["attacked-asked"][0]


@method("attacked-liar")
class Liar(Method):
    """Changes the weights, and says that it leaves them."""

    frozen_weights = True

    def unlearn(self, model: Any, sets: Any, run: Any) -> Weights:
        return Weights({name: each * 0.5 for name, each in Weights.of(model.projector_parameters()).tensors.items()})


def test_weights_that_do_not_stay_are_told_by_attacks_that_change_them_further(
    options: dict[str, Any], place: Path, tmp_path: Path
) -> None:
    store = Store(place / "store")
    found = planned(options, store, methods=("attacked-liar",), attacks=("attacked-scaled",), tasks=("fiubench",))
    cells = [each for each in found if each.cell.method == "attacked-liar" and each.aimed]
    [row] = [each.row for each in run_grid(cells, RowStore(tmp_path), store, Silent())]
    assert row.error is not None
    assert "weights stay as they are (frozen_weights), and its edit changes" in row.error.message


@attack("attacked-beside")
class Beside(Otherwise):
    """Looks at the base too."""

    needs = ("base",)


def test_an_attack_that_looks_at_the_base_is_of_that_base(options: dict[str, Any], tmp_path: Path) -> None:
    """Also where the attacked model did not come by it: another base gives another row, and has to be made."""
    ids = []
    for epochs in (1, 2):
        settings = {"base": {"epochs": (epochs,)}, "attacked-beside": {"utility": (1,)}}
        found = planned(
            options, Store(tmp_path), methods=("pretrain",), attacks=("attacked-beside",), tasks=("fiubench",),
            settings=settings,
        )  # fmt: skip
        ids.append([each.row_id for each in found])
        assert [stage.name for stage in found[1].missing(Store(tmp_path))] == ["base", "unlearned"]
        assert [stage.name for stage in found[0].missing(Store(tmp_path))] == ["unlearned"]
    assert ids[0][0] == ids[1][0]
    assert ids[0][1] != ids[1][1]


def test_nothing_is_attacked_without_looking_at_what_it_costs(options: dict[str, Any], tmp_path: Path) -> None:
    settings = {"quantise": {"utility": (0,)}}
    with pytest.raises(UsageError, match=r"quantise\.utility"):
        planned(options, Store(tmp_path), attacks=("quantise",), tasks=("fiubench",), settings=settings)


@pytest.mark.parametrize(
    ("nonprivate", "others", "most", "expected"),
    [(30, 400, 48, (24, 24)), (5, 400, 48, (5, 43)), (30, 7, 48, (30, 7)), (0, 9, 4, (0, 4)), (3, 3, 1, (0, 1))],
)
def test_what_an_attack_costs_is_looked_at_in_both_parts_of_the_retain_set(
    nonprivate: int, others: int, most: int, expected: tuple[int, int]
) -> None:
    """One evenly spaced sample of the whole would hold next to nothing else of the people to be forgotten."""
    counts = {"own": nonprivate, "other": others}
    made = {name: [Sample(f"{name}/{i}", name, Asked("?", ()), "!") for i in range(n)] for name, n in counts.items()}
    asked = of_both_parts(Sets(nonprivate=tuple(made["own"]), others=tuple(made["other"])), most)
    assert len({sample.id for sample in asked}) == len(asked)
    assert tuple(sum(sample.id.startswith(name) for sample in asked) for name in made) == expected
    places = [int(sample.id.split("/")[1]) for sample in asked if sample.id.startswith("other")]
    gaps = [later - earlier for earlier, later in pairwise(places)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1, "evenly spaced"
